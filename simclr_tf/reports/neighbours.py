"""A picture of who is near whom: images beside their nearest neighbours."""

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from simclr_tf.reports import lettering
from simclr_tf.terminal import printable

_GAP = 6
# Wider than the lines of text are apart, so that a name is of the image above.
_GAP_OF_ROWS = 16
_LEAST_SIDE = 96
_HEAD = "nearest others, by cosine similarity of features"
_PAPER, _INK = (255, 255, 255), (0, 0, 0)


def picture(
    images: np.ndarray,
    similarity: np.ndarray,
    names: Sequence[Sequence[str]] | None = None,
    *,
    note: str = "",
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
    side = images.shape[2]
    font = ImageFont.load_default(size=max(12, side // 10))
    line_height = sum(font.getmetrics()) + 2
    told = [[_told(n, font, side) for n in row] for row in names or ()]
    most = max((len(lines) for row in told for lines in row), default=0)
    num_lines = 1 + most
    step_x = side + _GAP
    step_y = side + num_lines * line_height + _GAP_OF_ROWS
    # After the query come a bar, as wide as a gap, and another gap.
    width = shape[1] * step_x + 3 * _GAP
    others = _GAP + step_x + 2 * _GAP
    said = f"{_HEAD}; {note}" if note else _HEAD
    head = lettering.lines(said, font, width - others - _GAP)
    head_height = _GAP + len(head) * line_height
    size = (width, head_height + _GAP + shape[0] * step_y)
    canvas = Image.new("RGB", size, _PAPER)
    draw = ImageDraw.Draw(canvas)
    draw.text((_GAP + side // 2, _GAP), "image", _INK, font, anchor="ma")
    for number, line in enumerate(head):
        draw.text((others, _GAP + number * line_height), line, _INK, font)
    for row in range(shape[0]):
        top = head_height + _GAP + row * step_y
        bar = _GAP + step_x
        draw.rectangle((bar, top, bar + _GAP - 1, top + side - 1), fill=_INK)
        for column in range(shape[1]):
            left = _GAP + column * step_x + (2 * _GAP if column else 0)
            canvas.paste(Image.fromarray(images[row, column]), (left, top))
            lines = list(told[row][column]) if told else []
            if column:
                lines.append(f"{similarity[row, column - 1]:.3f}")
            for number, line in enumerate(lines):
                middle = left + side // 2
                y = top + side + number * line_height
                draw.text((middle, y), line, _INK, font, anchor="ma")
    return np.array(canvas)


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
