"""A copy of a source's images on disk, shrunk to what the views need of them.

    FOLDER/<key>/00000.tfrecord   images, encoded, PART to a file
    FOLDER/<key>/00000.npz        where each begins, its own shape, bytes in all

The key is of all that changes a copy: the images' fingerprint, the side that
they are shrunk to, how transparency is shown. A part is written whole and gets
its index last, so what was killed goes on with the first part that has none. A
part whose index is damaged, or whose records are of another length than it
says, is made anew.

A copy is shrunk, filtered, so that a square of the least area of a crop has as
many pixels as a view (`side_for`), and kept as a JPEG. What is not larger, or
cannot be read, is kept as it is. Boxes are drawn in the image's own shape, so
a crop covers what it would cover in the image itself.
"""

import dataclasses
import math
import os
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from simclr_tf import files
from simclr_tf.data import fingerprint
from simclr_tf.data.decoding import Decoder
from simclr_tf.data.examples import Examples, Source
from simclr_tf.data.shrunk_parts import QUALITY, UNREADABLE, Parts
from simclr_tf.errors import UserError
from simclr_tf.picture import Crops, Picture

# Raise it by one with every change that gives another copy of an image.
_VERSION = 2


def folder() -> str:
    """Where copies lie if nobody says."""
    return files.cache_folder("shrunk")


def side_for(size: int, min_crop_area: float) -> int:
    """Pixels of the shorter side with which crops need not be enlarged; the
    smallest and narrowest are, by sqrt(4 / 3) at most.

    Args:
        size: side of the views in pixels.
        min_crop_area: least share of the image that a crop covers.
    """
    return math.ceil(size / math.sqrt(min_crop_area))


@dataclasses.dataclass(frozen=True, eq=False)
class ShrunkDecoder:
    """The `decode` of a source whose images are copies on disk.

    Its elements are int64[4]: the part, where the copy begins in it (-1: there
    is none), and the image's own height and width, 0 where it was not shrunk.

    Attributes:
        paths: string[parts], of the files of records.
        decoder: of what they hold.
    """

    paths: tf.Tensor
    decoder: Decoder

    def __call__(self, element) -> tf.Tensor:
        """uint8[h, w, 3], the copy; raises in the graph as `Decoder`."""
        return self.decoder(self.encoded(element))

    def reduces(self, size: int) -> bool:
        """True: what was shrunk is cut as the image itself would be."""
        del size
        return True

    def picture(self, element, crops: Crops) -> Picture:
        """The copy, perhaps reduced once more, in the image's own shape."""
        shape = tf.concat([tf.cast(element[2:], tf.int32), [3]], axis=0)
        return self.decoder.picture(self.encoded(element), crops, shape)

    def encoded(self, element) -> tf.Tensor:
        """string[], the copy as it is kept."""
        with tf.control_dependencies(
            [tf.debugging.assert_non_negative(element[1])]
        ):
            path = tf.gather(self.paths, element[0])
        record = tf.raw_ops.TFRecordDatasetV2(
            filenames=[path],
            compression_type="",
            buffer_size=0,
            byte_offsets=[element[1]],
        )
        records = tf.data.experimental.from_variant(
            record, tf.TensorSpec([], tf.string)
        )
        return records.take(1).get_single_element()


def copied(
    source: Source,
    *,
    folder: str,
    side: int,
    progress: Callable[[int, int], None] | None = None,
) -> Source:
    """The source with its images read from shrunk copies, made if missing.

    Ids, labels, names and the order stay; an unreadable image stays one.

    Args:
        source: of encoded images or files, with random access.
        folder: where copies of any number of sources lie.
        side: pixels of the shorter side of a copy.
        progress: called with (images done, all images) after every part that
            had to be made, and before the first.

    Raises:
        UserError: the source is a stream.
    """
    examples = source.examples
    if not source.random_access:
        raise UserError(
            f"--cache_dataset=disk: {source.name} is read as a stream, record "
            "by record. Raise --in_memory_limit_mb, or leave the cache out."
        )
    decoder = examples.decode
    if not isinstance(decoder, Decoder):
        return source  # pixels in memory
    key = fingerprint.digest(
        _VERSION,
        source.image_fingerprint,
        side,
        decoder.background,
        decoder.max_pixels,
        *([QUALITY, "own range"] if decoder.own_range else [QUALITY]),
    )
    parts = Parts(os.path.join(folder, key), examples, side)
    parts.make(progress or (lambda done, total: None))
    rows = parts.rows()
    with tf.device("CPU:0"):
        shrunk = dataclasses.replace(
            examples,
            payload=tf.constant(rows),
            reason_of=_reason_of(examples, rows, parts.folder),
            decode=ShrunkDecoder(
                paths=tf.constant(parts.records),
                decoder=dataclasses.replace(
                    decoder,
                    paths=False,
                    kinds=decoder.kinds | {"JPEG"},
                ),
            ),
        )
    return dataclasses.replace(
        source,
        examples=shrunk,
        # What is kept of the images' features is of other pixels.
        image_fingerprint=f"{source.image_fingerprint}-{key}",
    )


def _reason_of(
    examples: Examples, rows: np.ndarray, folder: str
) -> Callable[[bytes], str] | None:
    """Why an image cannot be read: what is wrong with it, or with its copy."""
    if examples.reason_of is None:
        return None
    without = tf.constant(np.flatnonzero(rows[:, 1] == UNREADABLE), tf.int64)
    named = set(examples.name_of(without).numpy()) if len(without) else set()

    def reason(name: bytes) -> str:
        if name in named:
            return examples.reason_of(name)
        return f"its copy is damaged: remove {folder}, and it is made anew"

    return reason
