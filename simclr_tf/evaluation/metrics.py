"""The paper's metrics (appendix B.8), each with a bootstrap interval.

top_1, top_5      share of the examples whose class is among the k best scores
mean_per_class    mean over the classes of the share of their examples that
                  are right
voc_map           mean over the classes of the 11-point interpolated average
                  precision (Everingham et al. 2010), for several labels per
                  image

`METRICS`, at the end, has all that is known of each: one more is one more
entry. An example whose label is -1 counts nowhere, nor does one with several
labels that are all -1.

Long because a metric is one place: what it is, its interval, and its outcomes
for the permutation test.
"""

import dataclasses
import functools
from collections.abc import Callable, Sequence

import numpy as np

from simclr_tf.evaluation.statistics import Estimate, bootstrap


@dataclasses.dataclass(frozen=True)
class Metric:
    """What there is to know of a metric.

    Attributes:
        estimate: (scores float[M, K], labels, seed=) -> Estimate.
        value: (scores, labels) -> float, the same without an interval.
        outcomes: (predictions, labels) -> float64[M], what every example adds
            so that the mean is the metric; None where there is no such thing.
        several_labels: whether labels are int[M, K] and not int[M].
    """

    estimate: Callable[..., Estimate]
    value: Callable[[np.ndarray, np.ndarray], float]
    outcomes: Callable[[np.ndarray, np.ndarray], np.ndarray] | None = None
    several_labels: bool = False


def counted(labels: np.ndarray) -> np.ndarray:
    """Which examples count, bool[M]: those with a label that is not -1.

    Args:
        labels: int[M], or int[M, K].
    """
    kept = np.asarray(labels) >= 0
    return kept.any(axis=1) if kept.ndim == 2 else kept


def fitting(labels: np.ndarray) -> tuple[str, ...]:
    """Names of the metrics of these labels, the most usual one first."""
    return tuple(
        name
        for name, metric in METRICS.items()
        if metric.several_labels == (labels.ndim == 2)
    )


def evaluate(
    scores: np.ndarray,
    labels: np.ndarray,
    *,
    seed: int = 0,
    metrics: Sequence[str] | None = None,
) -> dict[str, Estimate]:
    """Metrics of scored examples, with bootstrap confidence intervals.

    Args:
        scores: float[M, K], higher is more likely.
        labels: int[M], classes 0..K-1, -1 for none; or int[M, K] for several
            labels per image: 1 present, 0 absent, -1 not counted (VOC's
            "difficult").
        seed: of the bootstrap.
        metrics: names; by default all that fit the labels.

    Returns:
        {name: Estimate}, values in [0, 1].

    Raises:
        ValueError: scores or labels that cannot be scored.
    """
    scores, labels = _checked(scores, labels)
    known, results = fitting(labels), {}
    for name in known if metrics is None else metrics:
        if name not in known:
            raise ValueError(
                f"Metric {name!r} does not fit labels of shape {labels.shape}."
                f" Those that do: {', '.join(known)}."
            )
        results[name] = METRICS[name].estimate(scores, labels, seed=seed)
    return results


def value(name: str, scores: np.ndarray, labels: np.ndarray) -> float:
    """One metric without its interval, for choosing on a validation split.

    Arguments and errors as `evaluate`.
    """
    scores, labels = _checked(scores, labels)
    return METRICS[name].value(scores, labels)


def outcomes(
    name: str, predictions: np.ndarray, labels: np.ndarray
) -> np.ndarray:
    """What every example that counts adds to a metric, float64[M], so that
    the metric is the mean.

    Args:
        name: "top_1"; "mean_per_class", in which an example of a small class
            counts more; or "voc_map", for which it is the share of the image's
            classes that are told rightly (Paper: on VOC2007 the test is on
            accuracy).
        predictions: int[M] classes; for "voc_map", 0 or 1 as int[M, K].
        labels: int[M]; for "voc_map", int[M, K] with -1 for not counted.

    Raises:
        ValueError: a metric that has none, or shapes that do not fit it.
    """
    metric = METRICS.get(name)
    if metric is None or metric.outcomes is None:
        known = [name for name, one in METRICS.items() if one.outcomes]
        raise ValueError(
            f"There is no permutation test on {name}; there is one on "
            f"{', '.join(known)}."
        )
    wanted = 1 + metric.several_labels
    if predictions.shape != labels.shape or labels.ndim != wanted:
        raise ValueError(
            f"{name} is not a metric of predictions {predictions.shape} and "
            f"labels {labels.shape}."
        )
    kept = counted(labels)
    return metric.outcomes(predictions[kept], labels[kept])


def top_k_correct(
    scores: np.ndarray, labels: np.ndarray, *, k: int
) -> np.ndarray:
    """Whether an example's class is among the k best scores, bool[M].

    Of equal scores the lower class goes first, as in `tf.math.top_k`.
    """
    own = np.take_along_axis(scores, labels[:, np.newaxis], axis=1)
    lower = np.arange(scores.shape[1]) < labels[:, np.newaxis]
    rank = ((scores > own) | ((scores == own) & lower)).sum(axis=1)
    return rank < k


def top_k(
    scores: np.ndarray, labels: np.ndarray, *, k: int, seed: int = 0
) -> Estimate:
    """Share of the examples whose class is among the k best scores."""
    correct = top_k_correct(scores, labels, k=k)
    sizes = np.bincount(correct, minlength=2)  # wrong, right
    return bootstrap(_share_right, sizes, seed=seed)


def mean_per_class(
    scores: np.ndarray, labels: np.ndarray, *, seed: int = 0
) -> Estimate:
    """Mean over classes of the share of their examples that are right.

    Classes without examples are left out of the mean.
    """
    correct = top_k_correct(scores, labels, k=1)
    num_classes = scores.shape[1]
    # Cells: class by class, first wrong, then right.
    sizes = np.bincount(2 * labels + correct, minlength=2 * num_classes)
    return bootstrap(_mean_of_shares, sizes, seed=seed)


def voc_map(
    scores: np.ndarray, labels: np.ndarray, *, seed: int = 0
) -> Estimate:
    """Mean over classes of the 11-point average precision.

    Args:
        scores: float[M, K].
        labels: int[M, K]: 1 present, 0 absent, -1 not counted.
        seed: of the bootstrap over images.
    """
    classes = [
        _RankedClass(scores[:, c], labels[:, c])
        for c in range(scores.shape[1])
        if (labels[:, c] == 1).any()
    ]

    def statistic(counts):
        precisions = [one.average_precision(counts) for one in classes]
        return _mean_of_defined(np.stack(precisions, axis=1))

    return bootstrap(statistic, np.ones(len(labels), np.int64), seed=seed)


def average_precisions(scores: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """11-point average precision of every class, float64[K].

    AP = 1/11 sum over r in {0, 0.1, ..., 1} of the highest precision at a
    recall of at least r. Images of equal score are retrieved together, so the
    order of the images does not matter (`Differs:` the VOC development kit
    takes them in the order of its file). NaN for a class that no image shows.

    Args:
        scores: float[M, K].
        labels: int[M, K]: 1 present, 0 absent, -1 not counted.
    """
    scores, labels = _checked(scores, labels)
    once = np.ones((1, len(scores)), np.int64)
    return np.array(
        [
            _RankedClass(scores[:, c], labels[:, c]).average_precision(once)[0]
            for c in range(scores.shape[1])
        ]
    )


class _RankedClass:
    """One class's images by falling score, and where recall rises."""

    def __init__(self, scores: np.ndarray, labels: np.ndarray):
        order = np.argsort(-scores, kind="stable")
        self._order = order[labels[order] >= 0]
        ranked = scores[self._order]
        self._present = np.flatnonzero(labels[self._order] == 1)
        # The last image of those that share a score with one that counts.
        last = np.searchsorted(-ranked, -ranked[self._present], side="right")
        self._ends, group = np.unique(last - 1, return_inverse=True)
        self._last_of_group = np.flatnonzero(
            np.diff(group, append=len(self._ends))
        )

    def average_precision(self, counts: np.ndarray) -> np.ndarray:
        """float64[B] of images that count int[B, M] times."""
        if not len(self._present):
            return np.full(len(counts), np.nan)
        drawn = counts[:, self._order]
        retrieved = np.cumsum(drawn, axis=1)[:, self._ends]  # [B, E]
        found = np.cumsum(drawn[:, self._present], axis=1)
        found = found[:, self._last_of_group]
        total = found[:, -1:]
        precision = found / np.maximum(retrieved, 1)
        best = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
        best = np.pad(best, ((0, 0), (0, 1)))
        # In whole numbers: 0.1 * 3 is not 3 / 10 in floating point.
        points = [
            np.take_along_axis(
                best, (10 * found < tenths * total).sum(1, keepdims=True), 1
            )
            for tenths in range(11)
        ]
        mean = np.concatenate(points, axis=1).mean(axis=1)
        return np.where(total[:, 0] > 0, mean, np.nan)


def _checked(scores, labels) -> tuple[np.ndarray, np.ndarray]:
    scores, labels = np.asarray(scores), np.asarray(labels)
    if scores.ndim != 2 or labels.shape not in (scores.shape, scores.shape[:1]):
        raise ValueError(
            "Scores must be [M, K] and labels [M] or [M, K]. Received: "
            f"{scores.shape} and {labels.shape}."
        )
    if not len(scores):
        raise ValueError("There are no examples to score.")
    if not np.isfinite(scores).all():
        raise ValueError("There are scores that are not finite.")
    kept = counted(labels)
    if not kept.any():
        raise ValueError("There is no example whose label counts.")
    scores, labels = scores[kept], labels[kept]
    low, high = (0, scores.shape[1] - 1) if labels.ndim == 1 else (-1, 1)
    if labels.min() < low or labels.max() > high:
        raise ValueError(
            f"Labels must lie in {low}..{high}. Received: "
            f"{labels.min()}..{labels.max()}."
        )
    if labels.ndim == 2 and not (labels == 1).any():
        raise ValueError("No image shows any class.")
    return scores, labels.astype(np.int64)


def _share_right(counts: np.ndarray) -> np.ndarray:
    return counts[:, 1] / counts.sum(axis=1)


def _mean_of_shares(counts: np.ndarray) -> np.ndarray:
    by_class = counts.reshape(len(counts), -1, 2)
    drawn = by_class.sum(axis=2)
    share = by_class[:, :, 1] / np.maximum(drawn, 1)
    return _mean_of_defined(np.where(drawn > 0, share, np.nan))


def _mean_of_defined(values: np.ndarray) -> np.ndarray:
    """Mean over columns of what is not NaN; NaN where nothing is."""
    defined = ~np.isnan(values)
    totals = np.where(defined, values, 0).sum(axis=1)
    numbers = defined.sum(axis=1)
    mean = totals / np.maximum(numbers, 1)
    return np.where(numbers > 0, mean, np.nan)


def _top_k_value(scores, labels, *, k):
    return float(top_k_correct(scores, labels, k=k).mean())


def _mean_per_class_value(scores, labels):
    correct = top_k_correct(scores, labels, k=1)
    numbers = np.bincount(labels)
    right = np.bincount(labels, weights=correct)
    return float((right[numbers > 0] / numbers[numbers > 0]).mean())


def _right(predictions, labels):
    return (predictions == labels).astype(np.float64)


def _right_by_class(predictions, labels):
    numbers = np.bincount(labels)
    weights = len(labels) / (numbers[labels] * (numbers > 0).sum())
    return _right(predictions, labels) * weights


def _share_of_classes(predictions, labels):
    # No prediction is -1, so what does not count is not right either.
    return _right(predictions, labels).sum(1) / (labels >= 0).sum(1)


METRICS = {
    "top_1": Metric(
        functools.partial(top_k, k=1),
        functools.partial(_top_k_value, k=1),
        _right,
    ),
    "top_5": Metric(
        functools.partial(top_k, k=5), functools.partial(_top_k_value, k=5)
    ),
    "mean_per_class": Metric(
        mean_per_class, _mean_per_class_value, _right_by_class
    ),
    "voc_map": Metric(
        voc_map,
        lambda scores, labels: float(
            np.nanmean(average_precisions(scores, labels))
        ),
        _share_of_classes,
        several_labels=True,
    ),
}
