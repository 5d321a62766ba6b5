"""What a study is: settings, how they are scored, how it is drawn."""

import dataclasses
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from simclr_tf.terminal import printable

Level = str | int | float
# What the tables and the records have beside factors, measures, evaluations.
_COLUMNS = ("index", "seed", "status")
_RECORDS = ("run", "log")


@dataclasses.dataclass(frozen=True)
class Measure:
    """A number of a cell.

    Attributes:
        name: in words; a column of the table.
        sources: where it is read, the first that is there: "run:KEY" of the
            run's result.json, "log:KEY" of the last line of its metrics.jsonl,
            or "NAME:KEY" of the record of the evaluation called NAME. KEY may
            hold wildcards.
        scale: what it is multiplied by where it is shown; 100 for percent.
        panel: the panel of bars or curves that it shares with the others of
            this panel; empty: one of its own.
        line: what it is called there.
    """

    name: str
    sources: tuple[str, ...]
    scale: float = 100.0
    panel: str = ""
    line: str = ""

    def __post_init__(self):
        if isinstance(self.sources, str) or not self.sources:
            raise ValueError(
                f"The sources of the measure {self.name!r} must be a tuple of "
                f"texts. Received: {self.sources!r}."
            )

    @property
    def label(self) -> str:
        """The name with its unit."""
        return self._with_unit(self.name)

    @property
    def axis_label(self) -> str:
        """The name of its panel, with the unit."""
        return self._with_unit(self.panel or self.name)

    @property
    def legend(self) -> str:
        """What tells it from the others of its panel; empty: it is alone."""
        return (self.line or self.name) if self.panel else ""

    def _with_unit(self, name: str) -> str:
        return f"{name}, %" if self.scale == 100.0 else name


def by_panel(measures: Iterable[Measure]) -> list[list[Measure]]:
    """Those that are drawn in a panel together, in their order."""
    found: dict[tuple[str, str], list[Measure]] = {}
    for measure in measures:
        key = (measure.panel, "" if measure.panel else measure.name)
        found.setdefault(key, []).append(measure)
    return list(found.values())


# Of every pretraining on data with labels, and of every classifier.
PROBE = Measure("linear probe", ("run:eval/label_top_1_accuracy",))


@dataclasses.dataclass(frozen=True)
class Setting:
    """One of the things that are compared.

    Attributes:
        levels: factor -> level, in words or numbers.
        flags: option -> value, of training; what is compared.
        base: option -> value of training that differs from the study's base,
            and gives way to what is typed.
        evaluations: name -> options that differ from the study's evaluation of
            this name; None: it is left out.
        paper: measure -> the paper's number, as it is shown.
    """

    levels: Mapping[str, Level]
    flags: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    base: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    evaluations: Mapping[str, Mapping[str, Any] | None] = dataclasses.field(
        default_factory=dict
    )
    paper: Mapping[str, float] = dataclasses.field(default_factory=dict)

    def __post_init__(self):
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if not isinstance(value, Mapping):
                raise ValueError(
                    f"{field.name} of a setting must be a dict. Received: "
                    f"{value!r}."
                )
        for name, asked in self.evaluations.items():
            if asked is not None and not isinstance(asked, Mapping):
                raise ValueError(
                    f"The evaluation {name!r} of a setting must be a dict of "
                    f"options, or None. Received: {asked!r}."
                )
        levels = {name: _level(name, v) for name, v in self.levels.items()}
        object.__setattr__(self, "levels", levels)

    @property
    def words(self) -> str:
        """Its levels, in a line."""
        return printable(", ".join(f"{k} {v}" for k, v in self.levels.items()))


@dataclasses.dataclass(frozen=True)
class HeatMap:
    """A matrix of colours with numbers, and a last column of the rows' means.

    Attributes:
        rows, columns: factors.
    """

    rows: str
    columns: str


@dataclasses.dataclass(frozen=True)
class Curves:
    """A panel for each measure (or more: `Measure.panel`), in it a line for
    each level of a factor.

    Attributes:
        x: factor along the axis.
        lines: factors, whose levels together have a line each; none: one line.
        best_over: factors of which the best level counts.
    """

    x: str
    lines: tuple[str, ...] = ()
    best_over: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Bars:
    """A panel for each measure (or more: `Measure.panel`), in it groups of
    bars.

    Attributes: as of `Curves`.
    """

    x: str
    lines: tuple[str, ...] = ()
    best_over: tuple[str, ...] = ()


Figure = HeatMap | Curves | Bars


@dataclasses.dataclass(frozen=True)
class Study:
    """A comparison.

    Attributes:
        title: what it is about, and the paper's figure or table.
        base: option -> value, of all training.
        settings: what is compared; all have the same factors.
        figure: how it is drawn.
        measures: what is read of each cell; the first must be there.
        evaluations: name -> options of a --mode=evaluate command that follows
            training, which are not what training was told.
        seeds: how often each setting is run.
    """

    title: str
    base: Mapping[str, Any]
    settings: Sequence[Setting]
    figure: Figure
    measures: Sequence[Measure] = (PROBE,)
    evaluations: Mapping[str, Mapping[str, Any]] = dataclasses.field(
        default_factory=dict
    )
    seeds: int = 1

    def __post_init__(self):
        if not self.settings or not self.measures:
            raise ValueError("A study needs settings and measures.")
        for setting in self.settings:
            if list(setting.levels) != self.factors:
                raise ValueError(
                    f"Every setting needs the factors {self.factors}. "
                    f"Received: {list(setting.levels)}."
                )
        levels = [tuple(s.levels.values()) for s in self.settings]
        if len(set(levels)) < len(levels):
            raise ValueError("Two settings have the same levels.")
        if not isinstance(self.seeds, int) or self.seeds < 1:
            raise ValueError(
                f"seeds must be at least 1. Received: {self.seeds!r}."
            )
        self._check_figure()
        self._check_records()

    def _check_figure(self):
        figure = self.figure
        used = (
            [figure.rows, figure.columns]
            if isinstance(figure, HeatMap)
            else [figure.x, *figure.lines, *figure.best_over]
        )
        for factor in used:
            if factor not in self.factors:
                raise ValueError(f"The figure's factor {factor!r} is none.")
        _require_different("factors of the figure", used)
        for shared in by_panel(self.measures):
            panel = shared[0].panel
            scales = {m.scale for m in shared}
            if len(scales) > 1:
                raise ValueError(
                    f"The measures of the panel {panel!r} must have one "
                    f"scale. Received: {sorted(scales)}."
                )
            _require_different(
                f"lines of the panel {panel!r}", [m.legend for m in shared]
            )

    def _check_records(self):
        """Columns of the table, and where measures are read."""
        names = [
            f"{measure.name}{of}"
            for measure in self.measures
            for of in ("", " low", " high", " runs")
        ]
        _require_different(
            "columns of the table", [*_COLUMNS, *self.factors, *names]
        )
        for name, asked in self.evaluations.items():
            if not isinstance(asked, Mapping):
                raise ValueError(
                    f"The evaluation {name!r} must be a dict of options. "
                    f"Received: {asked!r}."
                )
            # Files of a cell have dots in their names.
            if name in _RECORDS or not re.fullmatch(r"\w[\w-]*", name):
                raise ValueError(
                    f"No evaluation can be called {name!r}: its folder is."
                )
        # The others may be of some settings, or of a study like this one.
        first = self.measures[0]
        known = (*_RECORDS, *self.evaluations)
        if not any(one.partition(":")[0] in known for one in first.sources):
            raise ValueError(
                f"The measure {first.name!r} is read from "
                f"{' or '.join(first.sources)}: neither run:, nor log:, nor of "
                "an evaluation."
            )

    @property
    def factors(self) -> list[str]:
        """Their names."""
        return list(self.settings[0].levels)

    def levels_of(self, factor: str) -> list[Level]:
        """In the order of the settings, each once."""
        return list(dict.fromkeys(s.levels[factor] for s in self.settings))


def _level(factor: str, value: Any) -> Level:
    """A level as Python's own, since NumPy's are none of JSON.

    Raises:
        ValueError: it is neither a text nor a finite number.
    """
    value = value.item() if isinstance(value, np.generic) else value
    if isinstance(value, str) or (
        isinstance(value, int | float) and math.isfinite(value)
    ):
        return value
    raise ValueError(
        f"A level must be a text or a finite number. Received: {factor!r} "
        f"{value!r}."
    )


def _require_different(what: str, names: Iterable[str]) -> None:
    names = list(names)
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"Two {what} are called {name!r}.")
