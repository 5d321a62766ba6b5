"""An image that was decoded for certain crops: at a reduced scale, if large.

libjpeg decodes at 1/2, 1/4 or 1/8 of the size in half of the time, and a view
of 224 pixels needs no more of a photograph of 12 megapixels. The scale follows
from the image's shape and the boxes, so it is the same on every host and when
a run resumes. `data` decodes pictures, `augment` cuts them.
"""

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

# By EXIF's orientation, 1..8: the order of the axes, then the mirrored ones.
_AXES = np.array([[0, 1, 2]] * 5 + [[1, 0, 2]] * 4, np.int32)
_MIRRORED = np.array(
    [[o in (3, 4, 7, 8), o in (2, 3, 6, 7), False] for o in range(9)]
)


class Picture(NamedTuple):
    """Part of an image, perhaps at a reduced scale, as it is stored.

    Attributes:
        pixels: uint8[h, w, C]. Of a whole image (ratio 1) they are upright.
        shape: int32[3], of the whole image, upright.
        ratio: float32[2], the image's pixels to the height and width of one
            of these; 1, 2, 4 or 8, or of a copy that was shrunk any number.
        corner: int32[2], where pixels begin, in pixels of that size.
        orientation: int32[], EXIF's of the pixels, 1..8; 1 is upright.
    """

    pixels: Any
    shape: Any
    ratio: Any
    corner: Any
    orientation: Any


@dataclasses.dataclass(frozen=True)
class Crops:
    """What an image is decoded for.

    Attributes:
        boxes: the whole image's shape int32[3] -> int32[V, 4], the boxes (y,
            x, height, width) that will be cut out.
        size: side of the views in pixels, no larger than the boxes at the
            scale that is chosen.
    """

    boxes: Callable
    size: int


def whole(image) -> Picture:
    """A picture of all of an upright image uint8[h, w, C]."""
    corner, orientation = tf.zeros([2], tf.int32), tf.constant(1)
    return Picture(image, tf.shape(image), tf.ones([2]), corner, orientation)


def upright(image, orientation) -> tf.Tensor:
    """uint8[h, w, C] turned and mirrored as EXIF's orientation 1..8 says."""

    def turned():
        image_ = tf.transpose(image, tf.gather(_AXES, orientation))
        dims = tf.gather(_MIRRORED, orientation)
        return tf.raw_ops.Reverse(tensor=image_, dims=dims)

    return tf.cond(orientation == 1, lambda: image, turned)


def upright_shape(stored_shape, orientation) -> tf.Tensor:
    """int32[3], of an image of this stored shape int32[3], upright."""
    return tf.gather(stored_shape, tf.gather(_AXES, orientation))


def stored_boxes(boxes, shape, orientation) -> tf.Tensor:
    """int32[V, 4], where boxes of an upright image lie in the stored one.

    Args:
        boxes: int32[V, 4], (y, x, height, width).
        shape: int32[3], of the whole image, upright.
        orientation: int32[], of the stored one.
    """
    begin, extent = boxes[:, :2], boxes[:, 2:]
    mirrored = tf.gather(_MIRRORED[:, :2], orientation)
    begin = tf.where(mirrored, shape[:2] - begin - extent, begin)
    axes = tf.gather(_AXES[:, :2], orientation)
    both = [tf.gather(part, axes, axis=1) for part in (begin, extent)]
    return tf.concat(both, axis=1)


def largest_ratio(boxes, size: int, scale=1.0) -> tf.Tensor:
    """int32[], 1, 2, 4 or 8: by which every box int32[V, 4] can be reduced
    and is no smaller than a view of `size` pixels.

    Args:
        boxes: (y, x, height, width), of the image.
        size: of the views.
        scale: float32[2], by which the image was shrunk before.
    """
    shortest = tf.reduce_min(tf.cast(boxes[:, 2:], tf.float32) / scale)
    least = size * np.array([2, 4, 8], np.float32)
    return 2 ** tf.reduce_sum(tf.cast(shortest >= least, tf.int32))
