"""Prepared TFDS records, and the choice of how to get at them."""

import dataclasses
import os
from collections.abc import Callable, Mapping

import numpy as np
import tensorflow as tf
import tensorflow_datasets as tfds

from simclr_tf.data import decoding
from simclr_tf.data.examples import Examples, decoded, to_rgb
from simclr_tf.data.shards import WINDOW_BYTES, Pieces, Shards
from simclr_tf.errors import UserError

# Images of up to this many pixels a side are kept decoded: they take little
# more memory than encoded, and nothing can fail any more.
_SMALL_SIDE = 96
# To see whether a stream has labels: so many records of so many files.
_LOOKED_AT, _LOOKED_AT_FILES = 8, 16


@dataclasses.dataclass(frozen=True)
class Stored:
    """Prepared records, and the choice of how to get at them.

    Attributes:
        name: of the data set.
        builder: read-only, of the data set.
        split: as it was asked for.
        pieces: where the records of the split lie.
        bytes_per_record: on average.
        parse: serialized string[] -> (encoded image string[], label), see
            `features.parser`.
        shape: of the images, (H, W, C), None where they differ.
        limit_bytes: what may be kept in memory.
        label_shape: () for one label an image, (K,) for several.
        numbers: of labels that are values, see `features.numbering`.
        decoder: of the images.
    """

    name: str
    builder: tfds.core.DatasetBuilder
    split: str
    pieces: Pieces
    bytes_per_record: float
    parse: Callable
    shape: tuple
    limit_bytes: int
    label_shape: tuple[int, ...] = ()
    numbers: Mapping[bytes | int, int] | None = None
    decoder: decoding.Decoder = dataclasses.field(
        default_factory=decoding.Decoder
    )

    def examples(self, cache: bool) -> Examples | Shards:
        """Decoded in memory, else encoded in memory, else streamed."""
        size = self.pieces.num_examples
        small = None not in self.shape and max(self.shape[:2]) <= _SMALL_SIDE
        try:
            if small and size * np.prod(self.shape) <= self.limit_bytes:
                return self._pixels()
            if size * self.bytes_per_record > self.limit_bytes:
                return self._shards(cache)
            examples = self._images()
        except (tf.errors.DataLossError, tf.errors.NotFoundError) as error:
            raise self._damaged(error.message) from error
        if cache:
            return decoded(examples, limit_bytes=self.limit_bytes)
        return examples

    def _pixels(self) -> Examples:
        def decode(serialized):
            encoded, label = self.parse(serialized)
            image = tf.io.decode_image(
                encoded, channels=self.shape[-1], expand_animations=False
            )
            image = tf.ensure_shape(image, self.shape)
            if self.shape[-1] == 4:
                image = decoding.composite(image, self.decoder.background)
            return image, label

        try:
            images, labels = self._read_all(decode)
        except tf.errors.InvalidArgumentError:
            # An image is broken: keep them encoded, and let it be found.
            return self._images()
        return self._in_memory(
            images, labels, decode=to_rgb, storage="pixels", can_fail=False
        )

    def _images(self) -> Examples:
        images, labels = self._read_all(self.parse)
        rows = decoding.of_images(images.numpy(), **self.decoder.conversion)
        with tf.device("CPU:0"):
            images = tf.constant(rows)
        return self._in_memory(
            images,
            labels,
            decode=dataclasses.replace(
                self.decoder, **decoding.of_contents(rows)
            ),
            storage="images",
            can_fail=True,
        )

    def _in_memory(self, payload, labels, **how) -> Examples:
        with tf.device("CPU:0"):
            ids = tf.constant(self.pieces.ids)
            if self.numbers is not None:
                labels = tf.constant(
                    [self.numbers.get(v, -1) for v in labels.numpy().tolist()],
                    tf.int64,
                )
        return Examples(
            payload=payload,
            labels=labels,
            ids=ids,
            name_of=lambda index: self.pieces.name_of(tf.gather(ids, index)),
            **how,
        )

    def _read_all(self, parse):
        size = self.pieces.num_examples
        examples = self._serialized().map(parse, tf.data.AUTOTUNE)
        with tf.device("CPU:0"):
            images, labels = examples.batch(size).get_single_element()
        if labels.shape[0] != size:
            raise self._damaged(f"{size} records expected, {len(labels)} found")
        return images, labels

    def label_values(self) -> list[bytes | int]:
        """The label of every record, as it stands there."""
        try:
            labels = self._serialized().map(
                lambda record: self.parse(record)[1], tf.data.AUTOTUNE
            )
            return list(labels.as_numpy_iterator())
        except (tf.errors.DataLossError, tf.errors.NotFoundError) as error:
            raise self._damaged(error.message) from error

    def _shows_labels(self) -> bool:
        """Whether a few records of each of some files have a label."""
        count = len(self.pieces.paths)
        some = np.linspace(0, count - 1, min(count, _LOOKED_AT_FILES))
        few = self.pieces.first_of_each(np.unique(some.astype(int)), _LOOKED_AT)
        labels = few.in_order().map(lambda _, record: self.parse(record)[1])
        return any((label >= 0).any() for label in labels.as_numpy_iterator())

    def _damaged(self, what: str) -> UserError:
        return UserError(
            f"--dataset={self.name} in {self.builder.data_dir} is damaged:"
            f" {what}. Prepare it again."
        )

    def _serialized(self) -> tf.data.Dataset:
        if self._is_tfrecord():
            return self.pieces.in_order().map(lambda _, serialized: serialized)
        # No TensorFlow op reads array_record, so Python does, once.
        rows = self.builder.as_data_source(
            self.split,
            deserialize_method=tfds.decode.DeserializeMethod.RAW_BYTES,
        )
        return tf.data.Dataset.from_tensor_slices(list(rows))

    def _is_tfrecord(self) -> bool:
        return self.builder.info.file_format is tfds.core.FileFormat.TFRECORD

    def _shards(self, cache: bool) -> Shards:
        megabytes = self.pieces.num_examples * self.bytes_per_record / 2**20
        too_big = (
            f"split {self.split!r} of --dataset={self.name} takes"
            f" {megabytes:.3g} MB, more than --in_memory_limit_mb="
            f"{self.limit_bytes >> 20}"
        )
        if cache:
            raise UserError(
                f"--cache_dataset: {too_big}. Raise it, or leave the cache off."
            )
        if not self._is_tfrecord():
            raise UserError(
                f"{too_big}, and TensorFlow cannot stream"
                f" {self.builder.info.file_format.value} files. Raise it, or"
                " prepare the data with --file_format=tfrecord."
            )
        folder = str(self.builder.data_dir)
        there = {path.rstrip("/") for path in tf.io.gfile.listdir(folder)}
        for path in self.pieces.paths:
            if os.path.basename(path) not in there:
                raise self._damaged(f"{path} is missing")
        window = int(WINDOW_BYTES / max(self.bytes_per_record, 1))
        return Shards(
            self.pieces,
            self.parse,
            window=max(16, window),
            label_shape=self.label_shape,
            has_labels=self._shows_labels(),
            decode=self.decoder,
        )
