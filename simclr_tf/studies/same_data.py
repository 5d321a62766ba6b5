"""Cells are compared where they are of the same images, labels and weights.

A cell keeps what each of its commands read: how it was asked for, and the
fingerprints of what lay there. Who asks for the same must find the same; cells
of before fingerprints were kept say nothing, and count.
"""

import json
import os
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from simclr_tf.config import Config, roles
from simclr_tf.config.option import Role
from simclr_tf.errors import UserError
from simclr_tf.run_files import folder as run_folder
from simclr_tf.run_files.folder import RunFolder
from simclr_tf.studies.cells import Cell
from simclr_tf.studies.digests import RUN
from simclr_tf.studies.reading import json_of, record_of

# Of a run's facts, what a message can say.
_SAID = ("num_examples", "class_names")
_MEND = (
    "Give it the images and labels that it began with, or choose another "
    "--model_dir."
)
# Of an evaluation's command, what says nothing of its data.
_NOT_OF_DATA = ("mode", "protocol")
# What a run starts from, beside the names of commands, which have no space.
_START = "first weights"


def facts_of(
    config: Config,
    *,
    data: Mapping[str, Any],
    scored: Mapping[str, Any],
) -> dict[str, Any]:
    """What a run read.

    Args:
        config: of the run.
        data: facts of what is trained on, as config.json has them.
        scored: the fingerprint of what is scored on, as result.json has it.
    """
    asked = roles.values_of(config, Role.DATASET | Role.DATA)
    asked |= {
        name: roles.flat(config)[name]
        for name in ("train_mode", "eval_split", "num_channels")
    }
    found = {"train": data.get("fingerprint")}
    # A teacher's classes choose what its student is scored on.
    if "eval_fingerprint" in scored and config.job.train_mode != "distill":
        found["eval"] = scored["eval_fingerprint"]
    facts = {"asked": asked, "fingerprints": found}
    facts |= {name: data.get(name) for name in _SAID}
    return json.loads(json.dumps(facts))


def facts_of_cell(folder: str, cell: Cell) -> dict[str, Any] | None:
    """What a cell's commands read, by name; None where its run says nothing.

    Args:
        folder: of the cell.
        cell: whose commands have run.
    """
    place = os.path.join(folder, RUN)
    try:
        saved = RunFolder(place, writes=False).saved()
    except UserError:
        return None
    result = json_of(os.path.join(place, "result.json")) or {}
    if saved is None or not saved.data.get("fingerprint"):
        return None
    trained = facts_of(saved.config, data=saved.data, scored=result)
    found = {RUN: trained}
    start = json_of(os.path.join(place, "start_weights.json")) or {}
    if start.get("checkpoint") or start.get("teacher"):
        found[_START] = _facts_of_start(saved.config, start)
    for command in cell.commands:
        splits = record_of(os.path.join(folder, command.name)).get("splits")
        if command.name == RUN or not isinstance(splits, Mapping):
            continue
        own = {n: v for n, v in command.flags.items() if n not in _NOT_OF_DATA}
        found[command.name] = {
            # What it does not say, it takes from the run.
            "asked": {**trained["asked"], **json.loads(json.dumps(own))},
            "fingerprints": {
                name: split.get("fingerprint")
                for name, split in splits.items()
                if isinstance(split, Mapping)
            },
        }
    return found


def _facts_of_start(config: Config, start: Mapping[str, Any]) -> dict[str, Any]:
    """A run that is started from may train on while cells come and go."""
    asked = {
        name: value
        for name, value in roles.values_of(config, Role.LOCATION).items()
        if roles.role_of(name) & Role.OBJECTIVE
    }
    asked["ema_weights"] = config.job.ema_weights
    read = {}
    if start.get("checkpoint"):
        read["encoder"] = start.get("encoder_sha256")
    if start.get("teacher"):
        read["teacher"] = start.get("frozen_sha256")
    return {"asked": asked, "fingerprints": read}


class SameData:
    """The data of a study's cells.

    Args:
        cells: all of the study.
        data_of: what a cell that is done keeps of its data, by command; None
            of one that is not done, or keeps nothing.
        folder: of the study.
        place_of: the folder of a cell.
    """

    def __init__(
        self,
        cells: Iterable[Cell],
        data_of: Callable[[Cell], Mapping[str, Any] | None],
        *,
        folder: str,
        place_of: Callable[[Cell], str],
    ):
        self._cells, self._data_of = list(cells), data_of
        self._folder, self._place_of = folder, place_of

    def require(self, cell: Cell) -> None:
        """Checks what a cell whose commands have run has read.

        Raises:
            UserError: a cell that is done asked for the same and found
                something else.
        """
        mine = facts_of_cell(self._place_of(cell), cell) or {}
        for other, theirs in self._known():
            for name, facts in mine.items():
                changed = difference(theirs.get(name), facts)
                if changed and name == _START:
                    raise UserError(
                        f"--checkpoint={facts['asked']['checkpoint']} has "
                        "trained on or been replaced since the cell of "
                        f"{other.words} began with it. Name one checkpoint "
                        "(RUN/ckpt-100) that stays, and another --model_dir."
                    )
                if changed:
                    raise UserError(
                        f"--model_dir={self._folder}: this cell is of other "
                        f"data than that of {other.words} ({name}): {changed}. "
                        f"{_MEND}"
                    )

    def require_here(
        self, facts_here: Callable[[str], Mapping[str, Any] | None]
    ) -> None:
        """Checks the data that the next cells would read, once for each way
        in which it is asked for.

        Args:
            facts_here: the folder of a run -> `facts_of` what its options
                find now; None where that cannot change.

        Raises:
            UserError: it is not what cells that are done have read.
        """
        seen = []
        for cell, known in self._known():
            before = known.get(RUN)
            place = os.path.join(self._place_of(cell), RUN)
            # Without it, nobody knows how the data was opened.
            config = os.path.join(place, "config.json")
            if not isinstance(before, Mapping) or json_of(config) is None:
                continue
            if before.get("asked") in seen:
                continue
            seen.append(before.get("asked"))
            if changed := difference(before, facts_here(place)):
                raise UserError(
                    f"--model_dir={self._folder} has cells of other data "
                    f"({cell.words}): {changed}. Cells of both would be "
                    f"compared in one table. {_MEND}"
                )

    def _known(self) -> list[tuple[Cell, Mapping[str, Any]]]:
        found = [(cell, self._data_of(cell)) for cell in self._cells]
        return [(cell, data) for cell, data in found if data]


def difference(before: Any, now: Any) -> str | None:
    """How what was read differs, in words; None where it does not, or
    something else was asked for."""
    if not isinstance(before, Mapping) or not isinstance(now, Mapping):
        return None
    if before.get("asked") != now.get("asked"):
        return None
    kept = before.get("fingerprints")
    changed = [
        name
        for name, value in now["fingerprints"].items()
        if isinstance(kept, Mapping) and kept.get(name, value) != value
    ]
    if not changed:
        return None
    if "train" in changed and "num_examples" in now:
        return run_folder.differences(before, now)
    return f"as --{changed[0]}_split, of other contents or labels"
