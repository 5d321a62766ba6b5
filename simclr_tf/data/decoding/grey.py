"""Grey from any image: one channel, as Pillow rounds it."""

import dataclasses
from typing import Any

import tensorflow as tf

from simclr_tf.picture import Crops, Picture, whole

# Ref: Pillow's convert("L"), ITU-R 601-2 in 16 bits. They sum to 2^16, so grey
# in three equal channels stays what it is.
_WEIGHTS = (19595, 38470, 7471)


def grey_of(image) -> tf.Tensor:
    """uint8[h, w, 1] of uint8[h, w, 3], RGB."""
    weighed = tf.cast(image, tf.int32) * tf.constant(_WEIGHTS)
    total = tf.reduce_sum(weighed, axis=-1, keepdims=True) + (1 << 15)
    return tf.cast(tf.bitwise.right_shift(total, 16), tf.uint8)


@dataclasses.dataclass(frozen=True)
class GreyDecoder:
    """The `decode` of a source whose images become grey.

    Attributes:
        decode: what decodes them in RGB.
    """

    decode: Any

    def __call__(self, element) -> tf.Tensor:
        """uint8[h, w, 1]."""
        return grey_of(self.decode(element))

    def reduces(self, size: int) -> bool:
        """As the decoder in RGB."""
        inner = self.decode
        return hasattr(inner, "reduces") and inner.reduces(size)

    def picture(self, element, crops: Crops) -> Picture:
        """As the decoder in RGB."""
        if not hasattr(self.decode, "picture"):
            return whole(self(element))
        made = self.decode.picture(element, crops)
        return made._replace(pixels=grey_of(made.pixels))
