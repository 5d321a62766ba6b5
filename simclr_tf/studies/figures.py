"""A study's figure: a heat map, curves, or bars, as PNG and SVG."""

import io
import math

import matplotlib
import pandas as pd
from matplotlib.backends import backend_agg, backend_svg
from matplotlib.figure import Figure as Canvas

from simclr_tf.studies import tables
from simclr_tf.studies.study import Bars, HeatMap, Measure, Study
from simclr_tf.terminal import printable

_DPI = 100
_GRAY = "0.85"
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
        return _heat_map(study, settings)
    shown = tables.best(study, settings, figure.best_over)
    panels = [
        m for m in study.measures if shown[f"{m.name} runs"].sum()
    ] or study.measures[:1]
    canvas = Canvas(
        figsize=(5.2 * len(panels) + 0.4, 4.2), layout="constrained"
    )
    axes = canvas.subplots(1, len(panels), squeeze=False)[0]
    for axis, measure in zip(axes, panels, strict=True):
        plot = _bars if isinstance(figure, Bars) else _curves
        plot(axis, study, shown, measure)
        if with_paper:
            _crosses(axis, study, measure)
        axis.set_ylabel(printable(measure.label))
        axis.set_xlabel(printable(figure.x))
        if axis.get_legend_handles_labels()[1]:
            of = printable(", ".join(figure.lines))
            axis.legend(title=of, fontsize="small")
    title = study.title
    if missing := int((shown["status"] != "").sum()):
        title += f" ({missing} settings not complete)"
    canvas.suptitle(printable(title), fontsize="medium", wrap=True)
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


def _heat_map(study: Study, settings: pd.DataFrame) -> Canvas:
    figure, measures = study.figure, study.measures
    rows = study.levels_of(figure.rows)
    columns = study.levels_of(figure.columns)
    panels = [m for m in measures if settings[f"{m.name} runs"].sum()]
    panels = panels or measures[:1]
    width = 1.6 + 0.75 * (len(columns) + 1)
    canvas = Canvas(
        figsize=(width * len(panels), 1.6 + 0.6 * len(rows)),
        layout="constrained",
    )
    axes = canvas.subplots(1, len(panels), squeeze=False)[0]
    for axis, measure in zip(axes, panels, strict=True):
        grid = settings.pivot_table(
            index=figure.rows, columns=figure.columns, values=measure.name
        ).reindex(index=rows, columns=columns)
        means = grid.mean(axis=1, skipna=False)
        grid.insert(len(columns), "mean", means, allow_duplicates=True)
        _matrix(axis, grid * measure.scale, measure)
        _name_undone(axis, study, settings, measure)
        axis.set_xlabel(printable(figure.columns))
        axis.set_ylabel(printable(figure.rows))
        axis.set_title(printable(measure.label), fontsize="medium")
    canvas.suptitle(printable(study.title), fontsize="medium", wrap=True)
    return canvas


def _matrix(axis, grid: pd.DataFrame, measure: Measure) -> None:
    values = grid.to_numpy(float)
    axis.set_facecolor(_GRAY)
    image = axis.imshow(values, cmap="Blues", aspect="auto")
    axis.axvline(values.shape[1] - 1.5, color="white", linewidth=3)
    columns, rows = (
        [printable(str(level)) for level in levels]
        for levels in (grid.columns, grid.index)
    )
    axis.set_xticks(range(values.shape[1]), columns, rotation=30)
    axis.set_yticks(range(values.shape[0]), rows)
    for i, row in enumerate(values):
        for j, value in enumerate(row):
            if math.isnan(value):
                continue
            dark = image.norm(value) > 0.6
            axis.text(
                j,
                i,
                tables.number(value, measure.scale),
                ha="center",
                va="center",
                fontsize="small",
                color="white" if dark else "black",
            )


def _name_undone(axis, study, settings, measure) -> None:
    rows = study.levels_of(study.figure.rows)
    columns = study.levels_of(study.figure.columns)
    for _, row in settings.iterrows():
        if row[f"{measure.name} runs"]:
            continue
        axis.text(
            columns.index(row[study.figure.columns]),
            rows.index(row[study.figure.rows]),
            _kind(row),
            ha="center",
            va="center",
            fontsize="x-small",
            color="0.3",
        )


def _kind(row: pd.Series) -> str:
    return "failed" if "failed" in row["status"] else tables.MISSING


def _positions(study: Study):
    """Where the levels of x stand, and whether they are numbers."""
    levels = study.levels_of(study.figure.x)
    if all(isinstance(level, int | float) for level in levels):
        return {level: level for level in levels}, True
    return {level: i for i, level in enumerate(levels)}, False


def _ticks(axis, places, are_numbers: bool) -> None:
    if are_numbers and min(places) > 0 and max(places) / min(places) > 4:
        axis.set_xscale("log")
        axis.minorticks_off()
    labels = [f"{p:g}" if are_numbers else printable(str(p)) for p in places]
    axis.set_xticks(list(places.values()), labels)


def _lines(study: Study, settings: pd.DataFrame):
    """Label -> part of the settings, for each line."""
    factors = list(study.figure.lines)
    if not factors:
        yield None, settings
        return
    for levels, part in settings.groupby(factors, sort=False):
        label = printable(", ".join(map(str, levels)))
        # Matplotlib hides a name that begins so.
        yield (f" {label}" if label.startswith("_") else label), part


def _error_bars(part: pd.DataFrame, measure: Measure):
    """float[2, n]: down and up; NaN where there is no interval."""
    mean = part[measure.name]
    down = mean - part[f"{measure.name} low"]
    up = part[f"{measure.name} high"] - mean
    return [down * measure.scale, up * measure.scale]


def _curves(axis, study, settings, measure) -> None:
    places, are_numbers = _positions(study)
    for label, part in _lines(study, settings):
        axis.errorbar(
            [places[x] for x in part[study.figure.x]],
            part[measure.name] * measure.scale,
            yerr=_error_bars(part, measure),
            label=label,
            marker="o",
            capsize=3,
        )
    _ticks(axis, places, are_numbers)
    axis.grid(color=_GRAY)
    _say_undone(axis, study, settings, measure, places)


def _bars(axis, study, settings, measure) -> None:
    levels = study.levels_of(study.figure.x)
    lines = list(_lines(study, settings))
    width = 0.8 / len(lines)
    for i, (label, part) in enumerate(lines):
        shift = (i - (len(lines) - 1) / 2) * width
        axis.bar(
            [levels.index(x) + shift for x in part[study.figure.x]],
            part[measure.name] * measure.scale,
            width,
            yerr=_error_bars(part, measure),
            label=label,
            capsize=3,
        )
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
            {_kind(row) for _, row in rows.iterrows() if row["status"]}
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
        )


def _crosses(axis, study: Study, measure: Measure) -> None:
    """The paper's numbers."""
    figure = study.figure
    places = _positions(study)[0]
    if isinstance(figure, Bars):
        places = {x: i for i, x in enumerate(study.levels_of(figure.x))}
    points = [
        (places[s.levels[figure.x]], s.paper[measure.name])
        for s in study.settings
        if measure.name in s.paper
    ]
    if points:
        axis.scatter(
            *zip(*points, strict=True), marker="x", color="black", label="paper"
        )
