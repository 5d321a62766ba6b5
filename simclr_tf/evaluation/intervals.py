"""How far off a metric may be, with the examples that there were.

The percentile bootstrap (Efron 1979): draw as many examples as there are,
with replacement, and score them, many times over. Examples that a metric
cannot tell apart are drawn as one cell, whose count is multinomial: the same
distribution, at the price of the cells and not of the examples.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

NUM_RESAMPLES = 2000
LEVEL = 0.95
# Counts that are held in memory at once.
_BLOCK = 4_000_000


class Estimate(NamedTuple):
    """A metric and its bootstrap confidence interval.

    Attributes:
        value: over the examples that there are.
        low, high: ends of the interval.
    """

    value: float
    low: float
    high: float


def bootstrap(
    statistic: Callable[[np.ndarray], np.ndarray],
    cell_sizes: np.ndarray,
    *,
    seed: int,
    num_resamples: int = NUM_RESAMPLES,
    level: float = LEVEL,
) -> Estimate:
    """A statistic of counts, with its percentile interval.

    Args:
        statistic: int64[B, C], how often the examples of each cell were drawn
            -> float[B]; NaN where a draw leaves it undefined.
        cell_sizes: int[C], examples of each cell; ones where every example is
            a cell of its own.
        seed: decides the draws.
        num_resamples: draws.
        level: share of the draws that the interval holds.

    Raises:
        ValueError: there are no examples.
    """
    sizes = np.asarray(cell_sizes, np.int64)
    total = int(sizes.sum())
    if not total:
        raise ValueError("There are no examples to score.")
    # Empty cells cost nothing: they are never drawn.
    full = np.flatnonzero(sizes)
    rng = np.random.default_rng(seed)
    rows = max(1, _BLOCK // max(len(sizes), 1))
    drawn = []
    for start in range(0, num_resamples, rows):
        size = min(rows, num_resamples - start)
        counts = np.zeros((size, len(sizes)), np.int64)
        counts[:, full] = rng.multinomial(total, sizes[full] / total, size)
        drawn.append(statistic(counts))
    low, high = np.nanquantile(
        np.concatenate(drawn), [(1 - level) / 2, (1 + level) / 2]
    )
    value = statistic(sizes[np.newaxis])[0]
    return Estimate(float(value), float(low), float(high))
