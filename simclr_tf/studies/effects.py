"""What a study says: how much each factor matters, computed.

The effect of a factor is the range of its level means: the mean over all runs
of the best level, less that of the worst. Its interval is a bootstrap's: runs
are drawn anew within each setting where every setting has several, else within
each level. What chance gives is the 95 % quantile of the same range where
levels are exchanged, at random, among runs that agree in all other factors.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np
import pandas as pd

from simclr_tf.studies import tables
from simclr_tf.studies.study import Study

_RESAMPLES = 2000
_SEED = 0
_LEVEL = 0.95
_ROUNDING = 1e-9


@dataclasses.dataclass(frozen=True)
class Effect:
    """What a factor does to a measure.

    Attributes:
        factor: its name.
        size: range of its level means.
        low, high: ends of the 95 % interval; NaN where every level has one
            run.
        chance: what exchanging levels gives, at most, in 95 of 100 cases; NaN
            where there is nothing to exchange.
        best, worst: levels.
    """

    factor: str
    size: float
    low: float
    high: float
    chance: float
    best: object
    worst: object

    @property
    def matters(self) -> bool:
        """Whether chance rarely gives as much."""
        return bool(self.size > self.chance + _ROUNDING)


def effects(
    cells: pd.DataFrame, factors: Sequence[str], measure: str
) -> list[Effect]:
    """The effects of all factors with several levels, the largest first.

    Args:
        cells: as `tables.frame` makes them; those without a value are left
            out.
        factors: columns.
        measure: a column.
    """
    cells = cells.dropna(subset=[measure])
    found = [
        _effect(cells, factor, [f for f in factors if f != factor], measure)
        for factor in factors
        if cells[factor].nunique() > 1
    ]
    return sorted(found, key=lambda effect: -effect.size)


def sentences(study: Study, cells: pd.DataFrame) -> list[str]:
    """The study in words: how far it is, which factor matters, what is best."""
    undone = cells[cells["status"] != "done"]
    said = []
    if len(undone):
        said.append(
            f"{len(undone)} of {len(cells)} cells are not there, and not "
            "counted as anything."
        )
    if len(undone) == len(cells):
        return said
    measure = study.measures[0]
    found = effects(cells, study.factors, measure.name)
    if found:
        lines = [_words(effect, measure) for effect in found]
        said.append(f"What matters ({measure.name}): {'; '.join(lines)}.")
    settings = tables.summary(study, cells).dropna(subset=[measure.name])
    said.append(
        "Best: "
        + _setting(study, settings.loc[settings[measure.name].idxmax()])
        + "; worst: "
        + _setting(study, settings.loc[settings[measure.name].idxmin()])
        + "."
    )
    return said


def _effect(cells, factor: str, others: list[str], measure: str) -> Effect:
    rng = np.random.default_rng(_SEED)
    values = cells[measure].to_numpy()
    codes, levels = pd.factorize(cells[factor])
    means = _level_means(values[None], codes[None], len(levels))[0]
    effect = {
        "factor": factor,
        "size": float(np.ptp(means)),
        "best": levels[means.argmax()],
        "worst": levels[means.argmin()],
    }
    low, high = _interval(cells, factor, [factor, *others], values, codes, rng)
    blocks = (
        cells.groupby(others, sort=False).ngroup().to_numpy()
        if others
        else np.zeros(len(cells), int)
    )
    return Effect(
        **effect, low=low, high=high, chance=_chance(values, codes, blocks, rng)
    )


def _interval(cells, factor, factors, values, codes, rng):
    groups = cells.groupby(factors, sort=False).ngroup().to_numpy()
    if np.bincount(groups).min() < 2:
        groups = codes
    if np.bincount(groups).max() < 2:
        return np.nan, np.nan
    picks = np.empty((_RESAMPLES, len(values)), int)
    for group in np.unique(groups):
        (members,) = np.nonzero(groups == group)
        picks[:, members] = rng.choice(members, (_RESAMPLES, len(members)))
    means = _level_means(values[picks], codes[picks], codes.max() + 1)
    tails = [(1 - _LEVEL) / 2, (1 + _LEVEL) / 2]
    low, high = np.quantile(np.ptp(means, axis=1), tails)
    return float(low), float(high)


def _chance(values, codes, blocks, rng) -> float:
    counts = np.unique(np.stack([blocks, codes]), axis=1, return_counts=True)[1]
    if counts.sum() == len(np.unique(codes)):
        return np.nan  # one run a level
    shuffled = np.empty((_RESAMPLES, len(codes)), int)
    for block in np.unique(blocks):
        (members,) = np.nonzero(blocks == block)
        shuffled[:, members] = rng.permuted(
            np.tile(codes[members], (_RESAMPLES, 1)), axis=1
        )
    means = _level_means(
        np.broadcast_to(values, shuffled.shape), shuffled, codes.max() + 1
    )
    return float(np.quantile(np.ptp(means, axis=1), _LEVEL))


def _level_means(values, codes, num_levels: int) -> np.ndarray:
    """float[B, N], int[B, N] -> float[B, K], the means of the levels."""
    means = [
        np.where(codes == level, values, 0.0).sum(axis=1)
        / (codes == level).sum(axis=1)
        for level in range(num_levels)
    ]
    return np.stack(means, axis=1)


def _words(effect: Effect, measure) -> str:
    def shown(value):
        return tables.number(value * measure.scale, measure.scale)

    unit = " points" if measure.scale == 100.0 else ""
    text = f"{effect.factor} {shown(effect.size)}{unit}"
    if not np.isnan(effect.low):
        text += f" [{shown(effect.low)}, {shown(effect.high)}]"
    if np.isnan(effect.chance):
        return f"{text} (one run a level: nothing to tell it from chance)"
    verdict = "" if effect.matters else "not told from chance: "
    return f"{text} ({verdict}chance gives up to {shown(effect.chance)})"


def _setting(study: Study, row: pd.Series) -> str:
    measure = study.measures[0]
    levels = ", ".join(f"{f} {row[f]}" for f in study.factors)
    shown = tables.number(row[measure.name] * measure.scale, measure.scale)
    return f"{levels} ({shown})"
