"""Labels from a CSV or TSV: which image is of which class.

    file,label              a header, or none
    cat/001.jpg,tabby       paths relative to --data_dir, with or without
    002,persian             suffix, or bare names where these are unique
    003.jpg,tabby|indoors   with --several_labels
    004.jpg,-1              no label, as with an empty cell

`label_columns` says which columns these are. A row may name an image more than
once where images have several labels.
"""

import csv
import dataclasses
import io
import os
import re
from collections.abc import Sequence

import tensorflow as tf

from simclr_tf.data.folder import label_columns
from simclr_tf.errors import NotHere, UserError

_SEPARATORS = ("|", ";", ",", " ")
_NUM_NAMED = 3
# As a program writes it that counts in fractions, too.
_NO_CLASS = re.compile(r"-1(\.0*)?")


@dataclasses.dataclass(frozen=True)
class FileLabels:
    """What a file of labels says of a folder's images.

    Attributes:
        labels: name of an image -> its classes, sorted.
        class_names: of the whole file, sorted; numbers by their value.
        strangers: what rows name that is no image of the folder.
    """

    labels: dict[str, tuple[str, ...]]
    class_names: tuple[str, ...]
    strangers: tuple[str, ...]

    def describe(self) -> str:
        """The rows that name no image; "" where all name one."""
        if not self.strangers:
            return ""
        shown = ", ".join(self.strangers[:_NUM_NAMED])
        more = ", ..." if len(self.strangers) > _NUM_NAMED else ""
        return f"{len(self.strangers)} rows of no image: {shown}{more}"


def read(
    path: str,
    names: Sequence[str],
    *,
    base: str,
    file_column: str | None = None,
    label_column: str | None = None,
    several_labels: bool = False,
) -> FileLabels:
    """Reads a file of labels.

    Args:
        path: of the CSV or TSV.
        names: of the folder's images, relative to base.
        base: the folder.
        file_column, label_column: names of columns; None: see
            `label_columns`.
        several_labels: whether a cell may hold several classes, with "|",
            ";", "," or a space between them, the first of these that occurs.

    Raises:
        UserError: it cannot be read, its columns cannot be told, no row names
            an image, or rows contradict each other.
    """
    where = f"--labels={path}"
    rows = _rows(path, where)
    find = label_columns.Finder(names, base)
    header = None if any(map(find, rows[0])) else rows[0]
    if header is None and (file_column or label_column):
        raise UserError(
            f"{where} has no header, so that --image_key and --label_key name "
            "nothing in it. Add one, or leave them out."
        )
    body = rows if header is None else rows[1:]
    file_at, label_at = label_columns.places(
        header,
        body,
        find,
        where=where,
        file_column=file_column,
        label_column=label_column,
    )
    pairs = [
        (row[file_at].strip(), row[label_at].strip())
        for row in body
        if len(row) > max(file_at, label_at)
    ]
    separator = (
        _separator([cell for _, cell in pairs]) if several_labels else None
    )
    labels, strangers = {}, []
    for file, cell in pairs:
        name = find(file)
        if name is None:
            strangers.append(file)
        elif found := _classes(cell, separator):
            before = labels.setdefault(name, found)
            if before != found and not several_labels:
                raise UserError(
                    f"{where} calls {name} {min(before)!r} and "
                    f"{min(found)!r}. One label an image, or --several_labels."
                )
            labels[name] = before | found
    if not labels:
        raise UserError(
            f"{where}: none of its {len(body)} rows names an image of "
            f"--data_dir={base} and a class; {_first_of(body)}an image there "
            f"is {names[0]!r}. --image_key and --label_key name the columns."
        )
    classes = set().union(*labels.values())
    if len(classes) == 1 and any(_NO_CLASS.fullmatch(c) for _, c in pairs):
        raise UserError(
            f"{where} says -1, which means that an image has no label, and "
            f"beside it {min(classes)!r} alone. Where -1 is a class of its "
            "own, call it otherwise."
        )
    return FileLabels(
        {name: tuple(sorted(found)) for name, found in labels.items()},
        tuple(sorted(classes, key=_by_value)),
        tuple(strangers),
    )


def _rows(path: str, where: str) -> list[list[str]]:
    """Rows that are not empty; at least one.

    Raises:
        UserError: no such file, not text, or nothing in it.
    """
    try:
        with tf.io.gfile.GFile(os.path.expanduser(path), "rb") as file:
            text = file.read().decode("utf-8-sig")
    except (tf.errors.OpError, UnicodeDecodeError) as error:
        reason = getattr(error, "message", None) or "it is not UTF-8 text"
        missing = isinstance(error, tf.errors.NotFoundError)
        raise (NotHere if missing else UserError)(
            f"{where} cannot be read: {reason}"
        ) from error
    # Not str.splitlines, which also ends a line at rarer characters, and in
    # quotes.
    lines = io.StringIO(text, newline="")
    delimiter = max("\t,;", key=lines.readline().count)
    lines.seek(0)
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    try:
        rows = [row for row in reader if any(row)]
    except csv.Error as error:
        raise UserError(
            f"{where} cannot be read: {error} (line {reader.line_num}). Is a "
            "quotation mark not closed?"
        ) from error
    if not rows or max(map(len, rows)) < 2:
        raise UserError(
            f"{where} needs two columns, of files and of classes, with commas, "
            "semicolons or tabs between them."
        )
    return rows


def _first_of(body) -> str:
    """What the first of some rows says, if there is one."""
    return f"the first says {body[0]}, and " if body else ""


def _separator(cells: Sequence[str]) -> str:
    """What stands between the classes of one cell."""
    return next(
        (one for one in _SEPARATORS if any(one in cell for cell in cells)), "|"
    )


def _classes(cell: str, separator: str | None) -> set[str]:
    """The classes in a cell; none where it is empty, or -1."""
    found = cell.split(separator) if separator else [cell]
    found = {one.strip() for one in found}
    return {one for one in found if one and not _NO_CLASS.fullmatch(one)}


def _by_value(name: str):
    """2 before 10, and numbers before words."""
    number = re.fullmatch(r"-?\d{1,18}", name)
    return (0, int(name), name) if number else (1, 0, name)
