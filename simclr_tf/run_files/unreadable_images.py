"""unreadable_images.tsv: every image that a job could not read, and why.

Every job that reads a folder writes it in the same form: a head, and a line
for each file, sorted, with its path and the reason. A job that reads the same
images writes the same lines. Nothing is written where all could be read.
"""

import os
from collections.abc import Iterable

from simclr_tf import files

FILE = "unreadable_images.tsv"
_HEAD = "file\treason"


def write(path: str, lines: Iterable[str]) -> None:
    """Writes the table, or removes it where there is nothing to say.

    Args:
        path: of the table.
        lines: "file<tab>reason" each, in any order; several times counts as
            once.
    """
    rows = sorted(set(lines))
    if rows:
        files.make_folders(os.path.dirname(path))
        text = "\n".join([_HEAD, *rows]) + "\n"
        files.write_bytes(path, text.encode())
    elif files.gfile.exists(path):
        files.gfile.remove(path)


def add(path: str, lines: Iterable[str]) -> None:
    """`write`, of these lines and of those that are there: a run that
    continues has not read everything again."""
    there = read(path)
    rows = there | set(lines)
    if rows != there:
        write(path, rows)


def read(path: str) -> set[str]:
    """The lines of a table; none where there is no table."""
    if not files.gfile.exists(path):
        return set()
    with files.gfile.GFile(path, "rb") as file:
        text = file.read().decode(errors="replace")
    return set(text.split("\n")[1:]) - {""}
