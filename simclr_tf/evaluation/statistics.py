"""How far off a metric may be, and whether two models differ.

Intervals: the percentile bootstrap (Efron 1979). Draw as many examples as
there are, with replacement, and score them, many times over. Examples that a
metric cannot tell apart are drawn as one cell, whose count is multinomial: the
same distribution, at the price of the cells and not of the examples.

Differences: a permutation test (appendix B.8). If two models did not differ,
their predictions on an example could be exchanged: exchange them example by
example on the toss of a coin, 100,000 times, and see how often the metrics
then differ by as much as they do. On top-1 this is McNemar's test. What it
does not cover, and the paper says so too, is how much training the same model
twice makes a difference.
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


NUM_SAMPLES = 100_000
# A sum of shares, such as 1/3 + 1/7, is rounded.
_ROUNDING = 1e-12


class Comparison(NamedTuple):
    """Two models on the same examples.

    Attributes:
        difference: metric of the first less metric of the second.
        p_value: two-sided; of the sample itself and num_samples others, the
            share that differs at least as much.
        num_different: examples on which their outcomes differ.
        num_samples: permutations drawn.
    """

    difference: float
    p_value: float
    num_different: int
    num_samples: int


def compare(
    first: np.ndarray,
    second: np.ndarray,
    *,
    seed: int = 0,
    num_samples: int = NUM_SAMPLES,
) -> Comparison:
    """The permutation test on the outcomes of two models.

    To exchange an example's outcomes is to change the sign of their
    difference, so examples of equal difference are drawn together: the number
    of them that keep their sign is binomial.

    Args:
        first, second: float[M] each, of `metrics.outcomes`, whose mean is the
            metric.
        seed: of the permutations.
        num_samples: permutations.

    Raises:
        ValueError: they are not of the same examples.
    """
    if first.shape != second.shape or first.ndim != 1 or not len(first):
        raise ValueError(
            "A permutation test needs outcomes on the same examples. "
            f"Received: {first.shape} and {second.shape}."
        )
    differences = first.astype(np.float64) - second
    sizes, numbers = np.unique(
        np.round(np.abs(differences), 12), return_counts=True
    )
    numbers, sizes = numbers[sizes > 0], sizes[sizes > 0]
    rng = np.random.default_rng(seed)
    totals = np.zeros(num_samples)
    for size, number in zip(sizes, numbers, strict=True):
        kept = rng.binomial(number, 0.5, num_samples)
        totals += size * (2 * kept - number)
    seen = abs(differences.sum())
    as_much = np.abs(totals) >= seen - _ROUNDING * len(first)
    return Comparison(
        difference=float(differences.mean()),
        p_value=float((1 + as_much.sum()) / (1 + num_samples)),
        num_different=int(numbers.sum()),
        num_samples=num_samples,
    )
