"""A study's figure: a heat map, curves, or bars, as PNG and SVG."""

import io
import textwrap

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.backends import backend_agg, backend_svg
from matplotlib.figure import Figure as Canvas

from simclr_tf.studies import heat_map, tables
from simclr_tf.studies.study import Bars, HeatMap, Measure, Study
from simclr_tf.terminal import printable

_DPI = 100
_GRAY = "0.85"
# Okabe and Ito's colours, which the colour-blind tell apart; markers and dashes
# do so in print, too.
_COLORS = ("#0072B2", "#E69F00", "#009E73", "#D55E00", "#56B4E9", "#CC79A7")
_MARKERS = "osD^vPX"
_DASHES = ("-", "--", "-.", ":")
_MOST_COLUMNS = 3
_LETTERS_OF_A_TICK = 12
# Of the axis, what lines at the same level stand apart, so that the bars of
# all are seen.
_ASIDE = 0.01
_PAPER = {"marker": "X", "edgecolors": "black", "s": 50, "zorder": 3}
# A dollar is a dollar, and begins no formula.
_PLAIN = {"text.parse_math": False}
# Names of SVG's parts are drawn from the salt, not from the time.
_SVG = {"svg.hashsalt": "simclr_tf", **_PLAIN}


def draw(study: Study, settings: pd.DataFrame, *, with_paper: bool) -> Canvas:
    """The figure that a study asks for.

    Args:
        study: which.
        settings: as `tables.summary` makes them.
        with_paper: whether the paper's numbers are of these settings; they
            are drawn as crosses.
    """
    with matplotlib.rc_context(_PLAIN):
        return _drawn(study, settings, with_paper)


def _drawn(study: Study, settings: pd.DataFrame, with_paper: bool) -> Canvas:
    figure = study.figure
    if isinstance(figure, HeatMap):
        return heat_map.draw(study, settings)
    shown = tables.best(study, settings, figure.best_over)
    panels = [
        m for m in study.measures if shown[f"{m.name} runs"].sum()
    ] or study.measures[:1]
    columns = min(len(panels), _MOST_COLUMNS)
    rows = -(-len(panels) // columns)
    beside = 1.3 if figure.lines or with_paper else 0  # for the legend
    canvas = Canvas(
        figsize=(5.2 * columns + beside, 4.2 * rows), layout="constrained"
    )
    axes = canvas.subplots(rows, columns, squeeze=False).ravel()
    for axis in axes[len(panels) :]:
        axis.remove()
    for axis, measure in zip(axes, panels, strict=False):
        plot = _bars if isinstance(figure, Bars) else _curves
        papers = _papers(study, measure) if with_paper else {}
        plot(axis, study, shown, measure, papers)
        if measure.scale == 100.0:  # an interval may be wider than it can be
            low, high = axis.get_ylim()
            axis.set_ylim(max(low, 0), min(high, 102))
        axis.set_ylabel(printable(measure.label))
        axis.set_xlabel(printable(figure.x))
    handles, labels = axes[0].get_legend_handles_labels()
    if labels:
        # Ours first, and the paper's.
        order = sorted(range(len(labels)), key=lambda i: labels[i] == "paper")
        canvas.legend(
            [handles[i] for i in order],
            [labels[i] for i in order],
            title=printable(", ".join(figure.lines)) or None,
            fontsize="small",
            loc="outside right center",
        )
    title = study.title
    if missing := int((shown["status"] != "").sum()):
        title += f" ({missing} setting{'s'[: missing > 1]} not complete)"
    canvas.suptitle(printable(title), fontsize="medium", wrap=True)
    if any(shown[f"{m.name} low"].notna().any() for m in panels):
        canvas.supxlabel(
            f"Bars with caps: {tables.LEVEL:.0%} interval of the mean over "
            "seeds.",
            fontsize="small",
        )
    return canvas


def png(canvas: Canvas) -> bytes:
    """A figure as PNG."""
    backend_agg.FigureCanvasAgg(canvas)
    buffer = io.BytesIO()
    with matplotlib.rc_context(_PLAIN):
        canvas.savefig(
            buffer, format="png", dpi=_DPI, metadata={"Software": None}
        )
    return buffer.getvalue()


def svg(canvas: Canvas) -> bytes:
    """A figure as SVG, the same bytes for the same figure."""
    backend_svg.FigureCanvasSVG(canvas)
    buffer = io.BytesIO()
    with matplotlib.rc_context(_SVG):
        canvas.savefig(buffer, format="svg", metadata={"Date": None})
    return buffer.getvalue()


def _positions(study: Study):
    """Where the levels of x stand, and whether they are numbers."""
    levels = study.levels_of(study.figure.x)
    if all(isinstance(level, int | float) for level in levels):
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


def _lines(study: Study, settings: pd.DataFrame):
    """Label -> part of the settings, for each line."""
    factors = list(study.figure.lines)
    if not factors:
        yield None, settings
        return
    for levels, part in settings.groupby(factors, sort=False):
        yield printable(", ".join(map(str, levels))), part


def _error_bars(part: pd.DataFrame, measure: Measure):
    """float[2, n]: down and up; NaN where there is no interval."""
    mean = part[measure.name]
    down = mean - part[f"{measure.name} low"]
    up = part[f"{measure.name} high"] - mean
    return [down * measure.scale, up * measure.scale]


def _curves(axis, study, settings, measure, papers) -> None:
    places, are_numbers = _positions(study)
    lines = list(_lines(study, settings))
    for i, (label, part) in enumerate(lines):
        color = _COLORS[i % len(_COLORS)]
        shift = (i - (len(lines) - 1) / 2) * _ASIDE
        at = _shifted(
            [places[x] for x in part[study.figure.x]],
            by=shift,
            places=places.values(),
            is_log=are_numbers and _is_log(places),
        )
        axis.errorbar(
            at,
            part[measure.name] * measure.scale,
            yerr=_error_bars(part, measure),
            label=label,
            color=color,
            marker=_MARKERS[i % len(_MARKERS)],
            linestyle=_DASHES[i % len(_DASHES)],
            capsize=3,
        )
        _crosses(axis, at, part, study, papers, color=color)
    _name_crosses(axis, papers)
    if (settings[f"{measure.name} runs"] == 0).any():
        low, high = axis.get_ylim()  # room for what is said of them
        axis.set_ylim(low - 0.25 * (high - low), high)
    _ticks(axis, places, are_numbers)
    axis.grid(color=_GRAY)
    _say_undone(axis, study, settings, measure, places)


def _bars(axis, study, settings, measure, papers) -> None:
    levels = study.levels_of(study.figure.x)
    lines = list(_lines(study, settings))
    width = 0.8 / len(lines)
    for i, (label, part) in enumerate(lines):
        shift = (i - (len(lines) - 1) / 2) * width
        at = [levels.index(x) + shift for x in part[study.figure.x]]
        axis.bar(
            at,
            part[measure.name] * measure.scale,
            width,
            yerr=_error_bars(part, measure),
            label=label,
            color=_COLORS[i % len(_COLORS)],
            edgecolor="white",
            capsize=3,
        )
        _crosses(axis, at, part, study, papers, color="white")
    _name_crosses(axis, papers)
    places = {level: i for i, level in enumerate(levels)}
    _ticks(axis, places, False)
    axis.grid(color=_GRAY, axis="y")
    axis.set_axisbelow(True)
    _say_undone(axis, study, settings, measure, places)


def _say_undone(axis, study, settings, measure, places) -> None:
    """Names what is not there, where it would stand."""
    undone = settings[settings[f"{measure.name} runs"] == 0]
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


def _crosses(axis, at, part, study: Study, papers, *, color) -> None:
    """The paper's numbers of one line."""
    factors = [study.figure.x, *study.figure.lines]
    keys = part[factors].itertuples(index=False, name=None)
    points = [
        (x, papers[key])
        for x, key in zip(at, keys, strict=True)
        if key in papers
    ]
    if points:
        axis.scatter(*zip(*points, strict=True), facecolors=color, **_PAPER)


def _name_crosses(axis, papers) -> None:
    """In the legend, once, whatever their colours."""
    if papers:
        axis.scatter([], [], facecolors="white", label="paper", **_PAPER)
