"""Crop, mirror and quarter turns of views: of a batch, wherever a policy has
them. (`geometry` does what comes first in a policy, image by image.)

Legend: N images of S x S pixels and C channels.
"""

import enum
import math

import tensorflow as tf

from simclr_tf.augment import draw

# Of width / height, as of the first crop. Paper: Appendix A.
_MAX_ASPECT = 4 / 3
_CUBIC = -0.5  # Keys' a, as of the first crop and of Pillow


class Purpose(enum.IntEnum):
    """See `draw.Purpose`."""

    CROP_COIN = 20
    CROP_AREA = 21
    CROP_ASPECT = 22
    CROP_Y = 23
    CROP_X = 24
    ROTATE_COIN = 25
    TURNS = 26


def draw_boxes(seed, *, min_area: float) -> tf.Tensor:
    """Random boxes in a square: area U[min_area, 1], log-uniform aspect.

    Where a side would be longer than the square's, it is the square's, and
    the area less than what was drawn.

    Args:
        seed: int64[...], from ``draw.sample_seed``.
        min_area: in (0, 1].

    Returns:
        float32[..., 4], (y, x, height, width), the square's side being 1.
    """
    area, aspect, y, x = tf.unstack(
        draw.uniform(
            seed,
            Purpose.CROP_AREA,
            Purpose.CROP_ASPECT,
            Purpose.CROP_Y,
            Purpose.CROP_X,
        ),
        axis=-1,
    )
    area = min_area + (1.0 - min_area) * area
    half = tf.exp((aspect - 0.5) * math.log(_MAX_ASPECT))  # sqrt(w / h)
    height = tf.minimum(tf.sqrt(area) / half, 1.0)
    width = tf.minimum(tf.sqrt(area) * half, 1.0)
    box = [y * (1.0 - height), x * (1.0 - width), height, width]
    return tf.stack(box, axis=-1)


def crop(images, boxes) -> tf.Tensor:
    """Cuts a box out of each image and resizes it, bicubic, to the same size.

    Args:
        images: float32[N, S, S, C] in [0, 1].
        boxes: float32[N, 4], from ``draw_boxes``.

    Returns:
        float32[N, S, S, C] in [0, 1].
    """
    side, channels = images.shape[1], images.shape[3]
    cropped = images
    for axis in range(2):  # rows, which then become columns
        matrix = _cubic(boxes[:, axis], boxes[:, axis + 2], side)
        # Equal ranks and no broadcasting, as in `blur.gaussian_blur`.
        rows = tf.reshape(cropped, [-1, side, side * channels])
        rows = tf.matmul(matrix, rows)
        rows = tf.reshape(rows, [-1, side, side, channels])
        cropped = tf.transpose(rows, [0, 2, 1, 3])
    return tf.clip_by_value(cropped, 0.0, 1.0)


def _cubic(begin, extent, side: int) -> tf.Tensor:
    """float32[N, S, S]: row i weighs the pixels that the i-th of S pixels
    between begin and begin + extent is made of."""
    pixels = tf.range(side, dtype=tf.float32)
    begin, extent = begin[:, None], extent[:, None]
    centers = (begin + (pixels + 0.5) / side * extent) * side - 0.5
    x = tf.abs(centers[:, :, None] - pixels)
    near = ((_CUBIC + 2.0) * x - (_CUBIC + 3.0)) * x * x + 1.0
    far = _CUBIC * (((x - 5.0) * x + 8.0) * x - 4.0)
    weights = tf.where(x <= 1.0, near, tf.where(x < 2.0, far, 0.0))
    return weights / tf.reduce_sum(weights, axis=-1, keepdims=True)


def mirror(images) -> tf.Tensor:
    """float32[N, S, S, C], left to right."""
    return tf.reverse(images, axis=[2])


def draw_turns(seed) -> tf.Tensor:
    """float32[..., 1] in 0..3, quarter turns. Paper: Table 3."""
    return tf.floor(4.0 * draw.uniform(seed, Purpose.TURNS))


def rotate(images, turns) -> tf.Tensor:
    """Turns each image by quarters, counterclockwise.

    Args:
        images: float32[N, S, S, C].
        turns: float32[N, 1], whole numbers in 0..3.

    Returns:
        float32[N, S, S, C].
    """
    turns = turns[:, :, None, None]
    half = tf.reverse(images, axis=[1, 2])
    images = tf.where(turns >= 2.0, half, images)
    quarter = tf.reverse(tf.transpose(images, [0, 2, 1, 3]), axis=[1])
    return tf.where(turns % 2.0 == 1.0, quarter, images)
