"""Images that are nearly the same: alike to the encoder and to the eye."""

from collections.abc import Callable

import numpy as np

from simclr_tf.evaluation import knn

# Cosine similarity of features, and mean difference of pixels in levels.
_LEAST_SIMILARITY = 0.95
_MOST_LEVELS = 12.0
_NEIGHBOURS = 5
_MOST_PAIRS = 1_000


def pairs(
    features: np.ndarray, images_of: Callable[[np.ndarray], np.ndarray]
) -> list[tuple[float, int, int]]:
    """Finds near-duplicates among the nearest neighbours.

    Args:
        features: float32[n, D].
        images_of: rows int64[m] -> uint8[m, S, S, C], what the encoder sees.

    Returns:
        (mean difference of their pixels in levels 0..255, row, later row),
        the most alike first.
    """
    rows = np.arange(len(features))
    k = min(_NEIGHBOURS, len(features) - 1)
    if k < 1:
        return []
    similarity, index = knn.nearest(features, features, k=k, exclude=rows)
    alike = similarity >= _LEAST_SIMILARITY
    first = np.repeat(rows, k)[alike.ravel()]
    both = np.sort(np.stack([first, index[alike]], axis=1), axis=1)
    best = np.argsort(-similarity[alike], kind="stable")
    both = both[best][: 2 * _MOST_PAIRS]  # most pairs are there both ways
    both = np.unique(both, axis=0)
    if not len(both):
        return []
    known = np.unique(both)
    pixels = images_of(known).astype(np.float32)
    left, right = (pixels[np.searchsorted(known, both[:, i])] for i in (0, 1))
    levels = np.abs(left - right).mean(axis=(1, 2, 3))
    order = np.argsort(levels, kind="stable")
    return [
        (float(levels[i]), int(both[i, 0]), int(both[i, 1]))
        for i in order
        if levels[i] <= _MOST_LEVELS
    ][:_MOST_PAIRS]
