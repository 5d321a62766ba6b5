"""map.png: the images themselves, where their features put them."""

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from simclr_tf.reports import lettering

# t-SNE of more takes minutes, and their pictures cover each other.
MOST_IMAGES = 5_000
_LEAST_FOR_TSNE = 50
# Pixels of the map's side: of many images, and of two.
_SIDE, _LEAST_SIDE = 1600, 480
_THUMBNAIL = 128
_LEAST_THUMBNAIL = 16
# Of the map's area, what all thumbnails together may cover.
_COVERED = 0.6
# The same of few images, for which the map is made smaller.
_COVERED_BY_FEW = 0.25
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
    where: np.ndarray, images: np.ndarray, *, method: str, note: str = ""
) -> np.ndarray:
    """Draws small images at their places; of those that would cover each
    other by half or more along both axes, the first. A line at the top says
    how many there are.

    Args:
        where: float[n, 2] in [0, 1].
        images: uint8[n, S, S, 3].
        method: that found the places.
        note: what else the line says.

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
    room = int(_THUMBNAIL * (len(images) / _COVERED_BY_FEW) ** 0.5)
    room = max(_LEAST_SIDE, min(_SIDE, room))
    side = int(_SIDE * (_COVERED / len(images)) ** 0.5)
    side = max(_LEAST_THUMBNAIL, min(_THUMBNAIL, side))
    corners = (np.asarray(where) * room).astype(int)
    shown = _apart(corners, side // 2)
    said = f"{len(images)} images by {method} of their features"
    if hidden := len(images) - len(shown):
        said += f"; not shown, behind others: {hidden}"
    if note:
        said += f"; {note}"
    font = ImageFont.load_default(size=24)
    lines = lettering.lines(f"{said}.", font, room + side)
    line_height = sum(font.getmetrics())
    top = 2 * _MARGIN + len(lines) * line_height
    width = room + side + 2 * _MARGIN
    canvas = Image.new("RGB", (width, top + room + side + _MARGIN), _PAPER)
    draw = ImageDraw.Draw(canvas)
    for number, line in enumerate(lines):
        at = (_MARGIN, _MARGIN + number * line_height)
        draw.text(at, line, _INK, font)
    for i in shown:
        small = Image.fromarray(images[i]).resize((side, side), Image.LANCZOS)
        left, upper = (int(p) for p in corners[i] + (_MARGIN, top))
        canvas.paste(small, (left, upper))
        box = (left - 1, upper - 1, left + side, upper + side)
        draw.rectangle(box, outline=_FRAME)
    return np.asarray(canvas)


def _apart(corners: np.ndarray, distance: int) -> list[int]:
    """Rows of int[n, 2], in order, without those nearer to a row before them,
    along both axes."""
    kept: list[int] = []
    for i, corner in enumerate(corners):
        if not (np.abs(corners[kept] - corner) < distance).all(axis=1).any():
            kept.append(i)
    return kept
