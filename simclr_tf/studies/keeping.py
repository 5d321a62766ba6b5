"""What lies in a study's folder: study.json, and a folder for each cell.

cells/tau_0.1-seed0-0123456789/     its setting, and digest of its options
    run/                  of training
    <evaluation>/         records
    log.txt               what the commands printed
    claim.json            whose it is, while it is run
    cell.json             its numbers; with it, the cell is done
    failed.json           why it is not
"""

import dataclasses
import fnmatch
import math
import os
import time
from collections.abc import Mapping, Sequence
from typing import Any

import tensorflow as tf

import simclr_tf
from simclr_tf import files
from simclr_tf.errors import UserError
from simclr_tf.run_files import metrics_file, owner
from simclr_tf.studies import same_data
from simclr_tf.studies.cells import RUN, Cell
from simclr_tf.studies.reading import json_of, record_of
from simclr_tf.studies.study import Measure

gfile = tf.io.gfile

_CLAIM = "claim.json"
# A checkpoint's score is a line of its own.
_ROWS = 5


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What is known of a cell.

    Attributes:
        cell: which.
        values: measure -> number; None where the cell is not done.
        sources: measure -> where its number was read.
        error: why it failed, in a line; None where it did not.
        seconds: that it took; None where it is not done.
        data: what it keeps of the data that it read; None where nothing.
    """

    cell: Cell
    values: Mapping[str, float] | None = None
    sources: Mapping[str, str] = dataclasses.field(default_factory=dict)
    error: str | None = None
    seconds: float | None = None
    data: Mapping[str, Any] | None = None


class StudyFolder:
    """A study's folder.

    Args:
        path: of any file system.
        measures: of the study. A cell counts while it was these that were
            looked for in its records; the first must have been there.
    """

    def __init__(self, path: str, *, measures: Sequence[Measure] = ()):
        self.path = path
        self._asked = {m.name: list(m.sources) for m in measures}
        self.cells = os.path.join(path, "cells")

    def folder_of(self, cell: Cell) -> str:
        """Where a cell lies."""
        return os.path.join(self.cells, cell.name)

    def file_of(self, cell: Cell, name: str) -> str:
        """A file of a cell."""
        return os.path.join(self.folder_of(cell), name)

    def outcome(self, cell: Cell) -> Outcome:
        """What is known of a cell; nothing of what is damaged."""
        done = json_of(self.file_of(cell, "cell.json"))
        if done and self._counts(done, cell):
            return Outcome(
                cell,
                values=done["measures"],
                sources=done["sources"],
                seconds=done["seconds"],
                data=_mapping(done.get("data")),
            )
        failed = json_of(self.file_of(cell, "failed.json"))
        return Outcome(cell, error=failed and str(failed.get("error")))

    def _counts(self, done: Mapping[str, Any], cell: Cell) -> bool:
        """Whether a cell.json is whole, and of this cell."""
        values, sources = done.get("measures"), done.get("sources")
        return (
            done.get("digest") == cell.digest
            and isinstance(values, Mapping)
            and all(map(_is_number, values.values()))
            and (not self._asked or self._answers(done))
            and isinstance(sources, Mapping)
            and _is_number(done.get("seconds"))
        )

    def _answers(self, done: Mapping[str, Any]) -> bool:
        """Whether what a study asks now is what was asked then."""
        first = next(iter(self._asked))
        return done.get("asked") == self._asked and first in done["measures"]

    def is_done(self, cell: Cell) -> bool:
        """Whether its numbers are there."""
        return self.outcome(cell).values is not None

    def same_data(self, cells: Sequence[Cell]) -> same_data.SameData:
        """Who sees to it that all cells of a study are of the same data."""
        return same_data.SameData(
            cells,
            lambda cell: self.outcome(cell).data,
            folder=self.path,
            place_of=self.folder_of,
        )

    def failed_since(self, cell: Cell, moment: float) -> bool:
        """Whether it failed after a moment (time.time())."""
        failed = json_of(self.file_of(cell, "failed.json"))
        if failed is None or not _is_number(failed.get("time")):
            return False
        return failed["time"] >= moment

    def claim(self, cell: Cell) -> owner.Owner | None:
        """Makes a cell this process's, until it is released or dies; None
        where another has it, or what it left behind still runs."""
        folder = self.folder_of(cell)
        files.make_folders(folder)
        try:
            claim = owner.Owner(folder, name=_CLAIM)
        except owner.Owned:
            return None
        if owner.is_owned(os.path.join(folder, RUN)):
            claim.release()
            return None
        files.sweep_asides(folder)
        return claim

    def num_claimed(self, cells: Sequence[Cell]) -> int:
        """How many of these cells are being run."""
        return sum(
            owner.is_owned(self.folder_of(cell), name=_CLAIM) for cell in cells
        )

    def write_done(
        self, cell: Cell, found: Mapping[str, tuple[float, str]], seconds: float
    ) -> None:
        """Makes a cell count.

        Args:
            cell: which.
            found: measure -> its number, and where it was read.
            seconds: that it took.
        """
        files.write_json(
            self.file_of(cell, "cell.json"),
            {
                "index": cell.index,
                "seed": cell.seed,
                "levels": dict(cell.setting.levels),
                "digest": cell.digest,
                "commands": self.lines(cell),
                "asked": self._asked,
                "measures": {name: value for name, (value, _) in found.items()},
                "sources": {name: place for name, (_, place) in found.items()},
                "seconds": round(seconds, 1),
                "data": same_data.facts_of_cell(self.folder_of(cell), cell),
                "simclr_tf": simclr_tf.__version__,
            },
        )
        self._forget_failure(cell)

    def write_failed(self, cell: Cell, error: str) -> None:
        """Says why a cell is not done."""
        content = {
            "index": cell.index,
            "digest": cell.digest,
            "commands": self.lines(cell),
            "error": error,
            "time": time.time(),
        }
        files.write_json(self.file_of(cell, "failed.json"), content)

    def lines(self, cell: Cell) -> list[str]:
        """A cell's commands."""
        return cell.lines(self.cells)

    def _forget_failure(self, cell: Cell) -> None:
        path = self.file_of(cell, "failed.json")
        if gfile.exists(path):
            gfile.remove(path)


def measured(
    folder: str, cell: Cell, measures: Sequence[Measure]
) -> dict[str, tuple[float, str]]:
    """Reads a cell's numbers from the records of its commands.

    Args:
        folder: of the cell.
        cell: whose commands have run.
        measures: the first must be there.

    Returns:
        Measure -> its number, which is finite, and which of its sources has
        it.

    Raises:
        UserError: no record has the first, or it is not finite.
    """
    contents = {"log": _last_row(os.path.join(folder, RUN))}
    for command in cell.commands:
        place = os.path.join(folder, command.name)
        contents[command.name] = (
            _result(place) if command.name == RUN else _record(place)
        )
    found = {}
    for measure in measures:
        for source in measure.sources:
            name, _, pattern = source.partition(":")
            if hit := _first(contents.get(name, {}), pattern):
                found[measure.name] = (hit[1], f"{name}:{hit[0]}")
                break
    found, endless = (
        {n: f for n, f in found.items() if math.isfinite(f[0]) is finite}
        for finite in (True, False)
    )
    if measures[0].name in endless:
        value, place = endless[measures[0].name]
        raise UserError(
            f"{folder}: {measures[0].name} is {value} ({place}), no number."
        )
    if measures[0].name not in found:
        raise UserError(
            f"{folder} has no {measures[0].name} "
            f"({' or '.join(measures[0].sources)}): are there labels to score "
            "on?"
        )
    return found


def _first(
    content: Mapping[str, Any], pattern: str
) -> tuple[str, float] | None:
    for key, value in content.items():
        is_number = isinstance(value, int | float)
        if fnmatch.fnmatchcase(key, pattern) and is_number:
            return key, float(value)
    return None


def _mapping(value: Any) -> Mapping[str, Any] | None:
    return value if isinstance(value, Mapping) else None


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)


def _result(folder: str) -> dict[str, Any]:
    return json_of(os.path.join(folder, "result.json")) or {}


def _record(folder: str) -> dict[str, Any]:
    """The metrics of the record of an evaluation; of several variants (kNN's
    numbers of neighbours), the first has its name without a prefix, too."""
    record = record_of(folder)
    found = {
        name: each["value"]
        for name, each in record.get("metrics", {}).items()
        if isinstance(each, Mapping) and "value" in each
    }
    main = str(record.get("metric"))
    if main in found:
        found.setdefault(main.split("/")[-1], found[main])
    return found


def _last_row(folder: str) -> dict[str, Any]:
    """The newest value of everything that the last lines of the log have."""
    path = os.path.join(folder, "metrics.jsonl")
    rows = metrics_file.last_rows(path, _ROWS) if gfile.exists(path) else []
    return {key: value for row in rows for key, value in row.items()}
