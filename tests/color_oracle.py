"""Colour distortion the slow way: operator after operator, by tf.image."""

import tensorflow as tf

from simclr_tf.augment.draw import ORDERS, Column


def distorted(image, row, jitter_impl="simclrv1"):
    """The paper's distortion of one image.

    Args:
        image: float32[H, W, 3] in [0, 1].
        row: float32[NUM_PARAMETERS], of that image.
        jitter_impl: 'simclrv1' or 'simclrv2'.

    Returns:
        float32[H, W, 3] in [0, 1].
    """
    operators = {
        Column.BRIGHTNESS: (
            tf.image.adjust_brightness
            if jitter_impl == "simclrv1"
            else tf.multiply
        ),
        Column.CONTRAST: tf.image.adjust_contrast,
        Column.SATURATION: tf.image.adjust_saturation,
        Column.HUE: tf.image.adjust_hue,
    }
    if row[Column.JITTER]:
        for operator in ORDERS[int(row[Column.ORDER])]:
            image = operators[operator](image, row[operator])
            image = tf.clip_by_value(image, 0.0, 1.0)
    if row[Column.DROP]:
        image = tf.repeat(tf.image.rgb_to_grayscale(image), 3, axis=-1)
    return image
