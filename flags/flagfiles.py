"""Flagfiles: what stands in them, in place of their names.

A flagfile has a flag a line; lines that begin with # or // are comments. absl
reads them, too, but takes an empty name, one that names itself and one that
is no text in silence or with a traceback.
"""

import os
from collections.abc import Sequence

from simclr_tf.errors import UserError

_NAMES = ("--flagfile", "-flagfile")
# A device or a log that never ends is no list of flags.
_MOST_LETTERS = 2**20


def expand(words: Sequence[str]) -> tuple[list[str], list[str]]:
    """Takes a command line apart.

    Args:
        words: without the program's name.

    Returns:
        What stands in its flagfiles, and what is typed.

    Raises:
        UserError: a flagfile is not there, is no text, or names itself.
    """
    files, typed = _taken_apart(words)
    return [w for path in files for w in _words_of(path, within=())], typed


def _taken_apart(words: Sequence[str]) -> tuple[list[str], list[str]]:
    """The names of flagfiles, and the other words."""
    paths, others, rest = [], [], iter(words)
    for word in rest:
        name, equals, value = word.partition("=")
        if name in _NAMES:
            paths.append(value if equals else next(rest, ""))
        else:
            others.append(word)
    return paths, others


def _words_of(path: str, *, within: tuple[str, ...]) -> list[str]:
    """The flags in a file and in the files that it names."""
    if path in within:
        raise UserError(
            f"--flagfile={path} names itself: {' > '.join((*within, path))}. "
            "Take the line out."
        )
    lines = (line.strip() for line in _text(path).splitlines())
    words = [x for x in lines if x and not x.startswith(("#", "//"))]
    files, others = _taken_apart(words)
    inner = [
        word
        for name in files
        for word in _words_of(name, within=(*within, path))
    ]
    return [*inner, *others]


def _text(path: str) -> str:
    if not path:
        raise UserError(
            "--flagfile must be a file (is a variable of the shell unset?). "
            "Received: nothing."
        )
    try:
        with open(os.path.expanduser(path), encoding="utf-8") as file:
            text = file.read(_MOST_LETTERS + 1)
    except OSError as error:
        raise UserError(
            f"--flagfile={path} cannot be read: {error.strerror}."
        ) from error
    except ValueError as error:
        raise UserError(f"--flagfile={path!a} is no text in UTF-8.") from error
    if len(text) > _MOST_LETTERS:
        raise UserError(
            f"--flagfile={path} is longer than {_MOST_LETTERS} letters: no "
            "list of flags."
        )
    return text
