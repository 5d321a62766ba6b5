"""The files of shrunk copies (`shrunk`): made part by part, and read back."""

import contextlib
import os
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from simclr_tf import files, picture
from simclr_tf.data.examples import Examples
from simclr_tf.errors import UserError
from simclr_tf.picture import Crops, Picture

# Images to a file: what a kill costs is at most the work on so many.
PART = 256
# Of the copies: measured in docs/speed.md.
QUALITY = 90
# Where the copy of an image without one begins.
UNREADABLE = -1


class Parts:
    """The files of one source's copies.

    Args:
        folder: of these copies only.
        examples: what is copied.
        side: of `copied`.
    """

    def __init__(self, folder: str, examples: Examples, side: int):
        self.folder, self._examples, self._side = folder, examples, side
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
        try:
            files.make_folders(self.folder)
        except (tf.errors.OpError, OSError) as error:
            reason = getattr(error, "message", None) or str(error)
            raise UserError(
                f"--cache_dataset=disk keeps its copies in {self.folder}, "
                f"which cannot be made: {reason}. Name another place by "
                "--cache_dir."
            ) from error
        files.sweep_asides(self.folder)
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
        size = len(self._range(i))
        try:
            index = files.read_npz(self._indexes[i])
            num_bytes = files.gfile.stat(self.records[i]).length
            whole = (
                index["num_bytes"] == num_bytes
                and index["offsets"].shape == (size,)
                and index["shapes"].shape == (size, 2)
            )
            return index if whole else None
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
    return tf.io.encode_jpeg(small, format="rgb", quality=QUALITY)


def _write_part(records: str, index: str, copies) -> None:
    """The records, synced and renamed, and then what says that they are."""
    offsets, shapes, end = [], [], 0
    aside = files.aside_of(records)
    try:
        with tf.io.TFRecordWriter(aside) as writer:
            for encoded, shape in copies:
                shapes.append(shape)
                offsets.append(end if encoded else UNREADABLE)
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
