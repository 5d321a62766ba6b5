"""A picture of who is near whom: images beside their nearest neighbours."""

import types
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from simclr_tf.evaluation import knn
from simclr_tf.reports import lettering
from simclr_tf.terminal import printable

_GAP = 6
# Wider than the lines of text are apart, so that a name is of the image above.
_GAP_OF_ROWS = 16
_LEAST_SIDE = 96
_MOST_DRAWN = 500
_HEAD = "nearest others, by cosine similarity of features"
_PAPER, _INK = (255, 255, 255), (0, 0, 0)


class Chosen(NamedTuple):
    """Rows of a picture.

    Attributes:
        rows: int64[Q, k + 1], queries with their neighbours, best first.
        similarity: float32[Q, k] in [-1, 1].
        parts: row -> a line that stands above it.
    """

    rows: np.ndarray
    similarity: np.ndarray
    parts: Mapping[int, str]


def chosen(features: np.ndarray, *, k: int, count: int, seed: int) -> Chosen:
    """Which images to show: half of them drawn at random, and of 500 that are
    drawn, a quarter whose neighbours are most similar to them, and a quarter
    whose are least.

    Args:
        features: float32[n, D], n > k.
        k: neighbours of each.
        count: how many; there may be fewer.
        seed: of the draw.
    """
    drawn = np.random.default_rng(seed).permutation(len(features))
    drawn = drawn[: max(_MOST_DRAWN, count)]
    similarity, index = knn.nearest(
        features[drawn], features, k=k, exclude=drawn
    )
    count = min(count, len(drawn))
    quarter = count // 4
    order = np.argsort(-similarity.mean(axis=1), kind="stable")
    best, worst = order[:quarter], order[len(order) - quarter :][::-1]
    ends = {*best.tolist(), *worst.tolist()}
    others = [i for i in range(len(drawn)) if i not in ends]
    any_of_them = np.array(others[: count - 2 * quarter], np.int64)
    shown = np.concatenate([any_of_them, best, worst])
    parts = {}
    if quarter:
        of = f"of {len(drawn)} images"
        parts = {
            0: "drawn at random",
            len(any_of_them): f"{of}, those with the most similar neighbours",
            len(any_of_them) + quarter: f"{of}, those with the least similar",
        }
    rows = np.concatenate([drawn[shown, np.newaxis], index[shown]], axis=1)
    return Chosen(rows, similarity[shown], parts)


def picture(
    images: np.ndarray,
    similarity: np.ndarray,
    names: Sequence[Sequence[str]] | None = None,
    *,
    note: str = "",
    parts: Mapping[int, str] = types.MappingProxyType({}),
) -> np.ndarray:
    """Draws a row for each query: the query, a bar, and its neighbours, best
    first. Below each image stands the name of its file, and below that of a
    neighbour the cosine similarity. A line at the top says so.

    Args:
        images: uint8[Q, k + 1, S, S, 3], the query first.
        similarity: float[Q, k] in [-1, 1].
        names: Q rows of k + 1 names or paths, of which the last part is shown,
            in one or two lines, shortened to fit; None shows none.
        note: what else the line at the top says.
        parts: row -> a line that stands above it.

    Returns:
        uint8[H, W, 3]; images below 96 pixels a side are enlarged.

    Raises:
        ValueError: shapes that do not fit each other.
    """
    shape = images.shape[:2]
    if (
        images.ndim != 5
        or similarity.shape != (shape[0], shape[1] - 1)
        or (names is not None and np.shape(names) != shape)
    ):
        raise ValueError(
            "A picture of neighbours needs images [Q, k + 1, S, S, 3], "
            "similarity [Q, k] and names [Q, k + 1], or none. Received: "
            f"{images.shape}, {similarity.shape} and {np.shape(names)}."
        )
    factor = -(-_LEAST_SIDE // images.shape[2])
    images = images.repeat(factor, axis=2).repeat(factor, axis=3)
    sheet = _Sheet(columns=shape[1], side=images.shape[2])
    below = [
        sheet.lines_below(named, similar)
        for named, similar in zip(
            names or [None] * shape[0], similarity, strict=True
        )
    ]
    return sheet.drawn(
        images, below, head=f"{_HEAD}; {note}" if note else _HEAD, parts=parts
    )


class _Sheet:
    """The paper that rows of images are laid out on.

    Args:
        columns: images in a row, the query among them.
        side: of an image, in pixels.
    """

    def __init__(self, *, columns: int, side: int):
        self._side = side
        self._font = ImageFont.load_default(size=max(12, side // 10))
        self._line = sum(self._font.getmetrics()) + 2
        step = side + _GAP
        # After the query come a bar, as wide as a gap, and another gap.
        self._bar = _GAP + step
        others = self._bar + 2 * _GAP
        self._lefts = [_GAP, *(others + i * step for i in range(columns - 1))]
        self._others = others
        self._width = columns * step + 3 * _GAP

    def lines_below(
        self, names: Sequence[str] | None, similarity: np.ndarray
    ) -> list[list[str]]:
        """What stands below each image of a row."""
        told = [
            _told(name, self._font, self._side)
            for name in names or [""] * len(self._lefts)
        ]
        numbers = [[], *([f"{one:.3f}"] for one in similarity)]
        return [
            [*filter(None, name), *number]
            for name, number in zip(told, numbers, strict=True)
        ]

    def drawn(
        self,
        images: np.ndarray,
        below: Sequence[Sequence[Sequence[str]]],
        *,
        head: str,
        parts: Mapping[int, str],
    ) -> np.ndarray:
        """uint8[H, W, 3]: the head, and rows of images over their lines."""
        room = self._width - self._others - _GAP
        lines = lettering.lines(head, self._font, room)
        most = max(len(each) for row in below for each in row)
        step = self._side + most * self._line + _GAP_OF_ROWS
        first = 2 * _GAP + len(lines) * self._line
        tops = [
            first + row * step + self._line * sum(p <= row for p in parts)
            for row in range(len(images))
        ]
        size = (self._width, tops[-1] + step)
        canvas = Image.new("RGB", size, _PAPER)
        draw = ImageDraw.Draw(canvas)
        self._write(draw, _GAP + self._side // 2, _GAP, ["image"], "ma")
        self._write(draw, self._others, _GAP, lines, "la")
        for row, top in enumerate(tops):
            if row in parts:
                self._write(draw, _GAP, top - self._line, [parts[row]], "la")
            bar = (self._bar, top, self._bar + _GAP - 1, top + self._side - 1)
            draw.rectangle(bar, fill=_INK)
            for column, left in enumerate(self._lefts):
                canvas.paste(Image.fromarray(images[row, column]), (left, top))
                middle, under = left + self._side // 2, top + self._side
                self._write(draw, middle, under, below[row][column], "ma")
        return np.array(canvas)

    def _write(self, draw, x: int, y: int, lines: Sequence[str], anchor: str):
        for number, line in enumerate(lines):
            at = (x, y + number * self._line)
            draw.text(at, line, _INK, self._font, anchor=anchor)


def _told(name: str, font, width: int) -> list[str]:
    """The last part of a path in one line or two, without what does not fit
    in its middle."""
    name = printable(name.rstrip("/").split("/")[-1])
    shown, left_out = _broken(name, font, width), 0
    while len(shown) > 2 and left_out < len(name):
        left_out += 1
        kept = len(name) - left_out
        shorter = name[: kept // 2] + "…" + name[len(name) - (kept + 1) // 2 :]
        shown = _broken(shorter, font, width)
    return shown


def _broken(text: str, font, width: int) -> list[str]:
    """The text in lines that are no wider, broken anywhere."""
    lines = [""]
    for letter in text:
        if lines[-1] and font.getlength(lines[-1] + letter) > width:
            lines.append("")
        lines[-1] += letter
    return lines
