"""Few labels (Chen et al. 2020, appendix B.5): which examples keep theirs.

A subset is a function of (labels, size, seed, draw), and of nothing else, and
its sample ids go into the record: what was labelled can be looked up.
"""

from typing import Any, NamedTuple

import numpy as np

from simclr_tf.errors import UserError
from simclr_tf.evaluation import metrics


class LabelSubset(NamedTuple):
    """The labelled examples.

    Attributes:
        kind: "per_class" or "fraction".
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


def fraction(
    labels: np.ndarray,
    ids: np.ndarray,
    *,
    share: float,
    num_classes: int,
    seed: int,
    draw: int = 0,
) -> LabelSubset:
    """A share of the labels of each class, at least one of each.

    Where the shares are not whole, all are rounded down, and as many classes
    as it takes to come to that share of all labels get one more: those that
    lost most by rounding, of equals those that are drawn. A class without
    labels has none to give. Where all classes have the same size, this is the
    paper's class-balanced choice. `Differs:` ImageNet's classes differ (732 to
    1300 images); the paper takes 12.8 or 128 of each, this 7 to 13 or 73 to
    130. Its own choice is the data set imagenet2012_subset.

    Args:
        labels, ids, num_classes, seed, draw: as in `per_class`.
        share: of each class.

    Raises:
        ValueError: a share outside (0, 1], or no labels.
    """
    there = class_counts(labels, num_classes)
    if not 0 < share <= 1:
        raise ValueError(
            f"A share of the labels lies in (0, 1]. Received: {share:g}."
        )
    if not there.any():
        raise ValueError("There are no labels to take a share of.")
    total = round(share * there.sum())
    exact = share * there
    counts = np.floor(exact).astype(np.int64)
    rng = np.random.default_rng([seed, total, draw, num_classes])
    drawn = rng.permutation(num_classes)
    # Stable, so that equals stay in the order that was drawn.
    by_loss = drawn[np.argsort(-(exact - counts)[drawn], kind="stable")]
    counts[by_loss[: max(total - counts.sum(), 0)]] += 1
    counts = np.maximum(counts, np.minimum(there, 1))
    return _subset(labels, ids, counts, "fraction", share, seed, draw)


def hold_out(
    labels: np.ndarray, *, share: float, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Examples to fit on, and others to choose by.

    Class by class where an image has one label. Those without a label are in
    neither part.

    Args:
        labels: int[M], or int[M, K] for several labels an image.
        share: of the labelled examples that is held out, in (0, 1).
        seed: of the draw.

    Returns:
        int[m] and int[n], indices into labels.

    Raises:
        UserError: naming --holdout_fraction, where a part would lack a class.
    """
    # Slow to import, and every training run imports this file.
    from sklearn.model_selection import train_test_split

    kept = np.flatnonzero(metrics.counted(labels))
    try:
        return tuple(
            train_test_split(
                kept,
                test_size=share,
                stratify=labels[kept] if labels.ndim == 1 else None,
                random_state=seed,
            )
        )
    except ValueError as error:
        raise UserError(
            f"--holdout_fraction={share:g} of {len(kept)} labels cannot be "
            f"held out class by class: {error}."
        ) from error


def class_counts(labels: np.ndarray, num_classes: int) -> np.ndarray:
    """How many examples every class has, int64[K]; -1 is no class.

    Args:
        labels: int[M].
        num_classes: K.

    Raises:
        ValueError: several labels an image, or a label that is no class.
    """
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


def _subset(labels, ids, counts, kind, asked, seed, draw) -> LabelSubset:
    there = class_counts(labels, len(counts))
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
