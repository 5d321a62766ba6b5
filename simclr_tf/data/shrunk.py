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

import contextlib
import dataclasses
import math
import os
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from simclr_tf import files, picture
from simclr_tf.data import fingerprint
from simclr_tf.data.decoding import Decoder
from simclr_tf.data.examples import Examples, Source
from simclr_tf.errors import UserError
from simclr_tf.picture import Crops, Picture

# Images to a file: what a kill costs is at most the work on so many.
PART = 256
# Of the copies: measured in docs/speed.md.
_QUALITY = 90
# Raise it by one with every change that gives another copy of an image.
_VERSION = 2
_UNREADABLE = -1


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
        *([_QUALITY, "own range"] if decoder.own_range else [_QUALITY]),
    )
    parts = _Parts(os.path.join(folder, key), examples, side)
    parts.make(progress or (lambda done, total: None))
    with tf.device("CPU:0"):
        shrunk = dataclasses.replace(
            examples,
            payload=tf.constant(parts.rows()),
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


class _Parts:
    """The files of one source's copies.

    Args:
        folder: of these copies only.
        examples: what is copied.
        side: of `copied`.
    """

    def __init__(self, folder: str, examples: Examples, side: int):
        self._folder, self._examples, self._side = folder, examples, side
        size = examples.num_examples
        self._starts = range(0, size, PART)
        names = [f"{i:05d}" for i in range(len(self._starts))]
        self.records = [
            os.path.join(folder, f"{name}.tfrecord") for name in names
        ]
        self._indexes = [os.path.join(folder, f"{name}.npz") for name in names]

    def make(self, progress: Callable[[int, int], None]) -> None:
        """Makes the parts that are missing."""
        missing = [i for i in range(len(self._indexes)) if not self._read(i)]
        if not missing:
            return
        files.make_folders(self._folder)
        files.sweep_asides(self._folder)
        size = self._examples.num_examples
        done = size - sum(len(self._range(i)) for i in missing)
        progress(done, size)
        for i in missing:
            copies = _copies(self._examples, self._range(i), self._side)
            _write_part(self.records[i], self._indexes[i], copies)
            done += len(self._range(i))
            progress(done, size)

    def rows(self) -> np.ndarray:
        """int64[n, 4], the elements of `ShrunkDecoder`."""
        found = []
        for i, path in enumerate(self._indexes):
            if (index := self._read(i)) is None:
                raise files.damaged(path, "it was whole a moment ago")
            number = np.full(len(index["offsets"]), i)
            found.append(
                np.column_stack([number, index["offsets"], index["shapes"]])
            )
        return np.concatenate(found).astype(np.int64)

    def _read(self, i: int) -> dict[str, np.ndarray] | None:
        """The index of a part; None where the part is not whole."""
        try:
            index = files.read_npz(self._indexes[i])
            num_bytes = files.gfile.stat(self.records[i]).length
            return index if index["num_bytes"] == num_bytes else None
        except (UserError, tf.errors.OpError, KeyError):
            return None

    def _range(self, i: int) -> range:
        start = self._starts[i]
        return range(start, min(start + PART, self._examples.num_examples))


def _copies(examples: Examples, indexes: range, side: int):
    """(encoded bytes, shape int[2]) of each: b"" where it is unreadable,
    (0, 0) where it is kept as it is."""
    decode, payload = examples.decode, examples.payload

    def whole(shape):
        return tf.concat([[0, 0], shape[:2]], axis=0)[None]

    def copy(index):
        element = tf.gather(payload, index)
        made = decode.picture(element, Crops(whole, side))
        shape = made.shape[:2]
        shorter = tf.reduce_min(shape)
        return tf.cond(
            shorter > side,
            lambda: (_shrunk(made, shape * side / shorter), shape),
            lambda: (decode.encoded(element), tf.zeros_like(shape)),
        )

    unreadable = tf.data.Dataset.from_tensors(
        (tf.constant(b""), tf.zeros([2], tf.int32))
    )

    def copy_or_nothing(index):
        one = tf.data.Dataset.from_tensors(index).map(copy)
        one = one.ignore_errors(log_warning=False).concatenate(unreadable)
        return one.take(1).get_single_element()

    copies = tf.data.Dataset.range(indexes.start, indexes.stop)
    return copies.map(copy_or_nothing, tf.data.AUTOTUNE).as_numpy_iterator()


def _shrunk(made: Picture, shape) -> tf.Tensor:
    """string[], a JPEG of a picture at about this shape, float64[2]."""
    pixels = picture.upright(made.pixels, made.orientation)
    pixels.set_shape([None, None, 3])
    small = tf.image.resize(
        pixels,
        tf.cast(tf.round(shape), tf.int32),
        tf.image.ResizeMethod.BICUBIC,
        antialias=True,
    )
    small = tf.cast(tf.clip_by_value(tf.round(small), 0, 255), tf.uint8)
    return tf.io.encode_jpeg(small, format="rgb", quality=_QUALITY)


def _write_part(records: str, index: str, copies) -> None:
    """The records, synced and renamed, and then what says that they are."""
    offsets, shapes, end = [], [], 0
    aside = files.aside_of(records)
    try:
        with tf.io.TFRecordWriter(aside) as writer:
            for encoded, shape in copies:
                shapes.append(shape)
                offsets.append(end if encoded else _UNREADABLE)
                if encoded:
                    writer.write(encoded)
                    end += _record_bytes(encoded)
        files.sync(aside)
        files.gfile.rename(aside, records, overwrite=True)
    except BaseException:
        with contextlib.suppress(tf.errors.OpError, OSError):
            files.gfile.remove(aside)
        raise
    arrays = {"offsets": offsets, "shapes": shapes, "num_bytes": end}
    files.write_npz(
        index, {k: np.array(v, np.int64) for k, v in arrays.items()}
    )


def _record_bytes(encoded: bytes) -> int:
    # A TFRecord's length and its checksum lie before, a checksum behind.
    return len(encoded) + 16
