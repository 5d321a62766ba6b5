"""What a terminal is given: it shows it, and does not obey it.

Names of files, classes and features, and what saved files say, may come from
strangers. Written as they are, an escape sequence moves the cursor or renames
the window, and a newline begins a line that looks like ours ("error: ...").
"""

from typing import TextIO

# Of whole texts: our own lines and tables.
_OURS = "\n\t"


def printable(name: str) -> str:
    """A name in one line, without control characters."""
    return _escaped(name, but="")


def guard(stream: TextIO) -> None:
    """Makes a stream write control characters as a reader can see them.

    Lines and tabs stay, and a carriage return that begins a text: a line that
    is drawn anew. Who prints a name that may hold newlines calls `printable`.
    """
    write = stream.write

    def guarded(text: str) -> int:
        begins = "\r" if text.startswith("\r") else ""
        write(begins + _escaped(text[len(begins) :], but=_OURS))
        return len(text)

    stream.write = guarded


def _escaped(text: str, *, but: str) -> str:
    if text.isprintable():
        return text
    return "".join(
        letter if letter.isprintable() or letter in but else ascii(letter)[1:-1]
        for letter in text
    )
