"""Crop, resize and flip: pure functions of an image and what was drawn.

These run on the host, one image at a time, and stay in uint8, so that a view
takes a quarter of float32's bytes on its way to the device.
"""

import tensorflow as tf

from simclr_tf import picture
from simclr_tf.picture import Crops, Picture

# Ref: tf2/data.py; at this size and below evaluation keeps the borders.
MAX_UNCROPPED_SIZE = 32


def shape_of(image) -> tf.Tensor:
    """int32[3], of uint8[h, w, C], or of the whole image of a Picture."""
    return image.shape if isinstance(image, Picture) else tf.shape(image)


def crop_resize(image, box, *, size: int, antialias: bool = False) -> tf.Tensor:
    """Cuts a box out of an image and resizes it, bicubic, to a square.

    Ref: tf.image.resize, no antialiasing.
    Differs: rounded to uint8; the official code hands on the float values,
    which overshoot [0, 1] until its first clip.

    Args:
        image: uint8[h, w, C], or a Picture that was decoded for this box.
        box: int32[4], (y, x, height, width), inside the (whole) image.
        size: S, side of the result in pixels.
        antialias: whether a box larger than the result is low-pass filtered,
            as Pillow does it; else four pixels a row and column are weighed,
            and those between them don't count.

    Returns:
        uint8[S, S, C].
    """
    if isinstance(image, Picture):
        return tf.cond(
            tf.reduce_all(image.ratio == 1),
            lambda: _cut(image.pixels, box, size, antialias),
            lambda: _cut_of_reduced(image, box, size, antialias),
        )
    return _cut(image, box, size, antialias)


def _cut(image, box, size, antialias) -> tf.Tensor:
    begin = tf.concat([box[:2], [0]], axis=0)
    channels = image.shape[-1]
    extent = tf.concat([box[2:], [channels]], axis=0)
    crop = tf.slice(image, begin, extent)
    resized = tf.image.resize(
        crop,
        [size, size],
        tf.image.ResizeMethod.BICUBIC,
        antialias=antialias,
    )
    return _rounded(resized, size, channels)


def _cut_of_reduced(image: Picture, box, size, antialias) -> tf.Tensor:
    """The box as it is stored; the small result is then turned, rather than
    the large picture.

    With the filter, its edges are between pixels, where they are. Without, at
    the nearest pixels, half of a view's pixel away at most: the operator for
    edges between pixels takes twice the time of the one for whole pixels.
    """
    box, channels = tf.convert_to_tensor(box)[None], image.pixels.shape[-1]
    stored = picture.stored_boxes(box, image.shape, image.orientation)[0]
    stored = tf.cast(stored, tf.float32) / tf.tile(image.ratio, [2])
    begin = stored[:2] - tf.cast(image.corner, tf.float32)
    extent = stored[2:]
    most = tf.cast(tf.shape(image.pixels)[:2], tf.float32)
    if antialias:
        # Only what the box touches, since all rows of this are read.
        first, last = tf.floor(begin), tf.math.ceil(begin + extent)
    else:
        first = tf.minimum(tf.round(begin), most - 1)
        last = tf.maximum(tf.round(begin + extent), first + 1)
    last = tf.minimum(last, most)
    crop = tf.slice(
        image.pixels,
        tf.concat([tf.cast(first, tf.int32), [0]], axis=0),
        tf.concat([tf.cast(last - first, tf.int32), [channels]], axis=0),
    )
    if antialias:
        scale = size / extent
        resized = tf.raw_ops.ScaleAndTranslate(
            images=crop[None],
            size=[size, size],
            scale=scale,
            translation=(first - begin) * scale,
            kernel_type="keyscubic",
            antialias=True,
        )[0]
    else:
        resized = tf.image.resize(
            crop, [size, size], tf.image.ResizeMethod.BICUBIC
        )
    view = _rounded(resized, size, channels)
    view = picture.upright(view, image.orientation)
    return tf.ensure_shape(view, [size, size, channels])


def _rounded(resized, size, channels) -> tf.Tensor:
    resized = tf.clip_by_value(tf.round(resized), 0.0, 255.0)
    shape = [size, size, channels]
    return tf.ensure_shape(tf.cast(resized, tf.uint8), shape)


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
    """Mirrors uint8[h, w, C] left to right where coin, bool[], is true."""
    # Reversing costs as much as resizing: only where the coin asks for it.
    return tf.cond(coin, lambda: tf.reverse(image, axis=[1]), lambda: image)


def eval_box(
    shape, *, size: int, crop: bool = True, crop_proportion: float = 0.875
) -> tf.Tensor:
    """int32[4], the box of `eval_view` in an image of shape int32[3]."""
    if not crop or size <= MAX_UNCROPPED_SIZE:
        crop_proportion = 1.0
    return central_box(shape, proportion=crop_proportion)


def eval_crops(**how) -> Crops:
    """What an image is decoded for, for an `eval_view` with these options."""
    return Crops(lambda shape: eval_box(shape, **how)[None], how["size"])


def eval_view(
    image,
    *,
    size: int,
    crop: bool = True,
    crop_proportion: float = 0.875,
    antialias: bool = False,
) -> tf.Tensor:
    """Evaluation preprocessing: central crop, then bicubic resize.

    Ref: tf2/data_util.py, preprocess_for_eval: 500 x 375 is cut to 328 x 328
    and resized to 224; without a crop at 32 px and below.
    Differs: there, an image of another size than asked for is an error; here
    it is resized, from the largest central square.

    Args:
        image: uint8[h, w, C], or a Picture that was decoded for it.
        size: S, side of the result in pixels.
        crop: False keeps the whole shorter side at sizes above 32 px too.
        crop_proportion: of the shorter side, what the crop keeps.
        antialias: of `crop_resize`.

    Returns:
        uint8[S, S, C].
    """
    box = eval_box(
        shape_of(image), size=size, crop=crop, crop_proportion=crop_proportion
    )
    return crop_resize(image, box, size=size, antialias=antialias)
