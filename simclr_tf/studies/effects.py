"""What a study says: how much each factor matters, computed.

Compared are runs that agree in all other factors, which makes them a block. The
effect of a factor is the range of its levels in the least-squares fit of
"level plus block"; in a full grid, that is the range of the levels' means. Its
interval is a bootstrap's, of the difference of the levels found best and worst:
runs are drawn anew within each setting where every setting has several, else
the fit's residuals are drawn anew. What chance gives is the 95 % quantile of
the same range where runs of a block are exchanged at random.
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
# Sums end in other bits on another processor. Their sentences must not.
_DECIMALS = 10
_SINGULAR = 1e-10  # of the largest, what counts as 0


@dataclasses.dataclass(frozen=True)
class Effect:
    """What a factor does to a measure.

    Attributes:
        factor: its name.
        size: range of its levels; NaN where it never changes alone.
        low, high: ends of the 95 % interval; NaN where as many runs as
            there are say nothing of noise.
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
    measure = study.measures[0]
    if cells[measure.name].isna().all():
        return said
    over = tables.best_over(study)
    factors = [factor for factor in study.factors if factor not in over]
    settings = tables.best(study, tables.summary(study, cells))
    if over:
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
        + ("; worst of these: " if over else "; worst: ")
        + _setting(study, settings.loc[settings[measure.name].idxmin()])
        + "."
    )
    return said


def _effect(cells, factor: str, others: list[str], measure: str) -> Effect:
    rng = np.random.default_rng(_SEED)
    block = (
        cells.groupby(others, sort=False).ngroup()
        if others
        else pd.Series(0, cells.index)
    )
    compared = cells[factor].groupby(block).transform("nunique") > 1
    if not compared.any():
        return Effect(factor, *(np.nan,) * 4, best=None, worst=None)
    values = cells.loc[compared, measure].to_numpy()
    codes, levels = pd.factorize(cells.loc[compared, factor])
    blocks = pd.factorize(block[compared])[0]
    fit = _Fit.of(codes, blocks)
    group = fit.groups[fit.ranges(values).argmax()]
    shown = fit.of_values(values)[group]
    best, worst = group[shown.argmax()], group[shown.argmin()]
    drawn = _drawn_anew(fit, values, codes, blocks, rng)
    low = high = np.nan
    if drawn is not None:
        found = fit.of_values(drawn)
        tails = [(1 - _LEVEL) / 2, (1 + _LEVEL) / 2]
        low, high = np.quantile(found[:, best] - found[:, worst], tails)
    return Effect(
        factor,
        size=float(np.ptp(shown)),
        low=float(low),
        high=float(high),
        chance=_chance(fit, values, codes, blocks, rng),
        best=levels[best],
        worst=levels[worst],
    )


@dataclasses.dataclass(frozen=True)
class _Fit:
    """Least squares of "level plus block".

    Attributes:
        inverse: float[K, N], of N values the K levels.
        groups: int[...] each, levels that blocks compare, with one another or
            by way of others. Levels of two groups share no zero.
    """

    inverse: np.ndarray
    groups: list[np.ndarray]

    @classmethod
    def of(cls, codes: np.ndarray, blocks: np.ndarray) -> "_Fit":
        """Args: int[N] each, the level and the block of every run."""
        of_level = np.eye(codes.max() + 1)[codes]
        of_block = np.eye(blocks.max() + 1)[blocks]
        counts = of_level.T @ of_block
        share = (counts / of_block.sum(axis=0))[:, blocks]
        # What is left of a level when its blocks' means are taken out.
        rest = of_level.T - share
        normal = np.linalg.pinv(
            rest @ of_level, rcond=_SINGULAR, hermitian=True
        )
        _, group = csgraph.connected_components(
            counts @ counts.T, directed=False
        )
        members = [np.flatnonzero(group == g) for g in np.unique(group)]
        return cls(normal @ rest, members)

    def of_values(self, values: np.ndarray) -> np.ndarray:
        """float[..., N] -> float[..., K], the levels."""
        return np.round(values @ self.inverse.T, _DECIMALS)

    def ranges(self, values: np.ndarray) -> np.ndarray:
        """float[..., N] -> float[..., G], the range of each group."""
        levels = self.of_values(values)
        return np.stack(
            [np.ptp(levels[..., group], axis=-1) for group in self.groups],
            axis=-1,
        )


def _drawn_anew(fit: _Fit, values, codes, blocks, rng):
    """float[B, N], values as they might have been; None where nobody knows."""
    N = len(values)
    settings = pd.factorize(codes * (blocks.max() + 1) + blocks)[0]
    if np.bincount(settings).min() > 1:
        picks = np.empty((_RESAMPLES, N), int)
        for setting in np.unique(settings):
            (members,) = np.nonzero(settings == setting)
            picks[:, members] = rng.choice(members, (_RESAMPLES, len(members)))
        return values[picks]
    free = N - (codes.max() + 1) - (blocks.max() + 1) + len(fit.groups)
    if free < 1:
        return None
    rest = values - fit.of_values(values)[codes]
    rest -= (np.bincount(blocks, rest) / np.bincount(blocks))[blocks]
    residuals = rest * np.sqrt(N / free)
    return values - rest + rng.choice(residuals, (_RESAMPLES, N))


def _chance(fit: _Fit, values, codes, blocks, rng) -> float:
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
        return f"{effect.factor} (in what is done, it never changes alone)"
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
