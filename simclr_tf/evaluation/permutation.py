"""Whether two models differ (appendix B.8): a permutation test.

If they did not, their predictions on an example could be exchanged: exchange
them example by example on the toss of a coin, 100,000 times, and see how
often the metrics then differ by as much as they do. On top-1 this is McNemar's
test. What it does not cover, and the paper says so too, is how much training
the same model twice makes a difference.
"""

from typing import NamedTuple

import numpy as np

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
