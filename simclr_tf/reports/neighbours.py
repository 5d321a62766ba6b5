"""A picture of who is near whom: images beside their nearest neighbours."""

import numpy as np

_GAP = 4
_LEAST_SIDE = 64
_PAPER = 255
# Digits of 3 x 5 pixels, row by row: a font would be a dependency.
_GLYPHS = {
    "0": "###" "#.#" "#.#" "#.#" "###",
    "1": ".#." "##." ".#." ".#." "###",
    "2": "###" "..#" "###" "#.." "###",
    "3": "###" "..#" "###" "..#" "###",
    "4": "#.#" "#.#" "###" "..#" "..#",
    "5": "###" "#.." "###" "..#" "###",
    "6": "###" "#.." "###" "#.#" "###",
    "7": "###" "..#" "..#" ".#." ".#.",
    "8": "###" "#.#" "###" "#.#" "###",
    "9": "###" "#.#" "###" "..#" "###",
    ".": "..." "..." "..." "..." ".#.",
    "-": "..." "..." "###" "..." "...",
}  # fmt: skip


def picture(images: np.ndarray, similarity: np.ndarray) -> np.ndarray:
    """A row for each query: the query, a bar, and its neighbours, best first,
    each with its cosine similarity below.

    Args:
        images: uint8[Q, k + 1, S, S, 3], the query first.
        similarity: float[Q, k] in [-1, 1].

    Returns:
        uint8[H, W, 3]; images below 64 pixels a side are enlarged.

    Raises:
        ValueError: shapes that do not fit each other.
    """
    if images.ndim != 5 or similarity.shape != (
        images.shape[0],
        images.shape[1] - 1,
    ):
        raise ValueError(
            "A picture of neighbours needs images [Q, k + 1, S, S, 3] and "
            f"similarity [Q, k]. Received: {images.shape} and "
            f"{similarity.shape}."
        )
    factor = -(-_LEAST_SIDE // images.shape[2])
    images = images.repeat(factor, axis=2).repeat(factor, axis=3)
    rows = [
        _row(row, numbers)
        for row, numbers in zip(images, similarity, strict=True)
    ]
    width = rows[0].shape[1]
    gap = np.full((_GAP, width, 3), _PAPER, np.uint8)
    stacked = [part for row in rows for part in (row, gap)]
    return np.concatenate([gap, *stacked])


def _row(images: np.ndarray, similarity: np.ndarray) -> np.ndarray:
    side = images.shape[1]
    scale = max(2, side // 32)
    captions = [_caption("", side, scale)] + [
        _caption(f"{number:.2f}", side, scale) for number in similarity
    ]
    tiles = [
        np.concatenate([image, caption])
        for image, caption in zip(images, captions, strict=True)
    ]
    gap = np.full((len(tiles[0]), _GAP, 3), _PAPER, np.uint8)
    parts = [gap, tiles[0], gap, np.zeros_like(gap), gap]
    for tile in tiles[1:]:
        parts += [tile, gap]
    return np.concatenate(parts, axis=1)


def _caption(text: str, width: int, scale: int) -> np.ndarray:
    """uint8[7 * scale, width, 3], black on white, in the middle."""
    strip = np.full((7, -(-width // scale)), _PAPER, np.uint8)
    left = max(0, (strip.shape[1] - 4 * len(text)) // 2)
    for number, letter in enumerate(text):
        ink = np.array([c == "#" for c in _GLYPHS[letter]]).reshape(5, 3)
        column = left + 4 * number
        place = strip[1:6, column : column + 3]
        place[ink[:, : place.shape[1]]] = 0
    strip = strip.repeat(scale, axis=0).repeat(scale, axis=1)[:, :width]
    return np.repeat(strip[..., np.newaxis], 3, axis=2)
