"""map.png: the images themselves, where their features put them."""

import numpy as np
from PIL import Image, ImageDraw, ImageFont

# t-SNE of more takes minutes, and their pictures cover each other.
MOST_IMAGES = 5_000
_LEAST_FOR_TSNE = 50
_SIDE = 1600
_THUMBNAIL = 128
_LEAST_THUMBNAIL = 16
# Of the map's area, what all thumbnails together may cover.
_COVERED = 0.6
_MARGIN = 24
_PAPER, _FRAME, _INK = (255, 255, 255), (160, 160, 160), (0, 0, 0)
_BEFORE_TSNE = 50


def places(features: np.ndarray, *, seed: int) -> tuple[np.ndarray, str]:
    """Puts features on a plane: near where similar.

    t-SNE of their directions, after PCA to 50; PCA alone of fewer than 50.

    Args:
        features: float32[n, D], n >= 2.
        seed: of t-SNE.

    Returns:
        float64[n, 2] in [0, 1], and the method's name.
    """
    # Not at the top: a second of the start of every job.
    from sklearn.decomposition import PCA
    from sklearn.manifold import TSNE

    norms = np.linalg.norm(features, axis=1, keepdims=True)
    rows = features / np.maximum(norms, 1e-12)
    method = "PCA" if len(rows) < _LEAST_FOR_TSNE else "t-SNE"
    kept = min(2 if method == "PCA" else _BEFORE_TSNE, *rows.shape)
    found = PCA(kept, random_state=seed).fit_transform(rows)
    if method == "t-SNE":
        perplexity = min(30, (len(rows) - 1) / 3)
        found = TSNE(
            perplexity=perplexity, init="pca", random_state=seed
        ).fit_transform(found)
    if found.shape[1] < 2:
        found = np.pad(found, ((0, 0), (0, 1)))
    low, high = found.min(axis=0), found.max(axis=0)
    return (found - low) / np.maximum(high - low, 1e-12), method


def picture(
    where: np.ndarray, images: np.ndarray, *, method: str
) -> np.ndarray:
    """Draws small images at their places; of those that would cover each
    other by more than half, the first. A line at the top says how many there
    are.

    Args:
        where: float[n, 2] in [0, 1].
        images: uint8[n, S, S, 3].
        method: that found the places.

    Returns:
        uint8[H, W, 3].

    Raises:
        ValueError: not as many places as images.
    """
    if len(where) != len(images):
        raise ValueError(
            f"A map needs a place for each image. Received: {len(where)} for "
            f"{len(images)}."
        )
    side = int(_SIDE * (_COVERED / len(images)) ** 0.5)
    side = max(_LEAST_THUMBNAIL, min(_THUMBNAIL, side))
    font = ImageFont.load_default(size=24)
    top = 2 * _MARGIN + sum(font.getmetrics())
    width = _SIDE + side + 2 * _MARGIN
    canvas = Image.new("RGB", (width, top + _SIDE + side + _MARGIN), _PAPER)
    draw = ImageDraw.Draw(canvas)
    cells = set()
    for place, image in zip(where, images, strict=True):
        cell = tuple((place * _SIDE * 2 / side).astype(int))
        if cell in cells:
            continue
        cells.add(cell)
        small = Image.fromarray(image).resize((side, side), Image.LANCZOS)
        left, upper = (int(p) for p in place * _SIDE + (_MARGIN, top))
        canvas.paste(small, (left, upper))
        box = (left - 1, upper - 1, left + side, upper + side)
        draw.rectangle(box, outline=_FRAME)
    said = f"{len(images)} images by {method} of their features"
    if hidden := len(images) - len(cells):
        said += f"; {hidden} of them are left out, behind others"
    draw.text((_MARGIN, _MARGIN), f"{said}.", _INK, font)
    return np.asarray(canvas)
