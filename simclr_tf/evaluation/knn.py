"""Weighted k nearest neighbours: the quick look that needs no training.

Wu et al. 2018 (instance discrimination), section 3.4: the k training features
of highest cosine similarity s vote for their class with weight exp(s / tau).
"""

from collections.abc import Sequence

import numpy as np

from simclr_tf.evaluation.features import Features

# Rows of queries and of the bank whose similarities are held at once: 64 MB.
_QUERY_ROWS = 512
_BANK_ROWS = 32_768


def knn_scores(
    train: Features,
    test: Features,
    *,
    num_classes: int,
    ks: Sequence[int] = (20, 200),
    temperature: float = 0.07,
) -> dict[int, np.ndarray]:
    """Votes of the k nearest training examples, for every k.

    score(class) = sum over the k nearest with that class of
    exp((s - 1) / temperature), s the cosine similarity.

    Args:
        train: the bank; examples without a label (negative) are left out.
        test: the queries.
        num_classes: K.
        ks: how many neighbours vote.
        temperature: tau.

    Returns:
        {k: float64[M, K]}, M the number of queries.

    Raises:
        ValueError: a k larger than the bank, a temperature that is not
            positive, or several labels an image.
    """
    if train.labels.ndim != 1:
        raise ValueError(
            "Nearest neighbours vote for one class an image; these images "
            f"have rows of labels: {train.labels.shape}."
        )
    if temperature <= 0:
        raise ValueError(f"temperature must be positive: {temperature}.")
    labelled = train.labels >= 0
    similarity, index = nearest(test.values, train.values[labelled], k=max(ks))
    votes = np.exp((similarity.astype(np.float64) - 1) / temperature)
    classes = train.labels[labelled][index]  # [M, k]
    return {
        k: _sums_by_class(votes[:, :k], classes[:, :k], num_classes) for k in ks
    }


def nearest(
    queries: np.ndarray, bank: np.ndarray, *, k: int
) -> tuple[np.ndarray, np.ndarray]:
    """The k rows of the bank of highest cosine similarity, best first.

    Works block by block, so that memory does not grow with either.

    Args:
        queries: float[M, D].
        bank: float[B, D].
        k: how many.

    Returns:
        similarity float32[M, k] in [-1, 1] and index int64[M, k].

    Raises:
        ValueError: k is not in 1..B, or the widths differ.
    """
    if not 1 <= k <= len(bank):
        raise ValueError(
            f"k={k} nearest neighbours of {len(bank)} examples: k must be in "
            f"1..{len(bank)}."
        )
    if queries.shape[1] != bank.shape[1]:
        raise ValueError(
            f"Queries have {queries.shape[1]} features and the bank "
            f"{bank.shape[1]}."
        )
    best = [
        _nearest_of_block(_unit(queries[start : start + _QUERY_ROWS]), bank, k)
        for start in range(0, len(queries), _QUERY_ROWS)
    ]
    similarity, index = zip(*best, strict=True)
    return np.concatenate(similarity), np.concatenate(index)


def _nearest_of_block(queries, bank, k):
    similarity = np.empty((len(queries), 0), np.float32)
    index = np.empty((len(queries), 0), np.int64)
    for start in range(0, len(bank), _BANK_ROWS):
        block = queries @ _unit(bank[start : start + _BANK_ROWS]).T
        kept = _largest(block, k)
        similarity = np.hstack(
            [similarity, np.take_along_axis(block, kept, axis=1)]
        )
        index = np.hstack([index, kept + start])
        kept = _largest(similarity, k)
        similarity = np.take_along_axis(similarity, kept, axis=1)
        index = np.take_along_axis(index, kept, axis=1)
    # Best first; of equals, the one that comes first in the bank.
    order = np.lexsort((index, -similarity), axis=1)
    return (
        np.take_along_axis(similarity, order, axis=1),
        np.take_along_axis(index, order, axis=1),
    )


def _largest(values: np.ndarray, k: int) -> np.ndarray:
    """Columns of the k largest of every row, in no order."""
    size = values.shape[1]
    if size <= k:
        return np.broadcast_to(np.arange(size), values.shape)
    return np.argpartition(values, size - k, axis=1)[:, size - k :]


def _unit(rows: np.ndarray) -> np.ndarray:
    """Rows of length 1; a row of zeros stays one."""
    rows = np.asarray(rows, np.float32)
    length = np.linalg.norm(rows, axis=1, keepdims=True)
    return rows / np.maximum(length, np.finfo(np.float32).tiny)


def _sums_by_class(votes, classes, num_classes) -> np.ndarray:
    rows = np.arange(len(votes))[:, np.newaxis] * num_classes
    size = len(votes) * num_classes
    sums = np.bincount(
        (rows + classes).ravel(), weights=votes.ravel(), minlength=size
    )
    return sums.reshape(-1, num_classes)
