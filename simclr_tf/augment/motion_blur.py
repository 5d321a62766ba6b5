"""Motion blur of a batch of views, each in a direction of its own.

Paper: B.2 adds it to the policy, and says no more of it.
"""

import enum
import math

import tensorflow as tf

from simclr_tf.augment import blur, draw

_POINTS_PER_PIXEL = 4


class Purpose(enum.IntEnum):
    """See `draw.Purpose`."""

    MOTION_COIN = 50
    DIRECTION = 51


def path_length(image_size: int) -> int:
    """Pixels that are passed: as many as Gaussian blur has taps, at least 3."""
    return max(3, blur.kernel_size(image_size))


def draw_direction(seed) -> tf.Tensor:
    """float32[..., 1], an angle, U[0, pi): there and back is the same."""
    return math.pi * draw.uniform(seed, Purpose.DIRECTION)


def kernels(direction, length: int) -> tf.Tensor:
    """The path of a point in so many pixels, on average over time.

    Args:
        direction: float32[N], the angle to the x axis, y pointing down.
        length: L, odd, in pixels.

    Returns:
        float32[N, L, L] with sum 1; each point of the path is shared by the
        four pixels around it, the nearer the more.
    """
    points = tf.linspace(-0.5, 0.5, _POINTS_PER_PIXEL * length + 1)
    points = tf.cast(points, tf.float32) * (length - 1)
    pixels = tf.range(length, dtype=tf.float32) - length // 2

    def shares(way):  # [N, points, L], of the pixels along one axis
        places = way[:, None] * points
        gaps = tf.abs(places[:, :, None] - pixels)
        return tf.maximum(1.0 - gaps, 0.0)

    rows, columns = shares(tf.sin(direction)), shares(tf.cos(direction))
    return tf.matmul(rows, columns, transpose_a=True) / points.shape[0]


def motion_blur(images, direction, *, length: int) -> tf.Tensor:
    """Convolves each image with the path of a point in its own direction.

    Beyond the border lies the mirror image.

    Args:
        images: float32[N, S, S, C].
        direction: float32[N, 1], in radians.
        length: of the path, in pixels; odd.

    Returns:
        float32[N, S, S, C].
    """
    side, margin = images.shape[1], length // 2
    paths = kernels(direction[:, 0], length)
    margins = [[0, 0], [margin, margin], [margin, margin], [0, 0]]
    padded = tf.pad(images, margins, mode="SYMMETRIC")
    blurred = tf.zeros_like(images)
    for y in range(length):
        for x in range(length):
            shifted = padded[:, y : y + side, x : x + side]
            blurred += paths[:, y, x, None, None, None] * shifted
    return blurred
