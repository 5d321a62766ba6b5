"""A study's tables: every cell as CSV, every setting as Markdown.

They are made from the study and its cell.json files alone, and hold neither
times nor places: whoever ran the cells, they are the same to the byte.
"""

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy import stats

from simclr_tf.studies.keeping import Outcome
from simclr_tf.studies.study import Measure, Study
from simclr_tf.terminal import printable

LEVEL = 0.95
MISSING = "missing"


def frame(study: Study, outcomes: Sequence[Outcome]) -> pd.DataFrame:
    """A row for each cell: index, seed, factors, measures, status.

    A measure of a cell that is not done is NaN, whatever the reason; `status`
    says it: "done", "missing", or "failed: " and the error.
    """
    rows = []
    for outcome in outcomes:
        values = outcome.values or {}
        status = (
            MISSING if outcome.error is None else f"failed: {outcome.error}"
        )
        rows.append(
            {
                "index": outcome.cell.index,
                "seed": outcome.cell.seed,
                **outcome.cell.setting.levels,
                **{
                    m.name: values.get(m.name, math.nan) for m in study.measures
                },
                "status": status if outcome.values is None else "done",
            }
        )
    return pd.DataFrame(rows)


def csv(cells: pd.DataFrame) -> str:
    """`frame` as CSV; what is not there is empty."""
    return cells.to_csv(index=False, lineterminator="\n")


def summary(study: Study, cells: pd.DataFrame) -> pd.DataFrame:
    """A row for each setting, in the study's order.

    Columns: the factors; for each measure "NAME", the mean over seeds,
    "NAME low" and "NAME high", ends of Student's 95 % interval of the mean
    (NaN of one run), and "NAME runs", their number; "status".
    """
    rows = []
    for _, group in cells.groupby(study.factors, sort=False):
        row = {factor: group[factor].iloc[0] for factor in study.factors}
        for measure in study.measures:
            values = group[measure.name].dropna().to_numpy()
            low, high = interval(values)
            row |= {
                measure.name: values.mean() if len(values) else math.nan,
                f"{measure.name} low": low,
                f"{measure.name} high": high,
                f"{measure.name} runs": len(values),
            }
        undone = group[group["status"] != "done"]["status"]
        row["status"] = _undone(undone, len(group))
        rows.append(row)
    return pd.DataFrame(rows)


def interval(values: np.ndarray) -> tuple[float, float]:
    """Student's 95 % interval of a mean; NaN of fewer than two values.

    Args:
        values: float[n].
    """
    if len(values) < 2:
        return math.nan, math.nan
    half = stats.t.ppf((1 + LEVEL) / 2, len(values) - 1) * (
        values.std(ddof=1) / math.sqrt(len(values))
    )
    return values.mean() - half, values.mean() + half


def best_over(study: Study) -> tuple[str, ...]:
    """The factors of which the best level counts; none of a heat map."""
    return getattr(study.figure, "best_over", ())


def best(study: Study, settings: pd.DataFrame) -> pd.DataFrame:
    """Of settings that differ in the factors `best_over` only, the best.

    Args:
        study, settings: as `summary` has them.

    Returns:
        A part of `settings`; where none of several is done, the first.
    """
    over = best_over(study)
    rest = [factor for factor in study.factors if factor not in over]
    if not over:
        return settings
    measure = study.measures[0].name
    filled = settings[measure].fillna(-math.inf)
    if not rest:
        return settings.loc[[filled.idxmax()]]
    chosen = filled.groupby(
        [settings[factor] for factor in rest], sort=False
    ).idxmax()
    return settings.loc[chosen]


def markdown(
    study: Study,
    settings: pd.DataFrame,
    *,
    sentences: Sequence[str],
    with_paper: bool,
) -> str:
    """The page of a study.

    Args:
        study: which.
        settings: as `summary` makes them.
        sentences: what it says.
        with_paper: whether the paper's numbers are of these settings.
    """
    parts = [f"# {printable(study.title)}", *map(printable, sentences)]
    over = best_over(study)
    if over:
        parts += [
            f"The best over {', '.join(over)}:",
            _table(study, best(study, settings), with_paper),
            "All settings:",
        ]
    # Where the best counts, the paper's number is of the best.
    parts.append(_table(study, settings, with_paper and not over))
    parts.append(
        f"Mean over seeds; in brackets, Student's {LEVEL:.0%} interval of the "
        "mean, and behind it the number of runs."
    )
    return "\n\n".join(parts) + "\n"


def _table(study: Study, settings: pd.DataFrame, with_paper: bool) -> str:
    papers = {tuple(s.levels.values()): s.paper for s in study.settings}
    head = list(study.factors)
    for measure in study.measures:
        head.append(measure.label)
        if with_paper and any(measure.name in p for p in papers.values()):
            head.append(f"paper: {measure.name}")
    lines = [head, ["---"] * len(head)]
    for _, row in settings.iterrows():
        levels = [row[factor] for factor in study.factors]
        line = [_shown(level) for level in levels]
        for measure in study.measures:
            line.append(_score(row, measure))
            if f"paper: {measure.name}" in head:
                number = papers[tuple(levels)].get(measure.name)
                line.append("" if number is None else f"{number:g}")
        lines.append(line)
    return "\n".join(f"| {' | '.join(map(_cell, line))} |" for line in lines)


def _cell(text: str) -> str:
    """A cell stays a cell."""
    return printable(text).replace("|", "\\|")


def _score(row: pd.Series, measure: Measure) -> str:
    name, runs = measure.name, row[f"{measure.name} runs"]
    if not runs:
        # Of a cell that is done, this measure is none of its own.
        return row["status"] or "-"
    values = [row[name], row[f"{name} low"], row[f"{name} high"]]
    mean, low, high = (
        number(value * measure.scale, measure.scale) for value in values
    )
    told = f"{mean} [{low}, {high}] ({runs})" if runs > 1 else f"{mean} (1)"
    return f"{told}; {row['status']}" if row["status"] else told


def number(value: float, scale: float) -> str:
    """A value as it is shown: percent with one digit, others with three."""
    return f"{value:.1f}" if scale == 100.0 else f"{value:.3g}"


def undone(row: pd.Series) -> str:
    """Of a setting without a number, why: "failed" or "missing"."""
    return "failed" if "failed" in row["status"] else MISSING


def _undone(statuses: pd.Series, total: int) -> str:
    """ "missing", "failed: ...", or what is so of how many; "" of none."""
    if statuses.empty:
        return ""
    kinds = statuses.value_counts(sort=False)
    if total == 1:
        return kinds.index[0]
    return "; ".join(
        f"{count} of {total} {kind}" for kind, count in kinds.items()
    )


def _shown(level) -> str:
    return f"{level:g}" if isinstance(level, float) else str(level)
