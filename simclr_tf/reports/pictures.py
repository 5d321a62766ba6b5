"""views.png: what the encoder is asked to tell apart, to look at."""

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from simclr_tf.reports import lettering

_LEAST_SIDE = 96
_GAP = 4
# Grey, so that a view that came out white is seen to be there.
_PAPER, _INK = (208, 208, 208), (0, 0, 0)


def visible(images) -> np.ndarray:
    """uint8[..., 3] of uint8[..., C]: RGB as it is, one channel or two as grey
    of the first, more by the first three."""
    images = np.asarray(images)
    if images.shape[-1] < 3:
        return images[..., :1].repeat(3, axis=-1)
    return images[..., :3]


def note_of(num_channels: int) -> str:
    """What `visible` shows of so many channels; "" of RGB and grey."""
    if num_channels in (1, 3):
        return ""
    if num_channels == 2:
        return "band 1 of 2"
    return f"bands 1, 2, 3 of {num_channels}"


def grid(images, captions: Sequence[str] = ()) -> np.ndarray:
    """Rows of images as one picture; small ones enlarged without smoothing.

    Args:
        images: uint8[rows, columns, S, S, 3].
        captions: what stands above the columns, one each; none leaves no room.

    Returns:
        uint8[H, W, 3].
    """
    images = np.asarray(images)
    times = max(1, -(-_LEAST_SIDE // images.shape[2]))
    images = images.repeat(times, axis=2).repeat(times, axis=3)
    framed = np.pad(
        images,
        ((0, 0), (0, 0), (0, _GAP), (0, _GAP), (0, 0)),
        constant_values=_PAPER[0],
    )
    rows, columns, height, width, channels = framed.shape
    picture = framed.transpose(0, 2, 1, 3, 4).reshape(
        rows * height, columns * width, channels
    )
    if captions:
        picture = np.concatenate([_head(captions, width), picture])
    # The margins that the frames leave open.
    margins = ((0 if captions else _GAP, 0), (_GAP, 0), (0, 0))
    return np.pad(picture, margins, constant_values=_PAPER[0])


def _head(captions: Sequence[str], width: int) -> np.ndarray:
    """uint8[h, len(captions) * width, 3], the captions side by side."""
    font = ImageFont.load_default(size=max(12, min(16, width // 8)))
    line_height = sum(font.getmetrics())
    told = [lettering.lines(text, font, width - _GAP) for text in captions]
    height = max(map(len, told)) * line_height + 2 * _GAP
    head = Image.new("RGB", (len(captions) * width, height), _PAPER)
    draw = ImageDraw.Draw(head)
    for column, lines in enumerate(told):
        middle = column * width + (width - _GAP) // 2
        for number, line in enumerate(lines):
            at = (middle, _GAP + number * line_height)
            draw.text(at, line, _INK, font, anchor="ma")
    return np.asarray(head)
