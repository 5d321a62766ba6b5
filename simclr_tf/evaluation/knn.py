"""Weighted k nearest neighbours: the quick look that needs no training.

Wu et al. 2018 (instance discrimination), section 3.4: the k training features
of highest cosine similarity s vote for their class with weight exp(s / tau).
Of equally similar features, those that come first in the bank are taken.
"""

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from simclr_tf.errors import UserError
from simclr_tf.evaluation import metrics
from simclr_tf.evaluation.features import Features

KS = (20, 200)
TEMPERATURE = 0.07
# Rows of queries and of the bank whose similarities are held at once: 128 MB
# in float64, and half of that in float32.
_QUERY_ROWS = 512
_BANK_ROWS = 32_768


def knn_scores(
    train: Features,
    test: Features,
    *,
    num_classes: int,
    ks: Sequence[int] = KS,
    temperature: float = TEMPERATURE,
) -> dict[int, np.ndarray]:
    """Votes of the k nearest training examples, for every k.

    score(class) = sum over the k nearest with that class of
    exp((s - 1) / temperature), s the cosine similarity.

    Args:
        train: the bank; examples without a label (negative) are left out.
        test: the queries; their labels are not looked at.
        num_classes: K.
        ks: how many neighbours vote; all labelled ones where there are fewer.
        temperature: tau.

    Returns:
        {k: float64[M, K]}, M the number of queries; k as it could be, in
        rising order.

    Raises:
        UserError: several labels an image, or no label at all.
        ValueError: a k below 1, or a temperature that is not positive.
    """
    if temperature <= 0:
        raise ValueError(f"temperature must be positive: {temperature}.")
    if min(ks) < 1:
        raise ValueError(f"k must be at least 1. Received: k={min(ks)}.")
    require_one_label(several_labels=train.labels.ndim != 1)
    labelled = train.labels >= 0
    size = int(labelled.sum())
    if not size:
        raise UserError(
            f"None of the {len(labelled)} images of --train_split has a label, "
            "so there is no nearest neighbour to vote. Choose a split with "
            "labels."
        )
    ks = sorted({min(k, size) for k in ks})
    similarity, index = nearest(test.values, train.values[labelled], k=ks[-1])
    votes = np.exp((similarity.astype(np.float64) - 1) / temperature)
    classes = train.labels[labelled][index]  # [M, k]
    return {
        k: _sums_by_class(votes[:, :k], classes[:, :k], num_classes) for k in ks
    }


def require_one_label(*, several_labels: bool) -> None:
    """Neighbours vote for one class an image.

    Raises:
        UserError: images have several.
    """
    if several_labels:
        raise UserError(
            "Nearest neighbours (--knn_eval, --protocol=knn) vote for one "
            "class an image, and --several_labels has more. Leave --knn_eval "
            "out, or choose --protocol=logistic or probe."
        )


def knn_accuracy(
    train_features: np.ndarray,
    train_labels: np.ndarray,
    test_features: np.ndarray,
    test_labels: np.ndarray,
    k: int = 20,
    temperature: float = TEMPERATURE,
) -> float:
    """Share of the test examples whose class the nearest neighbours vote for.

    Args:
        train_features: float[B, D], the bank.
        train_labels: int[B], classes from 0; -1 for none, which does not vote.
        test_features: float[M, D].
        test_labels: int[M]; an example of label -1 does not count.
        k: how many neighbours vote; all where there are fewer.
        temperature: tau; the smaller, the more the nearest count.

    Returns:
        In [0, 1].

    Raises:
        TypeError: labels that are not whole numbers.
        ValueError: no labels, several an image, or shapes that do not fit.
    """
    sides = []
    for values, labels in (
        (train_features, train_labels),
        (test_features, test_labels),
    ):
        values, labels = np.asarray(values), np.asarray(labels)
        if values.ndim != 2 or labels.shape != values.shape[:1]:
            raise ValueError(
                "Features must be [M, D] and labels [M]. Received: "
                f"{values.shape} and {labels.shape}."
            )
        if labels.dtype.kind not in "biu":
            raise TypeError(
                "Labels must be whole numbers, -1 for none. Received: "
                f"{labels.dtype}. Of names: np.unique(names, "
                "return_inverse=True)[1], of both sides together."
            )
        kept = metrics.counted(labels)
        sides.append(Features(values[kept], labels[kept], np.flatnonzero(kept)))
    train, test = sides
    if not len(train.labels) or not len(test.labels):
        raise ValueError("Both sides need examples with a label (from 0).")
    num_classes = 1 + int(max(train.labels.max(), test.labels.max()))
    scores = knn_scores(
        train, test, num_classes=num_classes, ks=(k,), temperature=temperature
    )
    return metrics.value("top_1", *scores.values(), test.labels)


def nearest(
    queries: np.ndarray,
    bank: np.ndarray,
    *,
    k: int,
    exclude: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """The k rows of the bank of highest cosine similarity, best first.

    Of equally similar rows, the first in the bank comes first, also where not
    all of them are among the k. Works block by block, so that memory does not
    grow with either.

    Args:
        queries: float[M, D].
        bank: float[B, D].
        k: how many.
        exclude: int[M], for every query a row of the bank that is not its
            neighbour: the query itself. None excludes nothing.

    Returns:
        similarity float32[M, k] in [-1, 1] and index int64[M, k].

    Raises:
        ValueError: k is not in 1..B (1..B-1 with exclude), or the widths
            differ.
    """
    most = len(bank) - (exclude is not None)
    if not 1 <= k <= most:
        raise ValueError(
            f"k={k} nearest neighbours of {len(bank)} examples: k must be in "
            f"1..{most}."
        )
    if queries.shape[1] != bank.shape[1]:
        raise ValueError(
            f"Queries have {queries.shape[1]} features and the bank "
            f"{bank.shape[1]}."
        )
    similarity = np.empty((len(queries), k), np.float32)
    index = np.empty((len(queries), k), np.int64)
    for start in range(0, len(queries), _QUERY_ROWS):
        rows = slice(start, start + _QUERY_ROWS)
        similarity[rows], index[rows] = _nearest_of_block(
            _unit(queries[rows]),
            bank,
            k,
            None if exclude is None else np.asarray(exclude)[rows],
        )
    return similarity, index


def _nearest_of_block(queries, bank, k, exclude):
    similarity = np.empty((len(queries), 0), np.float32)
    index = np.empty((len(queries), 0), np.int64)
    for start in range(0, len(bank), _BANK_ROWS):
        part = _unit(bank[start : start + _BANK_ROWS])
        # The order of a product's sums depends on where in the block a row
        # is. Rounded from float64, equal rows are equally similar anyway.
        block = (queries @ part.T).astype(np.float32)
        np.clip(block, -1, 1, out=block)
        if exclude is not None:
            inside = (exclude >= start) & (exclude < start + len(part))
            block[inside, exclude[inside] - start] = -np.inf
        best, kept = _top_k(block, k)
        # What was kept before comes first in the bank, and so here.
        similarity, chosen = _top_k(np.hstack([similarity, best]), k)
        index = np.take_along_axis(
            np.hstack([index, kept + start]), chosen, axis=1
        )
    return similarity, index


def _top_k(values: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """The k largest of every row and their columns; of equals the first."""
    with tf.device("CPU:0"):
        best, columns = tf.math.top_k(values, min(k, values.shape[1]))
    return best.numpy(), columns.numpy().astype(np.int64)


def _unit(rows: np.ndarray) -> np.ndarray:
    """float64 rows of length 1; a row of zeros stays one."""
    rows = np.asarray(rows, np.float64)
    length = np.linalg.norm(rows, axis=1, keepdims=True)
    return rows / np.maximum(length, np.finfo(np.float64).tiny)


def _sums_by_class(votes, classes, num_classes) -> np.ndarray:
    rows = np.arange(len(votes))[:, np.newaxis] * num_classes
    size = len(votes) * num_classes
    sums = np.bincount(
        (rows + classes).ravel(), weights=votes.ravel(), minlength=size
    )
    return sums.reshape(-1, num_classes)
