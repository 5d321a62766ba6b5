"""A study's heat map: two factors, their numbers, and the rows' means."""

import math

import pandas as pd
from matplotlib.figure import Figure as Canvas

from simclr_tf.studies import tables
from simclr_tf.studies.study import Measure, Study
from simclr_tf.terminal import printable

_GRAY = "0.85"


def draw(study: Study, settings: pd.DataFrame) -> Canvas:
    """The figure of a study that asks for a heat map; arguments as
    `figures.draw`."""
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
        # A level may have that name, too.
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
            tables.undone(row),
            ha="center",
            va="center",
            fontsize="x-small",
            color="0.3",
        )
