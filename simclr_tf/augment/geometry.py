"""Crop, resize and flip: pure functions of an image and what was drawn.

These run on the host, one image at a time, and stay in uint8, so that a view
takes a quarter of float32's bytes on its way to the device.
"""

import tensorflow as tf

# Ref: tf2/data.py; at this size and below evaluation keeps the borders.
MAX_UNCROPPED_SIZE = 32


def crop_resize(image, box, *, size: int) -> tf.Tensor:
    """Cuts a box out of an image and resizes it, bicubic, to a square.

    Ref: tf.image.resize, no antialiasing.
    Differs: rounded to uint8; the official code hands on the float values,
    which overshoot [0, 1] until its first clip.

    Args:
        image: uint8[h, w, 3].
        box: int32[4], (y, x, height, width), inside the image.
        size: S, side of the result in pixels.

    Returns:
        uint8[S, S, 3].
    """
    begin = tf.concat([box[:2], [0]], axis=0)
    extent = tf.concat([box[2:], [3]], axis=0)
    crop = tf.slice(image, begin, extent)
    resized = tf.image.resize(crop, [size, size], tf.image.ResizeMethod.BICUBIC)
    resized = tf.clip_by_value(tf.round(resized), 0.0, 255.0)
    resized = tf.cast(resized, tf.uint8)
    return tf.ensure_shape(resized, [size, size, 3])


def central_box(image_shape, *, proportion: float) -> tf.Tensor:
    """The central square whose side is a proportion of the shorter side.

    Ref: tf2/data_util.py, center_crop, for square outputs: side rounded half
    to even, offset rounded up.

    Args:
        image_shape: int32[3], (height, width, channels).
        proportion: in (0, 1].

    Returns:
        int32[4], (y, x, side, side).
    """
    height_width = tf.cast(image_shape, tf.int32)[:2]
    shorter = tf.cast(tf.reduce_min(height_width), tf.float32)
    side = tf.cast(tf.round(proportion * shorter), tf.int32)
    side = tf.fill([2], tf.maximum(side, 1))
    return tf.concat([(height_width - side + 1) // 2, side], axis=0)


def flip(image, coin) -> tf.Tensor:
    """Mirrors uint8[h, w, 3] left to right where coin, bool[], is true."""
    # Reversing costs as much as resizing: only where the coin asks for it.
    return tf.cond(coin, lambda: tf.reverse(image, axis=[1]), lambda: image)


def eval_view(
    image, *, size: int, crop: bool = True, crop_proportion: float = 0.875
) -> tf.Tensor:
    """Evaluation preprocessing: central crop, then bicubic resize.

    Ref: tf2/data_util.py, preprocess_for_eval: 500 x 375 is cut to 328 x 328
    and resized to 224; without a crop at 32 px and below.
    Differs: there, an image of another size than asked for is an error; here
    it is resized, from the largest central square.

    Args:
        image: uint8[h, w, 3].
        size: S, side of the result in pixels.
        crop: False keeps the whole shorter side at sizes above 32 px too.
        crop_proportion: of the shorter side, what the crop keeps.

    Returns:
        uint8[S, S, 3].
    """
    if not crop or size <= MAX_UNCROPPED_SIZE:
        crop_proportion = 1.0
    box = central_box(tf.shape(image), proportion=crop_proportion)
    return crop_resize(image, box, size=size)
