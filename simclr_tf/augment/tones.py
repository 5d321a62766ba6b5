"""Equalise and solarise: operators on the tones of a batch of views.

Paper: B.2 adds both to the policy, and says no more of them.

Legend: N images of S x S pixels and C channels.
"""

import enum

import tensorflow as tf

from simclr_tf.augment import draw

# Of solarisation: which tones, at least, are turned.
MIN_THRESHOLD, MAX_THRESHOLD = 0.25, 1.0

_LEVELS = 256


class Purpose(enum.IntEnum):
    """See `draw.Purpose`."""

    SOLARIZE_COIN = 40
    THRESHOLD = 41
    EQUALIZE_COIN = 42


def draw_threshold(seed) -> tf.Tensor:
    """float32[..., 1], U[MIN_THRESHOLD, MAX_THRESHOLD]."""
    numbers = draw.uniform(seed, Purpose.THRESHOLD)
    return MIN_THRESHOLD + (MAX_THRESHOLD - MIN_THRESHOLD) * numbers


def solarize(images, threshold) -> tf.Tensor:
    """Turns the tones from a threshold on into their negative.

    Args:
        images: float32[N, S, S, C] in [0, 1].
        threshold: float32[N, 1].

    Returns:
        float32[N, S, S, C] in [0, 1].
    """
    threshold = threshold[:, :, None, None]
    return tf.where(images < threshold, images, 1.0 - images)


def equalize(images) -> tf.Tensor:
    """Spreads the tones of each channel, so that all are equally frequent.

    Pillow's algorithm, ImageOps.equalize, on tones rounded to 1/255.

    Args:
        images: float32[N, S, S, C] in [0, 1].

    Returns:
        float32[N, S, S, C], multiples of 1/255 in [0, 1].
    """
    tones = tf.cast(tf.round(images * (_LEVELS - 1)), tf.int32)
    channels = images.shape[-1] * tf.shape(images)[0]
    # Each channel of each image has a histogram of its own.
    own = tf.range(channels)
    own = tf.reshape(own, [-1, 1, 1, images.shape[-1]]) * _LEVELS + tones
    counts = tf.math.unsorted_segment_sum(
        tf.ones_like(tf.reshape(own, [-1])),
        tf.reshape(own, [-1]),
        channels * _LEVELS,
    )
    counts = tf.reshape(counts, [-1, _LEVELS])
    brightest = tf.reduce_max(
        tf.where(counts > 0, tf.range(_LEVELS), 0), axis=1, keepdims=True
    )
    of_brightest = tf.gather(counts, brightest, batch_dims=1)
    step = (tf.reduce_sum(counts, 1, keepdims=True) - of_brightest) // (
        _LEVELS - 1
    )
    before = tf.cumsum(counts, axis=1, exclusive=True)
    spread = (before + step // 2) // tf.maximum(step, 1)
    table = tf.where(step > 0, spread, tf.range(_LEVELS))
    table = tf.reshape(tf.clip_by_value(table, 0, _LEVELS - 1), [-1])
    return tf.cast(tf.gather(table, own), tf.float32) / (_LEVELS - 1)
