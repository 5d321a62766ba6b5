"""Which columns of a table of labels name the images, and their classes.

A column called like one of files names the images, where its cells do; else
any column whose cells do. Of several, names with their suffix count before
names without, since a number of a row (`id`) may happen to be the name of
another image. Those that then name different images are refused, where they are
called like files; else the first one counts.
"""

import os
import unicodedata
from collections.abc import Sequence

from simclr_tf.errors import UserError

_FILE_COLUMNS = (
    "file", "filename", "file_name", "filepath", "file_path", "path", "image",
    "image_name", "image_path", "image_id", "img", "name", "id",
)  # fmt: skip
_LABEL_COLUMNS = (
    "label", "labels", "class", "classes", "class_name", "category",
    "categories", "target", "tag", "tags", "breed", "species",
)  # fmt: skip


def places(
    header: Sequence[str] | None,
    body: Sequence[Sequence[str]],
    find: "Finder",
    *,
    where: str,
    file_column: str | None,
    label_column: str | None,
) -> tuple[int, int]:
    """The places of the columns of files and of classes.

    Args:
        header: the names of the columns, if the table has a row of them.
        body: the other rows.
        find: the image that a cell names.
        where: what the table is called in an error.
        file_column, label_column: names of columns; None: to be found.

    Raises:
        UserError: there is no such column, or several may be it.
    """
    width = max(map(len, body), default=0)
    names = [cell.strip().lower() for cell in header or [""] * width]
    file_at = _named(names, file_column, where, "image_key")
    label_at = _named(names, label_column, where, "label_key")
    if file_at is None:
        others = [at for at in range(len(names)) if at != label_at]
        file_at = _file_column(names, others, body, find, where)
    if label_at is None:
        others = [at for at in range(len(names)) if at != file_at]
        called = [at for at in others if names[at] in _LABEL_COLUMNS]
        twice = [at for at in called if names.count(names[at]) > 1]
        if twice:
            raise _repeated(names, twice[0], where)
        if len(called) != 1 and len(others) == 1:
            called = others
        if len(called) != 1:
            raise UserError(
                f"{where} has the columns {', '.join(header or [])}"
                f"{'' if header else len(names)}: say which one is the class, "
                "--label_key=NAME."
            )
        (label_at,) = called
    return file_at, label_at


def _named(names, wanted, where, flag) -> int | None:
    if wanted is None:
        return None
    if wanted.lower() not in names:
        raise UserError(
            f"{where} has no column {wanted!r} (--{flag}); its columns are "
            f"{', '.join(names)}."
        )
    at = names.index(wanted.lower())
    if names.count(names[at]) > 1:
        raise _repeated(names, at, where)
    return at


def _repeated(names, at, where) -> UserError:
    return UserError(
        f"{where} has {names.count(names[at])} columns {names[at]!r}, and "
        "nobody can tell which one counts. Rename all but one."
    )


def _file_column(names, among, body, find, where) -> int:
    """The column of files, among those at some places."""
    called = [at for at in among if names[at] in _FILE_COLUMNS]
    unknown = [
        at for at in among if names[at] not in (*_FILE_COLUMNS, *_LABEL_COLUMNS)
    ]
    for columns in (called, unknown):
        found = {}
        for at in columns:
            cells = [row[at] if at < len(row) else "" for row in body]
            images = [find(cell) if cell else None for cell in cells]
            if any(images):
                found[at] = cells, images
        if found:
            return _chosen(names, _preferred(found), body, where)
    # None names an image, which is said where the rows are read.
    return [*called, *unknown, *among, 0][0]


def _preferred(found):
    """Those of some columns that name images by names with suffix; all, where
    these name fewer images than another one."""
    whole = {
        at: (cells, images)
        for at, (cells, images) in found.items()
        if any(map(_is_whole, cells, images))
    }
    fewest_none = min(images.count(None) for _, images in found.values())
    names_most = any(
        images.count(None) == fewest_none for _, images in whole.values()
    )
    return whole if names_most else found


def _is_whole(cell: str, image: str | None) -> bool:
    """Whether a cell has all of the last name of the image that it names."""
    if image is None:
        return False
    last = _slashes(cell).rsplit("/", 1)[-1]
    return _composed(last) == _composed(image.rsplit("/", 1)[-1])


def _chosen(names, found, body, where) -> int:
    """Of columns that name the same images, the one that names the most; of
    others, the first, where their names say nothing.

    Raises:
        UserError: two name different images in a row, and have names.
    """
    first, *others = sorted(
        found, key=lambda at: (found[at][1].count(None), at)
    )
    for other in others:
        pairs = zip(found[first][1], found[other][1], body, strict=True)
        for one, two, row in pairs:
            if one and two and one != two:
                if _says_nothing(names, found):
                    return min(found)
                raise UserError(
                    f"{where}: its column {names[first]!r} says {one} and "
                    f"{names[other]!r} says {two} in the row {list(row)}. Say "
                    "which one names the images, --image_key=NAME."
                )
    return first


def _says_nothing(names, among) -> bool:
    """Whether some columns are called nothing, or like no files, so that
    their order counts: files, then classes. A table that a program wrote may
    begin with a column of numbers that has no name."""
    is_called = {bool(names[at]) for at in among}
    known = any(names[at] in _FILE_COLUMNS for at in among)
    return len(is_called) == 1 and not known


class Finder:
    """The image that a cell names, or None."""

    def __init__(self, names: Sequence[str], base: str):
        self._base = base.rstrip("/") + "/"
        self._names = set(names)
        self._shorter = {}
        for name in names:
            stem = os.path.splitext(name)[0]
            last = name.rsplit("/", 1)[-1]
            # Without the suffix, then without the folders, then both.
            shorter = {stem, last, os.path.splitext(last)[0]}
            # Systems and programs write the same accent in different ways.
            shorter |= {_composed(one) for one in {name, *shorter}}
            for short in shorter - {name}:
                known = self._shorter.setdefault(short, name)
                if known != name:
                    self._shorter[short] = None  # of two, nobody can tell

    def __call__(self, cell: str) -> str | None:
        file = _slashes(cell).removeprefix(self._base)
        file = file.removeprefix("./")
        if file in self._names:
            return file
        found = self._known(file)
        if found is None and "/" in file:
            # A path from elsewhere: images/001.jpg beside --data_dir=images.
            last = file.rsplit("/", 1)[-1]
            found = last if last in self._names else self._known(last)
        return found

    def _known(self, file: str) -> str | None:
        found = self._shorter.get(file)
        return found or self._shorter.get(_composed(file))


def _slashes(cell: str) -> str:
    """A path as this system writes it."""
    return cell.strip().replace("\\", "/")


def _composed(name: str) -> str:
    """With letters and their accents as one, where there are such."""
    return name if name.isascii() else unicodedata.normalize("NFC", name)
