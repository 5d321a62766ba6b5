"""TFRecord files that memory cannot hold, read as a stream.

TFRecords have no random access, so an epoch is shuffled in two strokes: the
order of the files, and then windows of records. Both are functions of (seed,
epoch). A run that resumes passes over groups that it skips without opening
them, and over records of its own group without parsing them.

    record  an example, serialized, in a TFRecord file
    piece   consecutive records of one file, where a split begins or ends in it
    group   GROUP pieces, which are read side by side, a record of each in turn
    window  consecutive records of a group, which are shuffled together

Each host has its own part of the records, one contiguous range, so the order
depends on the number of hosts; together they read every record once an epoch.
"""

import dataclasses
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from simclr_tf.data import decoding, order
from simclr_tf.data.examples import CHUNK, ENDLESS, read_for

# A window is what shuffling and substitutes cost in memory, two to three
# times over (one in use, the next one filling).
WINDOW_BYTES = 256 << 20
# Files read side by side.
GROUP = 16


@dataclasses.dataclass(frozen=True)
class Pieces:
    """Runs of records within files; all arrays have one entry per piece.

    Attributes:
        paths: of the files.
        skips: records of the file before the piece.
        takes: records of the piece.
        first_ids: id of the piece's first record; the others count up.
    """

    paths: np.ndarray
    skips: np.ndarray
    takes: np.ndarray
    first_ids: np.ndarray

    @property
    def num_examples(self) -> int:
        return int(self.takes.sum())

    @property
    def ids(self) -> np.ndarray:
        """int64[n], of the records in order."""
        return np.concatenate(
            [
                first + np.arange(take)
                for first, take in zip(self.first_ids, self.takes, strict=True)
            ]
        )

    def between(self, start: int, stop: int) -> "Pieces":
        """The records start..stop-1, in order."""
        ends = np.cumsum(self.takes)
        low = np.clip(start - (ends - self.takes), 0, self.takes)
        high = np.clip(stop - (ends - self.takes), 0, self.takes)
        kept = high > low
        return Pieces(
            self.paths[kept],
            (self.skips + low)[kept],
            (high - low)[kept],
            (self.first_ids + low)[kept],
        )

    def first_of_each(self, which: np.ndarray, count: int) -> "Pieces":
        """Up to count records of each of some pieces."""
        return Pieces(
            self.paths[which],
            self.skips[which],
            np.minimum(self.takes[which], count),
            self.first_ids[which],
        )

    def in_order(self) -> tf.data.Dataset:
        """(id int64[], serialized string[]) of every record, in order."""
        return self._dataset().flat_map(_read_piece)

    def side_by_side(self, which) -> tf.data.Dataset:
        """The same of some pieces, a record of each in turn."""
        return self._dataset(which).interleave(
            _read_piece,
            cycle_length=GROUP,
            num_parallel_calls=tf.data.AUTOTUNE,
            deterministic=True,
        )

    def _dataset(self, which=None) -> tf.data.Dataset:
        columns = (self.paths, self.skips, self.takes, self.first_ids)
        if which is not None:
            columns = tuple(tf.gather(column, which) for column in columns)
        return tf.data.Dataset.from_tensor_slices(columns)

    def name_of(self, ids) -> tf.Tensor:
        """string[...]: "<file> record <number>" for ids int64[...]."""
        by_id = np.argsort(self.first_ids, kind="stable")
        first = tf.constant(self.first_ids[by_id])
        piece = tf.searchsorted(first, tf.reshape(ids, [-1]), side="right") - 1
        piece = tf.reshape(piece, tf.shape(ids))
        number = ids - tf.gather(first, piece)
        number += tf.gather(tf.constant(self.skips[by_id]), piece)
        names = np.array([str(path).split("/")[-1] for path in self.paths])
        return tf.strings.join(
            [
                tf.gather(tf.constant(names[by_id]), piece),
                tf.strings.as_string(number),
            ],
            separator=" record ",
        )


def _read_piece(path, skip, take, first_id) -> tf.data.Dataset:
    records = tf.data.TFRecordDataset(path).skip(skip).take(take)
    return records.enumerate(start=first_id)


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Shards:
    """Examples in TFRecord files, with the methods of `examples.Examples`.

    Attributes:
        pieces: where the records lie.
        parse: serialized string[] -> (encoded string[], label int64[...]).
        window: records that are shuffled together; an unreadable one is
            replaced by another of its window.
        label_shape: () for one label an image, (K,) for several.
        has_labels: whether any record has a label.
        decode: encoded string[] -> uint8[h, w, C].
    """

    pieces: Pieces
    parse: Callable
    window: int
    label_shape: tuple[int, ...] = ()
    has_labels: bool = True
    decode: Callable = dataclasses.field(default_factory=decoding.Decoder)
    storage, reason_of = "stream", None
    can_fail = True

    @property
    def num_examples(self) -> int:
        return self.pieces.num_examples

    def training_picks(
        self, *, seed, start_step, global_batch_size, num_hosts, host, draw
    ) -> tf.data.Dataset:
        """Endless: this host's part of the data, epoch after epoch."""
        pieces = self._of_host(self.num_examples, num_hosts, host)
        start = start_step * (global_batch_size // num_hosts)
        groups = _Groups(pieces, seed=seed, window=self.window)
        first_group, skip = groups.locate(start)
        skip = tf.constant(skip, tf.int64)

        def windows(group):
            return groups.windows(
                group,
                skip=tf.where(group == first_group, skip, tf.zeros_like(skip)),
            )

        def with_draws(window):
            ids = tf.gather(window["ids"], window["index"])
            epoch = tf.fill(tf.shape(ids), window["epoch"])
            return {**window, "drawn": draw(epoch, ids)}

        numbers = tf.data.Dataset.range(first_group, ENDLESS)
        filled = numbers.flat_map(windows).map(with_draws)
        # The next window fills while this one is used up.
        return filled.prefetch(1).flat_map(_picks_of_window)

    def eval_picks(
        self, *, num_examples, global_batch_size, num_hosts, host
    ) -> tf.data.Dataset:
        """This host's part of the first examples, in the source's order."""
        del global_batch_size
        pieces = self._of_host(num_examples, num_hosts, host)
        return pieces.in_order().batch(CHUNK).map(_picks_of_chunk)

    def scan_picks(self, *, limit, seed) -> tf.data.Dataset:
        """Different examples, drawn from the seed: at least `limit`, if
        there are as many, and less than a chunk more."""
        groups = _Groups(self.pieces, seed=seed, window=self.window)
        windows = tf.data.Dataset.range(groups.per_epoch).flat_map(
            lambda group: groups.windows(group, skip=tf.zeros([], tf.int64))
        )
        picks = windows.flat_map(_picks_of_window)
        return picks.take(-(-limit // CHUNK))

    def choices(self, pick) -> tf.Tensor:
        """int64[], how many examples a substitute may come from."""
        return tf.size(pick["ids"], out_type=tf.int64)

    def identify(self, pick, index) -> tf.Tensor:
        """int64[], the id of an example."""
        return tf.gather(pick["ids"], index)

    def name(self, pick, index) -> tf.Tensor:
        """string[...], what to call examples in a message."""
        return self.pieces.name_of(tf.gather(pick["ids"], index))

    def read(self, pick, index, crops=None):
        """As `Examples.read`."""
        encoded, label = self.parse(tf.gather(pick["records"], index))
        return read_for(self.decode, encoded, crops), label

    def _of_host(self, num_examples, num_hosts, host) -> Pieces:
        bounds = [num_examples * h // num_hosts for h in (host, host + 1)]
        return self.pieces.between(*bounds)


class _Groups:
    """The groups of pieces of every epoch, numbered through the epochs."""

    def __init__(self, pieces: Pieces, *, seed, window):
        self._pieces = pieces
        self._seed = seed
        self._window = window
        self.per_epoch = -(-len(pieces.takes) // GROUP)

    def locate(self, position: int) -> tuple[int, int]:
        """The group of a position, and the records of it that come before."""
        epoch, left = divmod(position, self._pieces.num_examples)
        for group in range(self.per_epoch):
            which = self._members(epoch, group).numpy()
            size = int(self._pieces.takes[which].sum())
            if left < size:
                break
            left -= size
        return epoch * self.per_epoch + group, left

    def windows(self, number, *, skip) -> tf.data.Dataset:
        """A group's windows from record `skip` on, as (epoch, order, ...).

        Windows are counted from the start of the group, so what is skipped
        changes nothing in what follows.
        """
        epoch, group = number // self.per_epoch, number % self.per_epoch
        first_window, skip = skip // self._window, skip % self._window

        def shuffled(window, records):
            ids, serialized = records
            size = tf.size(ids, out_type=tf.int64)
            key = (order.WINDOW, self._seed, epoch, group, window)
            index = order.permute(tf.range(size), size=size, key=key)
            index = index[
                tf.where(window == first_window, skip, tf.zeros_like(skip)) :
            ]
            return {
                "epoch": epoch,
                "index": index,
                "ids": ids,
                "records": serialized,
            }

        records = self._pieces.side_by_side(self._members(epoch, group))
        records = records.skip(first_window * self._window)
        windows = records.batch(self._window).enumerate(start=first_window)
        return windows.map(shuffled)

    def _members(self, epoch, group) -> tf.Tensor:
        """int64[], the pieces of a group."""
        size = len(self._pieces.takes)
        positions = tf.range(size, dtype=tf.int64)
        key = (order.PIECES, self._seed, epoch)
        shuffled = order.permute(positions, size=size, key=key)
        return shuffled[group * GROUP : (group + 1) * GROUP]


def _picks_of_window(window) -> tf.data.Dataset:
    # Every chunk carries the whole window, for substitutes: by reference.
    rows = {key: window.pop(key) for key in ("index", "drawn") if key in window}
    rows = tf.data.Dataset.from_tensor_slices(rows).batch(CHUNK)
    epoch = window.pop("epoch")
    rest = tf.data.Dataset.from_tensors(window).repeat()
    return tf.data.Dataset.zip(rest, rows).map(
        lambda window, rows: {
            **window,
            **rows,
            "epoch": tf.fill(tf.shape(rows["index"]), epoch),
        }
    )


def _picks_of_chunk(ids, serialized):
    index = tf.range(tf.size(ids, out_type=tf.int64))
    return {
        "epoch": tf.zeros_like(index),
        "index": index,
        "ids": ids,
        "records": serialized,
    }
