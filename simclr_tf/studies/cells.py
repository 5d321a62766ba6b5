"""From a study to its cells: plain commands of run.py, each with a name."""

import dataclasses
import os
import re
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from simclr_tf.config import job_kinds, options, roles
from simclr_tf.config.option import Role, check_value
from simclr_tf.errors import UserError
from simclr_tf.studies.digests import RUN, Digests
from simclr_tf.studies.study import Setting, Study

_MOST_LETTERS = 48  # of a setting, in the name of a folder

# What the study's own command says of itself, and not of its cells.
_OF_THE_STUDY = (
    "mode",
    "model_dir",
    "seed",
    "study",
    "study_size",
    "study_seeds",
    "study_index",
    "commands",
)
_LENGTHS = ("train_steps", "train_epochs")
# What evaluations take of what was typed: not how the encoder is trained.
_OF_EVALUATIONS = (
    Role.DATASET | Role.FEATURES | Role.EVALUATION | Role.MACHINE | Role.LOGGING
)
_OF_TRAINING = Role.ARCHITECTURE | Role.SCHEDULE


@dataclasses.dataclass(frozen=True)
class Command:
    """A command of a cell.

    Attributes:
        name: RUN, or of an evaluation; its folder in the cell's.
        flags: option -> value.
    """

    name: str
    flags: Mapping[str, Any]

    def arguments(self, cell_folder: str) -> list[str]:
        """Its flags as they are typed.

        Args:
            cell_folder: where the cell lies.
        """
        mode, *rest = (_typed(n, v) for n, v in self.flags.items())
        places = [f"--model_dir={os.path.join(cell_folder, self.name)}"]
        if self.name != RUN:
            places.append(f"--checkpoint={os.path.join(cell_folder, RUN)}")
        return [mode, *places, *rest]


@dataclasses.dataclass(frozen=True)
class Cell:
    """A setting with a seed.

    Attributes:
        index: in the study; seeds change slowest, so that more seeds leave the
            numbers of cells as they are.
        setting, seed: what it is.
        commands: training, then evaluations.
        digest: of all that its numbers depend on.
    """

    index: int
    setting: Setting
    seed: int
    commands: tuple[Command, ...]
    digest: str

    @property
    def name(self) -> str:
        """Of its folder: words to find it by, and what it depends on. It
        stays the same when other settings join or leave the study."""
        words = re.sub(r"[^A-Za-z0-9.]+", "_", self.setting.words)
        words = words[:_MOST_LETTERS].strip("_.")
        return f"{words}-seed{self.seed}-{self.digest[:10]}"

    @property
    def words(self) -> str:
        """In a line."""
        return f"{self.setting.words}, seed {self.seed}"

    def line(self, folder: str) -> str:
        """Its commands as a line of a shell; `folder` is of the cells."""
        return " && ".join(self.lines(folder))

    def lines(self, folder: str) -> list[str]:
        """Its commands, each as a line of a shell."""
        place = os.path.join(folder, self.name)
        return [
            f"python run.py {shlex.join(command.arguments(place))}"
            for command in self.commands
        ]


def cells_of(
    study: Study,
    *,
    typed: Mapping[str, Any],
    seeds: int,
    first_seed: int = 0,
    defaults: str = "paper",
) -> list[Cell]:
    """All cells, checked.

    Args:
        study: which.
        typed: option -> value of the study's command. They win over the
            study's base.
        seeds: how many cells a setting has.
        first_seed: of them.
        defaults: as in `resolve.resolve`.

    Raises:
        UserError: what was typed is what the study varies, a cell's command
            would be refused, or the weights that it starts from are not there.
    """
    typed = {n: v for n, v in typed.items() if n not in _OF_THE_STUDY}
    _require_options(study)
    _require_free(study, typed)
    cells, digests = [], Digests()
    for seed in range(first_seed, first_seed + seeds):
        for setting in study.settings:
            try:
                commands = _commands(study, setting, seed=seed, typed=typed)
                if defaults != "paper":
                    commands = [
                        Command(c.name, {**c.flags, "defaults": defaults})
                        for c in commands
                    ]
                digest = digests.of((c.name, c.flags) for c in commands)
            except UserError as error:
                raise UserError(
                    f"{error} (Of the cell: {setting.words}.)"
                ) from error
            cells.append(
                Cell(
                    index=len(cells),
                    setting=setting,
                    seed=seed,
                    commands=tuple(commands),
                    digest=digest,
                )
            )
    _require_folders(cells)
    return cells


def _require_folders(cells: Sequence[Cell]) -> None:
    """Refuses cells that would share a folder.

    Raises:
        UserError: two have equal options, and words that begin alike.
    """
    found = {}
    for cell in cells:
        first = found.setdefault(cell.name, cell)
        if first is not cell:
            raise UserError(
                f"--study: {first.words!r} and {cell.words!r} ask for the "
                "same. Leave one out, or let their levels begin with other "
                "words."
            )


def _require_options(study: Study) -> None:
    """Refuses what a study cannot say.

    Raises:
        UserError: no option, or one without a value, or what a cell is told
            by its place in the study.
    """
    training, evaluations = [study.base], [*study.evaluations.values()]
    for setting in study.settings:
        training += [setting.flags, setting.base]
        evaluations += filter(None, setting.evaluations.values())
    told = (*_OF_THE_STUDY, "checkpoint")
    for flags, not_its_own in (
        *((flags, _OF_THE_STUDY) for flags in training),
        *((flags, told) for flags in evaluations),
    ):
        for name, value in flags.items():
            if name not in options():
                why = "which is no option (--help lists them)"
            elif name in not_its_own:
                why = "which is told to a cell for it"
            elif value is None:
                why = "which cannot be typed"
            else:
                continue
            raise UserError(
                f"--study: it says {name}={value!r}, {why}. Leave it out."
            )


def _require_free(study: Study, typed: Mapping[str, Any]) -> None:
    """Refuses what the study says itself."""
    varied = {name for setting in study.settings for name in setting.flags}
    # Either would overrule the other.
    if varied.intersection(_LENGTHS):
        varied.update(_LENGTHS)
    for name, value in typed.items():
        if name in varied or name == "protocol":
            raise UserError(
                f"--{name}={roles.show(value)} is what this study says itself, "
                "cell by cell. Leave it out, or write a study of your own "
                "(docs/studies.md)."
            )


def _commands(study, setting, *, seed: int, typed) -> list[Command]:
    training = {"mode": "train_then_eval", **setting.flags}
    base = {**study.base, **setting.base}
    if "train_epochs" in typed:
        base.pop("train_steps", None)  # a length in the other unit
    base |= typed
    commands = [Command(RUN, {**_with(training, base), "seed": seed})]
    data = {
        name: value
        for name, value in typed.items()
        if roles.role_of(name) & _OF_EVALUATIONS
        and not roles.role_of(name) & _OF_TRAINING
    }
    for name, own in study.evaluations.items():
        differs = setting.evaluations.get(name, {})
        if differs is None:
            continue
        flags = {"mode": "evaluate", **own, **differs}
        commands.append(Command(name, {**_with(flags, data), "seed": seed}))
    return commands


def _with(own: Mapping[str, Any], more: Mapping[str, Any]) -> dict[str, Any]:
    """A command's own options behind those of `more` that its job takes."""
    asked, known, job = {**more, **own}, options(), {}
    for name in ("mode", "train_mode", "protocol"):
        field = known[name][1]
        job[name] = asked.get(name, field.default)
        check_value(field, job[name])
    taken = job_kinds.takes(**job)
    kept = {
        name: value
        for name, value in more.items()
        if name in own or known[name][1].metadata["jobs"] & taken
    }
    return {"mode": own["mode"], **kept, **own}


def _typed(name: str, value: Any) -> str:
    """A flag as it is typed, which is parsed to the same value."""
    if isinstance(value, bool):
        value = str(value).lower()
    elif isinstance(value, tuple | list):
        value = ",".join(map(str, value))
    return f"--{name}={value}"
