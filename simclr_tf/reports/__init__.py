"""What a person looks at.

words          results in words, for a terminal
tables         records side by side; paper_numbers beside ours
pictures       views.png
embedding_map  map.png: images where their features put them
near_duplicates  pairs of images that are nearly the same
lettering      text in pictures, within the room that it has
next_steps     what can be done with an encoder, as commands
neighbours     neighbours.png: images beside those that are near
"""
