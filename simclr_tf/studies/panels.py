"""A panel of a study's figure: curves or bars of one measure, or of several."""

import dataclasses
import textwrap

import numpy as np
import pandas as pd

from simclr_tf.studies import tables
from simclr_tf.studies.study import Bars, Curves, Measure, Study
from simclr_tf.terminal import printable

_GRAY = "0.85"
# Okabe and Ito's colours, which the colour-blind tell apart; markers and dashes
# do so in print, too.
_COLORS = ("#0072B2", "#E69F00", "#009E73", "#D55E00", "#56B4E9", "#CC79A7")
_MARKERS = "osD^vPX"
_DASHES = ("-", "--", "-.", ":")
_LETTERS_OF_A_TICK = 12
# Of the axis, what lines at the same level stand apart, so that the bars of
# all are seen.
_ASIDE = 0.01
_PAPER = {"marker": "X", "edgecolors": "black", "s": 50, "zorder": 3}


def draw(axis, study: Study, settings, measures, *, with_paper: bool) -> None:
    """Curves or bars, as the study asks, and what is not there by name.

    Args:
        axis: of Matplotlib.
        study: which.
        settings: as `tables.summary` makes them, those to be shown.
        measures: of this panel.
        with_paper: whether the paper's numbers are drawn, as crosses.
    """
    lines = list(_lines(study, settings, measures, with_paper))
    places, are_numbers = _positions(study)
    if isinstance(study.figure, Bars):
        _bars(axis, study, lines, places)
    else:
        _curves(axis, study, lines, places, are_numbers)
    _name_crosses(axis, lines)
    _ticks(axis, places, are_numbers)
    _say_undone(axis, study, settings, measures, places)


def _positions(study: Study):
    """Where the levels of x stand, and whether they are numbers there."""
    levels = study.levels_of(study.figure.x)
    if isinstance(study.figure, Curves) and all(
        isinstance(level, int | float) for level in levels
    ):
        return {level: level for level in levels}, True
    return {level: i for i, level in enumerate(levels)}, False


def _ticks(axis, places, are_numbers: bool) -> None:
    if are_numbers and _is_log(places):
        axis.set_xscale("log")
        axis.minorticks_off()
    labels = [
        f"{p:g}"
        if are_numbers
        else textwrap.fill(printable(str(p)), _LETTERS_OF_A_TICK)
        for p in places
    ]
    size = "medium" if are_numbers else "small"
    axis.set_xticks(list(places.values()), labels, fontsize=size)


def _is_log(levels) -> bool:
    """Whether numbers span so much that equal ratios get equal room."""
    return min(levels) > 0 and max(levels) / min(levels) >= 4


def _shifted(at, *, by: float, places, is_log: bool) -> np.ndarray:
    """Places along x, moved by a part of the axis."""
    ends = np.array([min(places), max(places)], float)
    if is_log:
        return np.exp(np.log(at) + by * np.ptp(np.log(ends)))
    return np.asarray(at) + by * np.ptp(ends)


@dataclasses.dataclass(frozen=True)
class _Line:
    """A curve, or the bars of one colour.

    Attributes:
        label: in the legend; None: it has none.
        part: the settings that are on it.
        measure: what is shown of them.
        papers: float[len(part)], the paper's numbers; NaN where there is none.
        number: the same for the same label, in all panels.
    """

    label: str | None
    part: pd.DataFrame
    measure: Measure
    papers: np.ndarray
    number: int

    def style_of(self, styles):
        """Its own of some colours, markers or dashes."""
        return styles[self.number % len(styles)]

    @property
    def values(self) -> pd.Series:
        return self.part[self.measure.name] * self.measure.scale

    @property
    def error_bars(self):
        """float[2, n]: down and up; NaN where there is no interval."""
        name, scale = self.measure.name, self.measure.scale
        mean, low, high = (self.part[name + x] for x in ("", " low", " high"))
        return [(mean - low) * scale, (high - mean) * scale]


def _lines(study: Study, settings: pd.DataFrame, measures, with_paper: bool):
    """The lines of a panel: the factors' levels, for each of its measures."""
    factors = list(study.figure.lines)
    parts = (
        list(settings.groupby(factors, sort=False))
        if factors
        else [((), settings)]
    )
    # Of all measures, those that are not shown, too.
    names = list(dict.fromkeys(m.legend for m in study.measures))
    for measure in measures:
        papers = _papers(study, measure) if with_paper else {}
        keys = [study.figure.x, *factors]
        for number, (levels, part) in enumerate(parts):
            found = part[keys].itertuples(index=False, name=None)
            words = [*map(str, levels), measure.legend]
            yield _Line(
                printable(", ".join(filter(None, words))) or None,
                part,
                measure,
                np.array([papers.get(key, np.nan) for key in found]),
                number + len(parts) * names.index(measure.legend),
            )


def _curves(axis, study: Study, lines, places, are_numbers) -> None:
    for i, line in enumerate(lines):
        color = line.style_of(_COLORS)
        shift = (i - (len(lines) - 1) / 2) * _ASIDE
        at = _shifted(
            [places[x] for x in line.part[study.figure.x]],
            by=shift,
            places=places.values(),
            is_log=are_numbers and _is_log(places),
        )
        axis.errorbar(
            at,
            line.values,
            yerr=line.error_bars,
            label=line.label,
            color=color,
            marker=line.style_of(_MARKERS),
            linestyle=line.style_of(_DASHES),
            capsize=3,
        )
        _crosses(axis, at, line, color=color)
    axis.grid(color=_GRAY)


def _bars(axis, study: Study, lines, places) -> None:
    width = 0.8 / len(lines)
    for i, line in enumerate(lines):
        shift = (i - (len(lines) - 1) / 2) * width
        at = [places[x] + shift for x in line.part[study.figure.x]]
        axis.bar(
            at,
            line.values,
            width,
            yerr=line.error_bars,
            label=line.label,
            color=line.style_of(_COLORS),
            edgecolor="white",
            capsize=3,
        )
        _crosses(axis, at, line, color="white")
    axis.grid(color=_GRAY, axis="y")
    axis.set_axisbelow(True)


def _say_undone(axis, study: Study, settings, measures, places) -> None:
    """Names what is not there, where it would stand."""
    runs = settings[[f"{measure.name} runs" for measure in measures]]
    undone = settings[(runs == 0).any(axis=1)]
    if len(undone) and isinstance(study.figure, Curves):
        low, high = axis.get_ylim()  # room for what is said of them
        axis.set_ylim(low - 0.25 * (high - low), high)
    for x, rows in undone.groupby(study.figure.x, sort=False):
        words = sorted(
            {tables.undone(row) for _, row in rows.iterrows() if row["status"]}
        )
        if not words:
            continue
        axis.text(
            places[x],
            0.02,
            ", ".join(words),
            transform=axis.get_xaxis_transform(),
            rotation=90,
            ha="center",
            va="bottom",
            fontsize="x-small",
            color="0.3",
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 1},
        )


def _papers(study: Study, measure: Measure) -> dict[tuple, float]:
    """Levels of x and of the lines -> the paper's number."""
    factors = [study.figure.x, *study.figure.lines]
    return {
        tuple(s.levels[factor] for factor in factors): s.paper[measure.name]
        for s in study.settings
        if measure.name in s.paper
    }


def _crosses(axis, at, line: _Line, *, color) -> None:
    """The paper's numbers of one line."""
    if np.isfinite(line.papers).any():
        axis.scatter(at, line.papers, facecolors=color, **_PAPER)


def _name_crosses(axis, lines: list[_Line]) -> None:
    """In the legend, once, whatever their colours."""
    if any(np.isfinite(line.papers).any() for line in lines):
        axis.scatter([], [], facecolors="white", label="paper", **_PAPER)
