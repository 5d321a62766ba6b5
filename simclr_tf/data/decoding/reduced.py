"""In the graph: large JPEGs at a reduced scale, for given crops."""

import functools

import tensorflow as tf

from simclr_tf import picture
from simclr_tf.data.decoding import headers
from simclr_tf.data.decoding.pixels import check_size, is_jpeg, rgb_of
from simclr_tf.picture import Crops, Picture

_RATIOS = (2, 4, 8)


def picture_of(encoded, crops: Crops, **how) -> Picture:
    """An image decoded at the least scale that all crops allow.

    What is no JPEG, or too small for a reduction, is `rgb_of`'s, unchanged.

    Args:
        encoded: string[].
        crops: what it is decoded for.
        **how: of `rgb_of`.
    """

    def of_jpeg():
        shape = tf.io.extract_jpeg_shape(encoded)
        # Below, no box can be reduced, and it would cost time to see it.
        large = tf.reduce_min(shape[:2]) >= 2 * crops.size
        return tf.cond(
            large,
            lambda: _plan(encoded, shape, crops, oriented=how["oriented"]),
            _no_plan,
        )

    ratio, orientation, shape, window = tf.cond(
        is_jpeg(encoded), of_jpeg, _no_plan
    )

    def whole():
        return picture.whole(rgb_of(encoded, **how))

    def reduced():
        with tf.control_dependencies([check_size(shape, how["max_pixels"])]):
            pixels = tf.switch_case(
                tf.where(ratio == 8, 2, ratio // 4),
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
        return Picture(pixels, shape, ratio, window[:2], orientation)

    made = tf.cond(ratio == 1, whole, reduced)
    made.pixels.set_shape([None, None, 3])
    return made


def _no_plan():
    one = tf.constant(1)
    return one, one, tf.zeros([3], tf.int32), tf.zeros([4], tf.int32)


def _plan(encoded, stored_shape, crops, *, oriented):
    """Ratio, orientation, upright shape, and the window int32[4] of reduced
    pixels in which all boxes lie."""
    orientation = headers.orientation(encoded) if oriented else tf.constant(1)
    shape = picture.upright_shape(stored_shape, orientation)
    boxes = crops.boxes(shape)
    ratio = picture.largest_ratio(boxes, crops.size)
    stored = picture.stored_boxes(boxes, shape, orientation)
    begin = tf.reduce_min(stored[:, :2], axis=0) // ratio
    end = tf.reduce_max(stored[:, :2] + stored[:, 2:], axis=0)
    end = (end + ratio - 1) // ratio
    window = tf.concat([begin, end - begin], axis=0)
    return ratio, orientation, shape, window
