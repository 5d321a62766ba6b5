"""What a folder holds, by split and by class: names, nothing read yet."""

import collections
import dataclasses
import functools
import os
from collections.abc import Sequence

from simclr_tf.data import split_spec
from simclr_tf.data.folder import layout, listing, places
from simclr_tf.errors import NotHere, UserError


@dataclasses.dataclass(frozen=True)
class Reading:
    """How a folder is to be read.

    Attributes:
        data_dir: see `places`.
        labels: CSV or TSV of labels; None: subfolders are classes.
        file_column, label_column, several_labels: of labels; see `label_file`.
        class_folders: whether subfolders are classes.
        split_folders: "auto", "yes" or "no": whether a folder called like a
            split is one.
        arrays: whether NPY files are images, also beside others.
    """

    data_dir: str | None
    labels: str | None = None
    file_column: str | None = None
    label_column: str | None = None
    several_labels: bool = False
    class_folders: bool = True
    split_folders: str = "auto"
    arrays: bool = False


class Folder:
    """A folder whose splits and classes are known.

    Args:
        reading: which one, and how.

    Raises:
        UserError: as `open_folder`.
    """

    def __init__(self, reading: Reading):
        self.reading = reading
        self.where = f"--data_dir={reading.data_dir}"
        self.listing = found = places.listing_of(
            reading.data_dir, arrays=reading.arrays
        )
        asked = reading.split_folders
        self.inner = layout.inner(found.names, stop_at_splits=asked != "no")
        # Below the folder that holds everything, and above it nothing.
        self._names = found.names
        if self.inner:
            self._names = [name[len(self.inner) :] for name in found.names]
        self._tops = layout.tops(self._names)
        self.splits = layout.split_folders(
            self._tops, asked=asked, where=self.where
        )
        self._of_folder: dict[str, list[str]] = {}

    def folder_of(self, name: str) -> str | None:
        """The folder of a split; "" for all images, None where it has none."""
        if self.reading.split_folders == "no":
            return "" if name == "train" else None
        return layout.folder_of(name, self.splits, self._tops)

    def names_of(self, split: str) -> tuple[list[str], str]:
        """Names of a split's images, and the folder that they lie in."""
        name = split_spec.parse_part(split)[0]
        folder = self.folder_of(name)
        if not self._names:
            others = self._left_out()
            raise (UserError if others else NotHere)(
                f"{self.where} has no JPEG, PNG, GIF, BMP or WebP image for "
                f"split {split!r} ({others or 'no other files'})."
            )
        if folder is None:
            where = self.where
            if not self.splits:
                where += " (no split folders, so all is 'train')"
            there = self.splits or ["train"]
            raise split_spec.missing(name, where, there)
        return self._below(folder), folder

    def paths(self, names: Sequence[str]) -> list[str]:
        """Where images lie."""
        found, inner = self.listing, self.inner
        if found.elsewhere:
            return [found.path(inner + name) for name in names]
        # There may be a million.
        start = f"{found.base}/{inner}"
        return [start + name for name in names]

    def kinds(self, names: Sequence[str]) -> list[str]:
        """What kinds of images they are, "JPEG" where they are JPEG or PNG."""
        odd, inner = self.listing.kinds, self.inner
        if not odd:
            return ["JPEG"] * len(names)
        return [odd.get(inner + name, "JPEG") for name in names]

    def _below(self, folder: str) -> list[str]:
        """Names under a top folder, of those that lead to one file the first;
        "" for all."""
        if folder not in self._of_folder:
            names = self._names
            if folder:
                names = [n for n in names if n.startswith(f"{folder}/")]
            if self.listing.targets:
                full = [self.inner + name for name in names]
                kept = listing.once(self.listing, full)
                names = [name[len(self.inner) :] for name in kept]
            self._of_folder[folder] = names
        return self._of_folder[folder]

    def _num_repeated(self, folder: str) -> int:
        if not self.listing.targets:
            return 0
        start = f"{folder}/" if folder else ""
        total = sum(name.startswith(start) for name in self._names)
        return total - len(self._below(folder))

    def _left_out(self) -> str:
        return "; ".join(self.listing.left_out())

    @property
    def class_splits(self) -> list[str]:
        """The folders that share their classes; "" for all images."""
        return [*self.splits.values()] or [""]

    @functools.cached_property
    def _between(self) -> str:
        """train/images/cat: what lies between every split and its classes."""
        if not self.splits:
            return ""
        names = [
            name
            for folder in self.class_splits
            for name in _without_folder(self._below(folder), folder)
        ]
        return layout.inner(sorted(names), stop_at_splits=False)

    def in_classes(self, names, folder: str) -> list[str]:
        """Names as they lie below the folder that holds the classes."""
        names = _without_folder(names, folder)
        if folder not in self.class_splits or not self._between:
            return names
        return [name.removeprefix(self._between) for name in names]

    @functools.cached_property
    def classes(self) -> tuple[list[str], int]:
        """Class names over all splits, so that a class which one split lacks
        does not shift the labels of the others; images beside them."""
        found = sum(
            (
                layout.tops(self.in_classes(self._below(folder), folder))
                for folder in self.class_splits
            ),
            collections.Counter(),
        )
        loose = found.pop("", 0)
        return sorted(found), loose

    def notes(self, folder: str) -> list[str]:
        """What was left out, and what was found where nobody might look."""
        notes = self.listing.left_out()
        if repeated := self._num_repeated(folder):
            notes.append(f"{repeated} links to images read anyway")
        if self.inner:
            notes.append(f"everything lies in {text_of(self.inner)}")
        used = {*self.splits.values(), folder}
        others = [
            f"{top or 'in no folder'} {count}"
            for top, count in sorted(self._tops.items())
            if self.splits and top not in used
        ]
        if others:
            notes.append(f"in no split: {listing.shortened(others)}")
        return notes


def _without_folder(names: Sequence[str], folder: str) -> list[str]:
    """Names as they lie in a folder, or in one of its own name in it, as in
    seg_train/seg_train/sea/1.jpg."""
    if not folder:
        return names
    twice = f"{folder}/{folder}/"
    start = twice if all(n.startswith(twice) for n in names) else f"{folder}/"
    return [name[len(start) :] for name in names]


def text_of(name: str) -> str:
    """A file's name as text that can be printed and written."""
    return os.fsencode(name).decode(errors="backslashreplace")
