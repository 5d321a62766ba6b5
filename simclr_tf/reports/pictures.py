"""views.png: what the encoder is asked to tell apart, to look at."""

import numpy as np
import tensorflow as tf

_LEAST_SIDE = 96
_GAP = 4


def grid(images: tf.Tensor) -> np.ndarray:
    """Rows of images as one picture; small ones enlarged without smoothing.

    Args:
        images: uint8[rows, columns, S, S, 3].

    Returns:
        uint8[H, W, 3].
    """
    images = np.asarray(images)
    times = max(1, -(-_LEAST_SIDE // images.shape[2]))
    images = images.repeat(times, axis=2).repeat(times, axis=3)
    framed = np.pad(
        images,
        ((0, 0), (0, 0), (0, _GAP), (0, _GAP), (0, 0)),
        constant_values=255,
    )
    rows, columns, height, width, channels = framed.shape
    return framed.transpose(0, 2, 1, 3, 4).reshape(
        rows * height, columns * width, channels
    )
