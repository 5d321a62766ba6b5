"""Cutout, Gaussian noise and Sobel filter of a batch of views.

Paper: Figure 4. It says neither how large, how strong nor how often: what is
here is ours.

Legend: N images of S x S pixels and C channels.
"""

import enum
import math

import tensorflow as tf

from simclr_tf import counter_hash
from simclr_tf.augment import draw

# Of an image's side, the cut square's; and what is seen in its place.
CUTOUT_SIDE = 0.5
CUTOUT_GRAY = 0.5
# Standard deviation of the noise, of the range from black to white.
MIN_DEVIATION, MAX_DEVIATION = 0.05, 0.2

# Says to the hash that the number is noise of a pixel: see `counter_hash`.
_NOISE = 3000
_MANTISSA = 2.0**24  # what `draw.uniform` gives is a multiple of its inverse


class Purpose(enum.IntEnum):
    """See `draw.Purpose`."""

    CUTOUT_COIN = 30
    CUTOUT_Y = 31
    CUTOUT_X = 32
    NOISE_COIN = 33
    DEVIATION = 34
    NOISE_HIGH = 35
    NOISE_LOW = 36
    SOBEL_COIN = 37


def draw_centers(seed) -> tf.Tensor:
    """float32[..., 2], (y, x) in [0, 1), of what is cut out."""
    return draw.uniform(seed, Purpose.CUTOUT_Y, Purpose.CUTOUT_X)


def cutout(images, centers) -> tf.Tensor:
    """Covers a square of each image with gray (DeVries and Taylor 2017).

    The square's centre is anywhere, so a part of it may be outside.

    Args:
        images: float32[N, S, S, C].
        centers: float32[N, 2], from ``draw_centers``.

    Returns:
        float32[N, S, S, C].
    """
    side = images.shape[1]
    length = round(CUTOUT_SIDE * side)
    first = tf.floor(centers * side) - length // 2  # [N, 2]
    pixels = tf.range(side, dtype=tf.float32)
    offsets = pixels - first[:, :, None]  # [N, 2, S]
    within = (offsets >= 0.0) & (offsets < length)
    cut = within[:, 0, :, None] & within[:, 1, None, :]
    return tf.where(cut[..., None], CUTOUT_GRAY, images)


def draw_noise(seed) -> tf.Tensor:
    """float32[..., 3]: the deviation, U[MIN_DEVIATION, MAX_DEVIATION], and
    two whole numbers below 2^24, from which the noise is made."""
    numbers = draw.uniform(
        seed, Purpose.DEVIATION, Purpose.NOISE_HIGH, Purpose.NOISE_LOW
    )
    widths = [MAX_DEVIATION - MIN_DEVIATION, _MANTISSA, _MANTISSA]
    return numbers * widths + [MIN_DEVIATION, 0.0, 0.0]


def gaussian_noise(images, drawn) -> tf.Tensor:
    """Adds to each channel of each pixel a normal number of its own.

    Args:
        images: float32[N, S, S, C] in [0, 1].
        drawn: float32[N, 3], from ``draw_noise``.

    Returns:
        float32[N, S, S, C], clipped to [0, 1].
    """
    key = counter_hash.mix(
        _NOISE, *(tf.cast(drawn[:, i, None], tf.int64) for i in (1, 2))
    )
    numbers = tf.range(images.shape[1:].num_elements(), dtype=tf.int64)
    radius = 1.0 - counter_hash.uniform(key, 2 * numbers)  # in (0, 1]
    angle = counter_hash.uniform(key, 2 * numbers + 1)
    # Box and Muller's: exact but for rounding, and without a branch.
    normal = tf.sqrt(-2.0 * tf.math.log(radius))
    normal *= tf.cos(2.0 * math.pi * angle)
    normal = tf.reshape(normal, [-1, *images.shape[1:]])
    noisy = images + drawn[:, :1, None, None] * normal
    return tf.clip_by_value(noisy, 0.0, 1.0)


def sobel(images) -> tf.Tensor:
    """How steep each channel is: the length of Sobel's gradient.

    It is divided by 4, so that a vertical or horizontal step from black to
    white is white, and clipped to 1. Beyond the border lies the mirror image.

    Args:
        images: float32[N, S, S, C] in [0, 1].

    Returns:
        float32[N, S, S, C] in [0, 1].
    """
    margins = [[0, 0], [1, 1], [1, 1], [0, 0]]
    padded = tf.pad(images, margins, mode="SYMMETRIC")
    rows = padded[:, :-2] + 2.0 * padded[:, 1:-1] + padded[:, 2:]
    columns = padded[:, :, :-2] + 2.0 * padded[:, :, 1:-1] + padded[:, :, 2:]
    across = rows[:, :, 2:] - rows[:, :, :-2]
    down = columns[:, 2:] - columns[:, :-2]
    squares = tf.square(across) + tf.square(down)
    return tf.minimum(tf.sqrt(squares) / 4.0, 1.0)
