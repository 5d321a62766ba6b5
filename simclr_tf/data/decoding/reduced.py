"""In the graph: large JPEGs at a reduced scale, for given crops."""

import functools

import tensorflow as tf

from simclr_tf import picture
from simclr_tf.data.decoding import headers
from simclr_tf.data.decoding.pixels import check_size, is_jpeg, rgb_of
from simclr_tf.picture import Crops, Picture

_RATIOS = (1, 2, 4, 8)


def picture_of(encoded, crops: Crops, own_shape=None, **how) -> Picture:
    """An image decoded at the least scale that all crops allow.

    What is no JPEG, or too small for a reduction, is `rgb_of`'s, unchanged.

    Args:
        encoded: string[].
        crops: what it is decoded for.
        own_shape: int32[3], of the image that a JPEG is a smaller copy of,
            upright; zeros where it is no copy; None: nothing is.
        **how: of `rgb_of`.
    """

    def of_jpeg():
        shape = tf.io.extract_jpeg_shape(encoded)
        # Below, no box can be reduced, and it would cost time to see it.
        planned = tf.reduce_min(shape[:2]) >= 2 * crops.size
        if own_shape is not None:
            planned |= own_shape[0] > 0
        return tf.cond(
            planned,
            lambda: _plan(
                encoded, shape, own_shape, crops, oriented=how["oriented"]
            ),
            _no_plan,
        )

    scale, ratio, orientation, shape, window = tf.cond(
        is_jpeg(encoded), of_jpeg, _no_plan
    )

    def whole():
        return picture.whole(rgb_of(encoded, **how))

    def reduced():
        with tf.control_dependencies([check_size(shape, how["max_pixels"])]):
            pixels = tf.switch_case(
                tf.where(ratio == 8, 3, ratio // 2),
                [
                    functools.partial(
                        tf.io.decode_and_crop_jpeg,
                        encoded,
                        window,
                        channels=3,
                        ratio=one,
                    )
                    for one in _RATIOS
                ],
            )
        return Picture(pixels, shape, scale, window[:2], orientation)

    made = tf.cond(tf.reduce_all(scale == 1), whole, reduced)
    made.pixels.set_shape([None, None, 3])
    return made


def _no_plan():
    one, none = tf.constant(1), tf.zeros([4], tf.int32)
    return tf.ones([2]), one, one, none[:3], none


def _plan(encoded, stored_shape, own_shape, crops, *, oriented):
    """The image's pixels to one of the reduced, float32[2]; libjpeg's ratio,
    orientation, the image's upright shape, and the window int32[4] of reduced
    pixels in which all boxes lie."""
    orientation = headers.orientation(encoded) if oriented else tf.constant(1)
    shape = picture.upright_shape(stored_shape, orientation)
    scale = tf.ones([2])
    if own_shape is not None:
        # A copy is upright.
        own_shape = tf.where(own_shape[0] > 0, own_shape, shape)
        scale = tf.cast(own_shape[:2] / shape[:2], tf.float32)
        shape = own_shape
    boxes = crops.boxes(shape)
    stored = picture.stored_boxes(boxes, shape, orientation)
    ratio = picture.largest_ratio(boxes, crops.size, scale)
    scale *= tf.cast(ratio, tf.float32)
    ends = stored[:, :2] + stored[:, 2:]
    begin = tf.reduce_min(stored[:, :2], axis=0)
    begin = tf.floor(tf.cast(begin, tf.float32) / scale)
    end = tf.cast(tf.reduce_max(ends, axis=0), tf.float32) / scale
    # What float32 makes of a whole number may lie just above it.
    most = tf.cast(-(-stored_shape[:2] // ratio), tf.float32)
    end = tf.minimum(tf.math.ceil(end), most)
    window = tf.cast(tf.concat([begin, end - begin], axis=0), tf.int32)
    return scale, ratio, orientation, shape, window
