"""The `decode` of a source whose images are encoded, or files."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from simclr_tf.data.decoding import bands, reduced
from simclr_tf.data.decoding import kinds as kinds_
from simclr_tf.data.decoding.pixels import KINDS, MAX_PIXELS, WHITE, rgb_of
from simclr_tf.picture import Crops, Picture, whole

_OF_CONVERSION = ("max_pixels", "num_channels", "own_range")
_OF_PIXELS = ("background", "max_pixels", "kinds", "oriented", "transparent")


@dataclasses.dataclass(frozen=True)
class Decoder:
    """The `decode` of `Examples` whose payload is encoded, or paths.

    Attributes:
        paths: whether an element is a path, or what a file was converted to
            (`conversion.payload`); else an encoded image.
        background: on which alpha is composited, (r, g, b) in 0..255.
        max_pixels: of an image; a larger one raises before it is decoded.
        kinds: which of KINDS there may be; fewer make a smaller graph.
        oriented: whether an orientation may be said.
        transparent: whether anything may be transparent.
        largest_side: pixels that the shorter side of no JPEG exceeds.
        num_channels: C; where it is neither 1 nor 3, elements are stacks of
            bands (`bands`). Grey is made of RGB by `grey.GreyDecoder`.
        own_range: of `conversion.payload`, which has done it.
    """

    paths: bool = False
    background: tuple[int, int, int] = WHITE
    max_pixels: int = MAX_PIXELS
    kinds: frozenset[str] = KINDS
    oriented: bool = True
    transparent: bool = True
    largest_side: int = MAX_PIXELS
    num_channels: int = 3
    own_range: bool = False

    def __call__(self, element) -> tf.Tensor:
        """uint8[h, w, 3], or [h, w, C] of bands, upright, of an element of
        the payload.

        Raises:
            In the graph: no, or a damaged, or too large an image, or one of
            a sort that TensorFlow decodes wrongly.
        """
        if self.of_bands:
            return bands.unpacked(element, self.num_channels)
        return rgb_of(self.encoded(element), **self._how())

    @property
    def of_bands(self) -> bool:
        """Whether images are neither RGB nor grey."""
        return kinds_.is_of_bands(self.num_channels)

    @property
    def decoded_channels(self) -> int:
        """C of what it gives; grey is made of RGB behind it."""
        return self.num_channels if self.of_bands else 3

    @property
    def conversion(self) -> dict[str, Any]:
        """Options of `conversion.converted`."""
        return {name: getattr(self, name) for name in _OF_CONVERSION}

    def reduces(self, size: int) -> bool:
        """Whether `picture` may reduce anything for views of this size."""
        large = "JPEG" in self.kinds and self.largest_side >= 2 * size
        return large and not self.of_bands

    def picture(self, element, crops: Crops, shape=None) -> Picture:
        """The same at the least scale that crops allow; see `reduced`."""
        if self.of_bands:
            return whole(self(element))
        encoded = self.encoded(element)
        if not self.reduces(crops.size) and shape is None:
            return whole(rgb_of(encoded, **self._how()))
        return reduced.picture_of(encoded, crops, shape, **self._how())

    def _how(self) -> dict[str, Any]:
        """Options of `rgb_of`."""
        return {name: getattr(self, name) for name in _OF_PIXELS}

    def encoded(self, element) -> tf.Tensor:
        """string[], the encoded image of an element of the payload."""
        return _content_of(element) if self.paths else element


def _content_of(element) -> tf.Tensor:
    """string[], the bytes of an element of `conversion.payload`."""
    start = tf.strings.substr(element, 0, 4)
    here = (start == b"\x89PNG") | (
        tf.strings.substr(start, 0, 3) == b"\xff\xd8\xff"
    )
    return tf.cond(here, lambda: element, lambda: tf.io.read_file(element))


def joined(decoders: Sequence[Any]) -> Any:
    """One that decodes what any of them does, which differ in no more than
    what occurs in their sources; another `decode` is returned as it is."""
    first = decoders[0]
    if not all(isinstance(one, Decoder) for one in decoders):
        return first
    return dataclasses.replace(
        first,
        kinds=frozenset().union(*(one.kinds for one in decoders)),
        oriented=any(one.oriented for one in decoders),
        transparent=any(one.transparent for one in decoders),
        largest_side=max(one.largest_side for one in decoders),
    )
