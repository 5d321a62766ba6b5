"""map.png: the images themselves, where their features put them."""

import functools
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from simclr_tf.reports import lettering
from simclr_tf.terminal import printable

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
_LETTERS = 24
# Of a frame in the colour of a class, in pixels.
_WIDE = 3
_MOST_COLORS = 20
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
    where: np.ndarray,
    images: np.ndarray,
    *,
    method: str,
    note: str = "",
    labels: np.ndarray | None = None,
    class_names: Sequence[str] = (),
) -> np.ndarray:
    """Draws small images at their places; of those that would cover each
    other by half or more along both axes, the first. A line at the top says
    how many there are. Of up to 20 classes, a frame has the colour of its
    image's, and a second line says which is whose.

    Args:
        where: float[n, 2] in [0, 1].
        images: uint8[n, S, S, 3].
        method: that found the places.
        note: what else the line says.
        labels: int[n], -1 where there is none.
        class_names: of the labels.

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
    room, side = _sizes(len(images))
    corners = (np.asarray(where) * room).astype(int)
    shown = _apart(corners, side // 2)
    said = f"{len(images)} images by {method} of their features"
    if hidden := len(images) - len(shown):
        said += f"; not shown, behind others: {hidden}"
    if note:
        said += f"; {note}"
    lines = lettering.lines(f"{said}.", _font(), room + side)
    colors = _colors(labels, class_names)
    legend = _placed(class_names if colors else (), room + side)
    num_lines = len(lines) + max((line + 1 for _, line, _ in legend), default=0)
    top = 2 * _MARGIN + num_lines * _line_height()
    width = room + side + 2 * _MARGIN
    canvas = Image.new("RGB", (width, top + room + side + _MARGIN), _PAPER)
    _write(ImageDraw.Draw(canvas), lines, legend, colors)
    for i in shown:
        known = bool(colors) and labels[i] >= 0
        _paste(
            canvas,
            Image.fromarray(images[i]).resize((side, side), Image.LANCZOS),
            tuple(int(p) for p in corners[i] + (_MARGIN, top)),
            colors[labels[i]] if known else None,
        )
    return np.asarray(canvas)


@functools.cache
def _font() -> ImageFont.FreeTypeFont:
    return ImageFont.load_default(size=_LETTERS)


def _line_height() -> int:
    return sum(_font().getmetrics())


def _sizes(count: int) -> tuple[int, int]:
    """Sides of the map and of its images, in pixels."""
    room = int(_THUMBNAIL * (count / _COVERED_BY_FEW) ** 0.5)
    side = int(_SIDE * (_COVERED / count) ** 0.5)
    return (
        max(_LEAST_SIDE, min(_SIDE, room)),
        max(_LEAST_THUMBNAIL, min(_THUMBNAIL, side)),
    )


def _write(draw, lines, legend, colors) -> None:
    """The lines at the top, and below them the classes and their colours."""
    for number, line in enumerate(lines):
        at = (_MARGIN, _MARGIN + number * _line_height())
        draw.text(at, line, _INK, _font())
    for (x, line, name), color in zip(legend, colors, strict=False):
        left = _MARGIN + x
        upper = _MARGIN + (len(lines) + line) * _line_height()
        square = (left, upper + 4, left + _LETTERS - 4, upper + _LETTERS)
        draw.rectangle(square, fill=color)
        draw.text((left + _LETTERS + 2, upper), name, _INK, _font())


def _paste(canvas, small, at: tuple[int, int], color) -> None:
    """An image in its frame."""
    canvas.paste(small, at)
    width = _WIDE if color else 1
    (left, upper), (across, down) = at, small.size
    ImageDraw.Draw(canvas).rectangle(
        (
            left - width,
            upper - width,
            left + across - 1 + width,
            upper + down - 1 + width,
        ),
        outline=color or _FRAME,
        width=width,
    )


def _colors(
    labels: np.ndarray | None, class_names: Sequence[str]
) -> list[tuple[int, int, int]]:
    """Of each class; none where eyes couldn't tell them apart, or an image
    has several."""
    if labels is None or labels.ndim > 1:
        return []
    if not 2 <= len(class_names) <= _MOST_COLORS:
        return []
    # Not at the top: half a second of the start of every job.
    import matplotlib

    few = len(class_names) <= _MOST_COLORS // 2
    table = matplotlib.colormaps["tab10" if few else "tab20"].colors
    return [tuple(round(255 * part) for part in color) for color in table]


def _placed(names: Sequence[str], width: int) -> list[tuple[int, int, str]]:
    """(pixels from the left, line, name): names in lines, each behind a
    square of its colour; one that is too long is cut."""
    placed, left, line = [], 0, 0
    for name in names:
        shown = printable(name)
        while (
            len(shown) > 1 and _font().getlength(shown) > width - 2 * _LETTERS
        ):
            shown = shown[:-2] + "…"
        needed = int(_font().getlength(shown)) + 2 * _LETTERS
        if left and left + needed > width:
            left, line = 0, line + 1
        placed.append((left, line, shown))
        left += needed
    return placed


def _apart(corners: np.ndarray, distance: int) -> list[int]:
    """Rows of int[n, 2], in order, without those nearer to a row before them,
    along both axes."""
    kept: list[int] = []
    for i, corner in enumerate(corners):
        if not (np.abs(corners[kept] - corner) < distance).all(axis=1).any():
            kept.append(i)
    return kept
