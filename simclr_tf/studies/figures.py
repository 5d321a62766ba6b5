"""A study's figure: a heat map, curves, or bars, as PNG and SVG."""

import io

import matplotlib
import pandas as pd
from matplotlib.backends import backend_agg, backend_svg
from matplotlib.figure import Figure as Canvas

from simclr_tf.studies import heat_map, panels, tables
from simclr_tf.studies.study import HeatMap, Study, by_panel
from simclr_tf.terminal import printable

_DPI = 100
_MOST_COLUMNS = 3
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
    shown = tables.best(study, settings)
    measures = [
        m for m in study.measures if shown[f"{m.name} runs"].sum()
    ] or study.measures[:1]
    grouped = by_panel(measures)
    rows = -(-len(grouped) // _MOST_COLUMNS)
    columns = -(-len(grouped) // rows)  # no more than these rows need
    has_legend = figure.lines or with_paper or any(m.panel for m in measures)
    beside = 1.3 if has_legend else 0
    canvas = Canvas(
        figsize=(5.2 * columns + beside, 4.2 * rows), layout="constrained"
    )
    axes = canvas.subplots(rows, columns, squeeze=False).ravel()
    for axis in axes[len(grouped) :]:
        axis.remove()
    for axis, panel in zip(axes, grouped, strict=False):
        panels.draw(axis, study, shown, panel, with_paper=with_paper)
        if panel[0].scale == 100.0:  # an interval may be wider than it can be
            low, high = axis.get_ylim()
            axis.set_ylim(max(low, 0), min(high, 102))
        axis.set_ylabel(printable(panel[0].axis_label))
        axis.set_xlabel(printable(figure.x))
    _legend(canvas, axes[: len(grouped)], ", ".join(figure.lines))
    title = study.title
    if missing := int((shown["status"] != "").sum()):
        title += f" ({missing} setting{'s'[: missing > 1]} not complete)"
    canvas.suptitle(printable(title), fontsize="medium", wrap=True)
    if any(shown[f"{m.name} low"].notna().any() for m in measures):
        canvas.supxlabel(
            f"Bars with caps: {tables.LEVEL:.0%} interval of the mean over "
            "seeds.",
            fontsize="small",
        )
    return canvas


def _legend(canvas: Canvas, axes, title: str) -> None:
    """One for all panels: ours first, and the paper's."""
    found = {}
    for axis in axes:
        handles, labels = axis.get_legend_handles_labels()
        found |= dict(zip(labels, handles, strict=True))
    if found:
        labels = sorted(found, key=lambda label: label == "paper")
        canvas.legend(
            [found[label] for label in labels],
            labels,
            title=printable(title) or None,
            fontsize="small",
            loc="outside right center",
        )


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
