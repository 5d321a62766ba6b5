"""Few labels (Chen et al. 2020, appendix B.5): which examples keep theirs.

A subset is a function of (labels, size, seed, draw), and of nothing else, and
its sample ids go into the record: what was labelled can be looked up.
"""

from typing import Any, NamedTuple

import numpy as np


class LabelSubset(NamedTuple):
    """The labelled examples.

    Attributes:
        kind: "per_class", "balanced_fraction" or "proportional_fraction".
        asked: the number or the fraction.
        seed, draw: which subset of that size.
        indices: int64[n] into the labels it was drawn from, class by class.
        ids: int64[n], the sample ids.
        counts: int64[K], examples of each class.
    """

    kind: str
    asked: float
    seed: int
    draw: int
    indices: np.ndarray
    ids: np.ndarray
    counts: np.ndarray

    def to_record(self) -> dict[str, Any]:
        """As it goes into the JSON record; ids sorted."""
        return {
            "kind": self.kind,
            "asked": self.asked,
            "seed": self.seed,
            "draw": self.draw,
            "num_examples": len(self.indices),
            "counts": self.counts.tolist(),
            "ids": np.sort(self.ids).tolist(),
        }


def per_class(
    labels: np.ndarray,
    ids: np.ndarray,
    *,
    number: int,
    num_classes: int,
    seed: int,
    draw: int = 0,
) -> LabelSubset:
    """The same number of examples of every class.

    Args:
        labels: int[M]; negative means unlabelled, never drawn.
        ids: int64[M], the sample ids.
        number: of each class.
        num_classes: K.
        seed, draw: which subset.

    Raises:
        ValueError: number is below 1, or a class has too few examples.
    """
    if number < 1:
        raise ValueError(
            f"Labels per class must be at least 1. Received: {number}."
        )
    counts = np.full(num_classes, number)
    return _subset(labels, ids, counts, "per_class", number, seed, draw)


def balanced_fraction(
    labels: np.ndarray,
    ids: np.ndarray,
    *,
    fraction: float,
    num_classes: int,
    seed: int,
    draw: int = 0,
) -> LabelSubset:
    """A fraction of all labels, shared evenly by the classes (the paper's 1 %
    and 10 %: "about 12.8 and 128 images per class").

    Where the classes cannot share it evenly, some that are drawn have one
    more. Arguments as `per_class`.

    Raises:
        ValueError: a fraction outside (0, 1], fewer labels than classes, or a
            class with too few examples.
    """
    there = _numbers(labels, num_classes).sum()
    total = round(_checked(fraction) * there)
    if total < num_classes:
        raise ValueError(
            f"{fraction:g} of {there} labels is {total}, fewer "
            f"than the {num_classes} classes. Take more, or a number per class."
        )
    share, rest = divmod(total, num_classes)
    counts = np.full(num_classes, share)
    rng = np.random.default_rng([seed, total, draw, num_classes])
    counts[rng.permutation(num_classes)[:rest]] += 1
    return _subset(
        labels, ids, counts, "balanced_fraction", fraction, seed, draw
    )


def proportional_fraction(
    labels: np.ndarray,
    ids: np.ndarray,
    *,
    fraction: float,
    num_classes: int,
    seed: int,
    draw: int = 0,
) -> LabelSubset:
    """The same fraction of every class, at least one example of each: for
    data sets whose classes differ much in size. Arguments as `per_class`.

    Raises:
        ValueError: a fraction outside (0, 1], or a class without examples.
    """
    there = _numbers(labels, num_classes)
    counts = np.maximum(np.rint(_checked(fraction) * there), 1).astype(int)
    return _subset(
        labels, ids, counts, "proportional_fraction", fraction, seed, draw
    )


def _subset(labels, ids, counts, kind, asked, seed, draw) -> LabelSubset:
    there = _numbers(labels, len(counts))
    short = np.flatnonzero(there < counts)
    if short.size:
        worst = short[np.argmin(there[short])]
        raise ValueError(
            f"Class {worst} has {there[worst]} labelled examples and "
            f"{counts[worst]} are needed; {short.size} of {len(counts)} "
            "classes have too few. Ask for fewer labels."
        )
    rng = np.random.default_rng([seed, counts.sum(), draw])
    indices = np.concatenate(
        [
            rng.choice(np.flatnonzero(labels == c), count, replace=False)
            for c, count in enumerate(counts)
        ]
    )
    return LabelSubset(kind, asked, seed, draw, indices, ids[indices], counts)


def _numbers(labels: np.ndarray, num_classes: int) -> np.ndarray:
    if labels.ndim != 1:
        raise ValueError(
            "Subsets of labels are drawn class by class, so an image must "
            f"have one label. Received: {labels.shape}."
        )
    numbers = np.bincount(labels[labels >= 0], minlength=num_classes)
    if len(numbers) > num_classes:
        raise ValueError(
            f"There are labels up to {len(numbers) - 1} and {num_classes} "
            "classes."
        )
    return numbers


def _checked(fraction: float) -> float:
    if not 0 < fraction <= 1:
        raise ValueError(
            f"A fraction of labels lies in (0, 1]. Received: {fraction:g}."
        )
    return fraction
