"""What a study says: how much each factor matters, computed.

Compared are runs that agree in all other factors, which makes them a block. The
effect of a factor is the range of its levels in the least-squares fit of
"level plus block"; in a full grid, that is the range of the levels' means. Its
interval is a bootstrap's: runs are drawn anew within each setting where every
setting has several, else within each level. What chance gives is the 95 %
quantile of the same range where runs of a block are exchanged at random.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy.sparse import csgraph

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
        size: range of its levels; NaN where it never changes alone.
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
    return sorted(found, key=lambda effect: -np.nan_to_num(effect.size))


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
    factors, over = study.factors, getattr(study.figure, "best_over", ())
    settings = tables.best(study, tables.summary(study, cells), over)
    if over:
        factors = [factor for factor in factors if factor not in over]
        cells = cells.merge(settings[study.factors])
    found = effects(cells, factors, measure.name)
    if found:
        lines = [_words(effect, measure) for effect in found]
        tuned = f", each the best over {', '.join(over)}" if over else ""
        said.append(
            f"What matters ({measure.name}{tuned}): {'; '.join(lines)}."
        )
    settings = settings.dropna(subset=[measure.name])
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
    blocks = (
        cells.groupby(others, sort=False).ngroup().to_numpy()
        if others
        else np.zeros(len(cells), int)
    )
    fit = _Fit.of(codes, blocks)
    if not fit.groups:
        return Effect(factor, *(np.nan,) * 4, best=None, worst=None)
    sizes = fit.ranges(values)
    group = fit.groups[sizes.argmax()]
    shown = (fit.levels @ values)[group]
    settings = cells.groupby([factor, *others], sort=False).ngroup().to_numpy()
    low, high = _interval(fit, settings, values, codes, rng)
    return Effect(
        factor,
        float(sizes.max()),
        low,
        high,
        _chance(fit, values, codes, blocks, rng),
        best=levels[group[shown.argmax()]],
        worst=levels[group[shown.argmin()]],
    )


@dataclasses.dataclass(frozen=True)
class _Fit:
    """Least squares of "level plus block".

    Attributes:
        levels: float[K, N], of N values the K levels, each but for what all
            levels of its group share.
        groups: int[...] each, two levels or more that blocks compare, with one
            another or by way of others.
    """

    levels: np.ndarray
    groups: list[np.ndarray]

    @classmethod
    def of(cls, codes: np.ndarray, blocks: np.ndarray) -> "_Fit":
        """Args: int[N] each, the level and the block of every run."""
        of_level = np.eye(codes.max() + 1)[codes]
        of_block = np.eye(blocks.max() + 1)[blocks]
        meet = of_level.T @ of_block @ of_block.T @ of_level
        _, group = csgraph.connected_components(meet, directed=False)
        members = [np.flatnonzero(group == g) for g in np.unique(group)]
        inverse = np.linalg.pinv(np.hstack([of_level, of_block]))
        return cls(
            inverse[: of_level.shape[1]], [m for m in members if len(m) > 1]
        )

    def ranges(self, values: np.ndarray) -> np.ndarray:
        """float[..., N] -> float[..., G], the range of each group."""
        levels = values @ self.levels.T
        return np.stack(
            [np.ptp(levels[..., group], axis=-1) for group in self.groups],
            axis=-1,
        )


def _interval(fit, settings, values, codes, rng):
    drawn_from = settings
    if np.bincount(settings).min() < 2:
        drawn_from = codes
    if np.bincount(drawn_from).max() < 2:
        return np.nan, np.nan
    picks = np.empty((_RESAMPLES, len(values)), int)
    for group in np.unique(drawn_from):
        (members,) = np.nonzero(drawn_from == group)
        picks[:, members] = rng.choice(members, (_RESAMPLES, len(members)))
    tails = [(1 - _LEVEL) / 2, (1 + _LEVEL) / 2]
    low, high = np.quantile(fit.ranges(values[picks]).max(axis=1), tails)
    return float(low), float(high)


def _chance(fit, values, codes, blocks, rng) -> float:
    if len(values) == len(np.unique(codes)):
        return np.nan  # one run a level
    shuffled = np.tile(values, (_RESAMPLES, 1))
    for block in np.unique(blocks):
        (members,) = np.nonzero(blocks == block)
        shuffled[:, members] = rng.permuted(shuffled[:, members], axis=1)
    return float(np.quantile(fit.ranges(shuffled).max(axis=1), _LEVEL))


def _words(effect: Effect, measure) -> str:
    def shown(value):
        return tables.number(value * measure.scale, measure.scale)

    if np.isnan(effect.size):
        return f"{effect.factor} (never changes alone: not told from others)"
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
