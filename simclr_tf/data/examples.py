"""What a source of images is, and the kind with random access.

A pick says which example comes next, without its image: {"epoch": int64[],
"index": int64[]}, and whatever else the source needs to read it. A chunk is a
few picks that are handed out and read together: epoch and index are int64[k],
the rest is shared; in training there is also "drawn", rows [k, ...] of
whatever the caller's draw(epoch int64[k], id int64[k]) gives. `read` turns a
pick into an image; it may raise inside the graph, and then another of the
pick's `choices` can take its place. `Examples` and `shards.Shards` have the
same methods.
"""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from simclr_tf import picture
from simclr_tf.data import order
from simclr_tf.errors import UserError

# tf.data counts in int64; "endless" is the last of them.
ENDLESS = tf.int64.max
# Picks that are handled together where reading can fail.
CHUNK = 8


def to_rgb(pixels) -> tf.Tensor:
    """uint8[h, w, 3] from uint8[h, w, 1 | 3 | 4]."""
    if pixels.shape[-1] == 1:
        return tf.repeat(pixels, 3, axis=-1)
    return pixels[..., :3]


@dataclasses.dataclass(frozen=True)
class Source:
    """A split of a data set, opened.

    Attributes:
        name: of the data set, with its configuration: "imagenet2012".
        split: as it was asked for: "train[:10%]".
        examples: `Examples` or `shards.Shards`: how to get at the images.
        image_fingerprint: which images these are and in which order, as far
            as `fingerprint` tells it; for what depends on nothing else.
        fingerprint: which images and which labels; see there. The same from
            run to run, and on any number of hosts.
        class_names: of the data set, in the order of the labels; empty where
            it has no classes. This split may show none of them.
        num_channels: C of the images that are read: 3 is RGB, 1 grey.
        several_labels: whether an image may show several classes; its label
            is then int64[num_classes]: 1 present, 0 absent, -1 not counted.
        notes: of a folder, what was left out and how it was taken, in words.
        left_out: of a folder, images that are there and are none of the
            examples: a line for each, as `corrupt.CorruptLog` has them.
    """

    name: str
    split: str
    examples: Any = dataclasses.field(repr=False)
    image_fingerprint: str
    fingerprint: str
    class_names: tuple[str, ...] = ()
    several_labels: bool = False
    num_channels: int = 3
    notes: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()

    @property
    def num_examples(self) -> int:
        return self.examples.num_examples

    @property
    def has_labels(self) -> bool:
        """Whether any example has a label. A label of -1 is none. A stream
        is judged by a few records of each of its parts."""
        return bool(self.class_names) and self.examples.has_labels

    @property
    def num_classes(self) -> int | None:
        """None where there are no labels."""
        return len(self.class_names) if self.has_labels else None

    @property
    def random_access(self) -> bool:
        """Whether the order is a full permutation on any number of hosts."""
        return isinstance(self.examples, Examples)

    def black(self, side: int) -> tf.Tensor:
        """uint8[side, side, C], an image that stands for none."""
        return tf.zeros([side, side, self.num_channels], tf.uint8)

    def reduces(self, size: int) -> bool:
        """Whether an image may be decoded at a reduced scale for views of
        this size: it may be a JPEG that is large enough."""
        decode = self.examples.decode
        return hasattr(decode, "reduces") and decode.reduces(size)

    @property
    def order_depends_on_hosts(self) -> bool:
        """Whether another number of hosts sees the examples in another order,
        so that a run cannot go on there without repeating some."""
        return not self.random_access


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Examples:
    """Examples that can be read in any order.

    Attributes:
        payload: uint8[n, H, W, C], or string[n] of encoded images or paths.
        labels: int64[n], -1 where there is none; or int64[n, K], see
            `Source.several_labels`.
        ids: int64[n], the same for an example whatever the order or slice of
            a split; other splits may use the same numbers.
        decode: an element of payload -> uint8[h, w, C].
        name_of: int64[...] of indexes -> string[...], for messages; no two
            examples of a data set have the same.
        storage: "pixels", "images" or "files": what payload holds.
        can_fail: whether an image may turn out to be unreadable.
        reason_of: a name -> why that image cannot be read; None: unknown.
        contents: int64[n], equal for equal images, -1 where nothing was read
            (`fingerprint.content_id`); None where nobody knows.
    """

    payload: tf.Tensor
    labels: tf.Tensor
    ids: tf.Tensor
    decode: Callable[[tf.Tensor], tf.Tensor] = to_rgb
    name_of: Callable[[tf.Tensor], tf.Tensor] = tf.strings.as_string
    storage: str = "pixels"
    can_fail: bool = False
    reason_of: Callable[[bytes], str] | None = None
    contents: np.ndarray | None = None

    @property
    def num_examples(self) -> int:
        return self.labels.shape[0]

    @functools.cached_property
    def has_labels(self) -> bool:
        """Whether any label is one; -1 is not."""
        return bool(tf.reduce_any(self.labels >= 0))

    @property
    def label_shape(self) -> tuple[int, ...]:
        """() for one label an image, (K,) for several."""
        return tuple(self.labels.shape[1:])

    def training_picks(
        self, *, seed, start_step, global_batch_size, num_hosts, host, draw
    ) -> tf.data.Dataset:
        """Endless: this host's part of every global batch, in order."""
        rows = _rows_of_host(global_batch_size, num_hosts, host)

        def picks_of_step(step):
            epoch, index = order.epoch_and_index(
                step * global_batch_size + rows,
                num_examples=self.num_examples,
                seed=seed,
            )
            drawn = draw(epoch, tf.gather(self.ids, index))
            return {"epoch": epoch, "index": index, "drawn": drawn}

        steps = tf.data.Dataset.range(start_step, ENDLESS)
        # The next step's are drawn while this one's are used up.
        picks = steps.map(picks_of_step).prefetch(1)
        return picks.unbatch().batch(CHUNK)

    def eval_picks(
        self, *, num_examples, global_batch_size, num_hosts, host
    ) -> tf.data.Dataset:
        """This host's part of the examples, in the source's order; fewer than
        all are spread over the source, since folders lie class by class."""
        rows = _rows_of_host(global_batch_size, num_hosts, host)

        def indexes_of_batch(start):
            index = start + rows
            index = tf.boolean_mask(index, index < num_examples)
            if num_examples < self.num_examples:
                index = order.permute(
                    index, size=self.num_examples, key=(order.SCAN, 0)
                )
            return index

        starts = tf.data.Dataset.range(0, num_examples, global_batch_size)
        index = starts.map(indexes_of_batch).unbatch().batch(CHUNK)
        return index.map(_picks)

    def scan_picks(self, *, limit, seed) -> tf.data.Dataset:
        """Up to `limit` different examples, drawn from the seed."""
        size, key = self.num_examples, (order.SCAN, seed)
        positions = tf.data.Dataset.range(min(limit, size)).batch(CHUNK)
        return positions.map(
            lambda position: _picks(order.permute(position, size=size, key=key))
        )

    def choices(self, pick) -> tf.Tensor:
        """int64[], how many examples a substitute may come from."""
        del pick
        return tf.constant(self.num_examples, tf.int64)

    def identify(self, pick, index) -> tf.Tensor:
        """int64[], the id of an example."""
        del pick
        return tf.gather(self.ids, index)

    def name(self, pick, index) -> tf.Tensor:
        """string[...], what to call examples in a message."""
        del pick
        return self.name_of(index)

    def read(self, pick, index, crops=None):
        """uint8[h, w, C], or with `picture.Crops` a Picture that was decoded
        for them; and label int64[] or int64[K]."""
        del pick
        image = read_for(self.decode, tf.gather(self.payload, index), crops)
        return image, tf.gather(self.labels, index)


def read_for(decode: Callable, element, crops):
    """decode(element); a Picture where there are crops to decode it for."""
    if crops is None:
        return decode(element)
    if hasattr(decode, "picture"):
        return decode.picture(element, crops)
    return picture.whole(decode(element))


def decoded(
    examples: Examples, *, limit_bytes: int, num_channels: int = 3
) -> Examples:
    """The same examples with every image decoded once and kept.

    An unreadable image is kept as an empty string, which fails when its turn
    comes, as the image would.

    Raises:
        UserError: they need more than limit_bytes.
    """
    unreadable = tf.data.Dataset.from_tensors(tf.constant(b""))

    def pixels(index):
        image = tf.data.Dataset.from_tensors(index).map(
            lambda i: tf.io.serialize_tensor(examples.read({}, i)[0])
        )
        image = image.ignore_errors(log_warning=False).concatenate(unreadable)
        return image.take(1).get_single_element()

    chunks, num_bytes, can_fail = [], 0, False
    indexes = tf.data.Dataset.range(examples.num_examples)
    for chunk in indexes.map(pixels, tf.data.AUTOTUNE).batch(256):
        lengths = tf.strings.length(chunk).numpy()
        num_bytes += int(lengths.sum())
        can_fail |= bool((lengths == 0).any())
        if num_bytes > limit_bytes:
            raise UserError(
                "--cache_dataset: the decoded images need more than"
                f" --in_memory_limit_mb={limit_bytes >> 20}. Raise it, or"
                " leave the cache off."
            )
        chunks.append(chunk)
    with tf.device("CPU:0"):
        payload = tf.concat(chunks, axis=0)
    return dataclasses.replace(
        examples,
        payload=payload,
        decode=functools.partial(parse_pixels, num_channels=num_channels),
        storage="pixels",
        can_fail=can_fail,
    )


def parse_pixels(serialized, num_channels: int = 3) -> tf.Tensor:
    """uint8[h, w, C] from such a tensor, serialized."""
    return tf.ensure_shape(
        tf.io.parse_tensor(serialized, tf.uint8), [None, None, num_channels]
    )


def _rows_of_host(global_batch_size, num_hosts, host) -> tf.Tensor:
    """int64[B/H], the rows of a global batch that are this host's."""
    size = global_batch_size // num_hosts
    return tf.range(host * size, (host + 1) * size, dtype=tf.int64)


def _picks(index):
    return {"epoch": tf.zeros_like(index), "index": index}
