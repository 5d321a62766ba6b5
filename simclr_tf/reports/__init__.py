"""What a person looks at.

words          results in words, for a terminal
tables         records side by side; paper_numbers beside ours
pictures       views.png
neighbours     neighbours.png: images beside those that are near
"""
