"""From an encoded image to the pixels that a person sees.

kinds        what a file is, by its first bytes
headers      in the graph: orientation and size, from the bytes
pixels       in the graph: bytes to upright RGB, alpha on a background
reduced      in the graph: large JPEGs at a reduced scale, for given crops
decoder      all of it, as a source's `decode`
traits       what of it a small source needs
conversion   once, by Pillow: what TensorFlow decodes wrongly or not at all
bands        once: NPY arrays, and images that are neither RGB nor grey
levels       numbers of more than 8 bits as levels in 0..255
grey         in the graph: one channel from RGB

What decodes is equal to Pillow's picture, EXIF-transposed, with its alpha on
the background. What TensorFlow would decode otherwise raises in the graph, or
has been converted when the source was opened. Colour profiles are not applied,
and XMP is not asked for an orientation.

How a source of files uses it:

    kinds = decoding.kinds_of(paths)              # None: not an image
    rows, _ = decoding.payload(paths, kinds, limit_bytes=...)
    decode = decoding.Decoder(paths=True, **decoding.of_payload(rows))
    Examples(payload=tf.constant(rows), decode=decode, ...)
"""

from simclr_tf.data.decoding.bands import side_of_array
from simclr_tf.data.decoding.conversion import (
    converted,
    of_images,
    payload,
    reason,
    reason_of_file,
)
from simclr_tf.data.decoding.decoder import Decoder, joined
from simclr_tf.data.decoding.grey import GreyDecoder, grey_of
from simclr_tf.data.decoding.kinds import (
    HEAD_BYTES,
    SUFFIXES,
    SUFFIXES_OF_EXTRAS,
    install,
    is_of_bands,
    kinds_of,
    needs_pillow,
    sniff,
)
from simclr_tf.data.decoding.pixels import (
    KINDS,
    MAX_PIXELS,
    WHITE,
    background_of,
    composite,
    rgb_of,
)
from simclr_tf.data.decoding.traits import of_contents, of_payload

__all__ = [
    "HEAD_BYTES",
    "KINDS",
    "MAX_PIXELS",
    "SUFFIXES",
    "SUFFIXES_OF_EXTRAS",
    "WHITE",
    "Decoder",
    "GreyDecoder",
    "background_of",
    "composite",
    "converted",
    "grey_of",
    "install",
    "is_of_bands",
    "joined",
    "kinds_of",
    "needs_pillow",
    "of_contents",
    "of_images",
    "of_payload",
    "payload",
    "reason",
    "reason_of_file",
    "rgb_of",
    "side_of_array",
    "sniff",
]
