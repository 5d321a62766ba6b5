"""What a source of images is, and the kind with random access.

A source hands out picks, which say what example comes next without reading
it: {"epoch": int64[], "index": int64[]}, and whatever else the source needs.
They come in chunks, in which epoch and index are int64[k] and the rest is
shared; those of training also have "drawn", rows [k, ...] of whatever the
caller's draw(epoch int64[k], id int64[k]) gives. `read` turns a pick into an
image; it may raise inside the graph, and then another of the pick's `choices`
can take its place. `Examples` and `shards.Shards` have the same methods.
"""

import dataclasses
import hashlib
from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

from simclr_tf.data import order
from simclr_tf.errors import UserError

# tf.data counts in int64; "endless" is the last of them.
ENDLESS = tf.int64.max
# Picks that are handled together where reading can fail.
CHUNK = 8


@dataclasses.dataclass(frozen=True)
class Source:
    """A split of a data set, opened.

    Attributes:
        name: of the data set, with its configuration: "imagenet2012".
        split: as it was asked for: "train[:10%]".
        num_examples: of the split.
        num_classes: None where there are no labels.
        class_names: in the order of the labels; empty without labels.
        fingerprint: the same for the same data and split, wherever it lies.
        examples: how to get at the images.
        ignored_files: of a folder, those that hold no image.
        several_labels: whether an image may show several classes; its label
            is then int64[num_classes]: 1 present, 0 absent, -1 not counted.
    """

    name: str
    split: str
    num_examples: int
    num_classes: int | None
    class_names: tuple[str, ...]
    fingerprint: str
    examples: Any = dataclasses.field(repr=False)
    ignored_files: int = 0
    several_labels: bool = False

    @property
    def has_labels(self) -> bool:
        return self.num_classes is not None

    @property
    def random_access(self) -> bool:
        """Whether the order is a full permutation on any number of hosts."""
        return isinstance(self.examples, Examples)


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Examples:
    """Examples that can be read in any order.

    Attributes:
        payload: uint8[n, H, W, C], or string[n] of encoded images or paths.
        labels: int64[n], -1 where there is none; or int64[n, K], see
            `Source.several_labels`.
        ids: int64[n], the same for an example whatever the order or split.
        decode: an element of payload -> uint8[h, w, 3].
        name_of: int64[...] of indexes -> string[...], for messages.
        storage: "pixels", "images" or "files": what payload holds.
        can_fail: whether an image may turn out to be unreadable.
    """

    payload: tf.Tensor
    labels: tf.Tensor
    ids: tf.Tensor
    decode: Callable[[tf.Tensor], tf.Tensor]
    name_of: Callable[[tf.Tensor], tf.Tensor]
    storage: str
    can_fail: bool

    @property
    def num_examples(self) -> int:
        return self.labels.shape[0]

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
        places = tf.data.Dataset.range(min(limit, size)).batch(CHUNK)
        return places.map(
            lambda place: _picks(order.permute(place, size=size, key=key))
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

    def read(self, pick, index):
        """uint8[h, w, 3] and label int64[] or int64[K]."""
        del pick
        image = self.decode(tf.gather(self.payload, index))
        return image, tf.gather(self.labels, index)


def read_rgb(encoded) -> tf.Tensor:
    """uint8[h, w, 3] from a JPEG, PNG, GIF, BMP or WebP image.

    What it is is seen from its bytes. Of an animation, the first frame; grey
    becomes three equal channels; alpha is dropped; 16 bits become 8.
    """
    image = tf.io.decode_image(encoded, channels=3, expand_animations=False)
    image.set_shape([None, None, 3])
    return image


def to_rgb(pixels) -> tf.Tensor:
    """uint8[h, w, 3] from uint8[h, w, 1 | 3 | 4]."""
    if pixels.shape[-1] == 1:
        return tf.repeat(pixels, 3, axis=-1)
    return pixels[..., :3]


def decoded(examples: Examples, *, limit_bytes: int) -> Examples:
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
        decode=_parse_pixels,
        storage="pixels",
        can_fail=can_fail,
    )


def joined(parts: Sequence[Source], *, split: str) -> Source:
    """Sources of random access, one behind the other, with their own ids.

    Raises:
        UserError: two examples have the same id.
    """
    each = [part.examples for part in parts]
    with tf.device("CPU:0"):
        ids = tf.concat([examples.ids for examples in each], axis=0)
        names = tf.concat(
            [r.name_of(tf.range(r.num_examples, dtype=tf.int64)) for r in each],
            axis=0,
        )
        payload = tf.concat([examples.payload for examples in each], axis=0)
        labels = tf.concat([examples.labels for examples in each], axis=0)
    if tf.size(tf.unique(ids)[0]) < tf.size(ids):
        raise UserError(
            f"split {split!r}: its parts have images of the same class and"
            " name, or overlap. Rename them."
        )
    examples = dataclasses.replace(
        each[0],
        payload=payload,
        labels=labels,
        ids=ids,
        name_of=lambda index: tf.gather(names, index),
        can_fail=any(examples.can_fail for examples in each),
    )
    fingerprints = "+".join(part.fingerprint for part in parts)
    return dataclasses.replace(
        parts[0],
        split=split,
        num_examples=examples.num_examples,
        fingerprint=hashlib.sha256(fingerprints.encode()).hexdigest()[:16],
        examples=examples,
        ignored_files=sum(part.ignored_files for part in parts),
    )


def _parse_pixels(serialized) -> tf.Tensor:
    return tf.ensure_shape(
        tf.io.parse_tensor(serialized, tf.uint8), [None, None, 3]
    )


def _rows_of_host(global_batch_size, num_hosts, host) -> tf.Tensor:
    """int64[B/H], the rows of a global batch that are this host's."""
    size = global_batch_size // num_hosts
    return tf.range(host * size, (host + 1) * size, dtype=tf.int64)


def _picks(index):
    return {"epoch": tf.zeros_like(index), "index": index}
