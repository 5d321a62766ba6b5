"""Text in pictures, within the room that it has."""

from PIL import ImageFont


def lines(text: str, font: ImageFont.FreeTypeFont, width: int) -> list[str]:
    """The text, broken between words so that no line is wider.

    Args:
        text: words.
        font: that it is drawn in.
        width: pixels; a single word may be wider.
    """
    found = [""]
    for word in text.split():
        longer = f"{found[-1]} {word}".strip()
        if found[-1] and font.getlength(longer) > width:
            found.append(word)
        else:
            found[-1] = longer
    return found
