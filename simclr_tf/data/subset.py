"""Parts of a source, sums of sources, and what two sources share."""

import dataclasses
from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from simclr_tf.data import decoding, fingerprint, split_spec
from simclr_tf.data.examples import Examples, Source
from simclr_tf.errors import UserError


def labels_of(source: Source) -> np.ndarray:
    """int64[n], the label of every example, -1 where there is none; or
    int64[n, K] of a source with several labels an image.

    Raises:
        UserError: the source is a stream, whose labels nobody knows yet.
    """
    return _examples(source).labels.numpy()


def ids_of(source: Source) -> np.ndarray:
    """int64[n], the sample id of every example; raises as `labels_of`."""
    return _examples(source).ids.numpy()


def take(source: Source, indices: np.ndarray, *, name: str) -> Source:
    """The examples at `indices`, in the source's order.

    Args:
        source: with random access.
        indices: int[m] of examples, each once.
        name: of the part, appended to the split's.

    Raises:
        UserError: the source is a stream.
    """
    examples = _examples(source)
    rows = np.sort(indices)
    kept = tf.constant(rows, tf.int64)
    whole, contents = examples.name_of, examples.contents
    with tf.device("CPU:0"):
        part = dataclasses.replace(
            examples,
            payload=tf.gather(examples.payload, kept),
            labels=tf.gather(examples.labels, kept),
            ids=tf.gather(examples.ids, kept),
            name_of=lambda index: whole(tf.gather(kept, index)),
            contents=None if contents is None else contents[rows],
        )
    which = fingerprint.digest(part.ids.numpy())
    return dataclasses.replace(
        source,
        split=f"{source.split}, {name}",
        image_fingerprint=f"{source.image_fingerprint}-{which}",
        fingerprint=f"{source.fingerprint}-{which}",
        examples=part,
    )


def with_labels_of(source: Source, indices: np.ndarray, *, name: str) -> Source:
    """All examples, of which only those at `indices` keep their labels.

    Args, Raises: as `take`.
    """
    examples = _examples(source)
    kept = np.zeros(source.num_examples, bool)
    kept[indices] = True
    with tf.device("CPU:0"):
        labels = tf.where(kept, examples.labels, tf.constant(-1, tf.int64))
    which = fingerprint.digest(np.flatnonzero(kept))
    return dataclasses.replace(
        source,
        split=f"{source.split}, {name}",
        fingerprint=f"{source.fingerprint}-{which}",
        examples=dataclasses.replace(examples, labels=labels),
    )


def labelled(source: Source) -> Source:
    """The examples that have a label; the source itself where all have.

    Raises:
        UserError: the source is a stream, and its labels are not known.
    """
    labels = labels_of(source)
    counts = (labels.reshape(len(labels), -1) >= 0).any(axis=1)
    if counts.all():
        return source
    return take(source, np.flatnonzero(counts), name="labelled")


def joined(parts: Sequence[Source], *, split: str, where: str) -> Source:
    """Sources of random access, one behind the other, with their own ids.

    Args:
        parts: of one data set.
        split: what the sum is called.
        where: what the data set is called in an error.

    Raises:
        UserError: an example comes twice, or two have the same id.
    """
    each = [part.examples for part in parts]
    with tf.device("CPU:0"):
        ids = tf.concat([examples.ids for examples in each], axis=0)
        names = tf.concat([_names(part) for part in parts], axis=0)
        payload = tf.concat([examples.payload for examples in each], axis=0)
        labels = tf.concat([examples.labels for examples in each], axis=0)
    if len(set(names.numpy())) < len(names):
        raise split_spec.repeated(split, where)
    if len(np.unique(ids)) < len(ids):
        raise UserError(
            f"split {split!r} of {where}: its parts have images of the same"
            " id. Rename them."
        )
    contents = [examples.contents for examples in each]
    known = all(one is not None for one in contents)
    examples = dataclasses.replace(
        each[0],
        payload=payload,
        decode=decoding.joined([examples.decode for examples in each]),
        labels=labels,
        ids=ids,
        name_of=lambda index: tf.gather(names, index),
        can_fail=any(examples.can_fail for examples in each),
        contents=np.concatenate(contents) if known else None,
    )
    images = fingerprint.digest(*(part.image_fingerprint for part in parts))
    return dataclasses.replace(
        parts[0],
        split=split,
        image_fingerprint=images,
        fingerprint=fingerprint.with_labels(
            images, labels.numpy(), parts[0].class_names
        ),
        examples=examples,
    )


def overlap(first: Source, second: Source) -> int | None:
    """How many examples of `second` are in `first`, too.

    Equal images count as one example, wherever both sources know what their
    images hold: in memory, or in files that were read for the fingerprint. Of
    streams and larger folders, it is where the examples lie that counts,
    which tells only within a data set.

    Returns:
        A number of examples of `second`; None where nobody can tell.
    """
    contents = [_contents(source) for source in (first, second)]
    if all(found is not None for found in contents):
        shared = np.isin(contents[1], contents[0])
        return int((shared & (contents[1] != fingerprint.NO_CONTENT)).sum())
    if first.name != second.name:
        return None
    there = set(_names(first).numpy())
    return sum(name in there for name in _names(second).numpy())


def _contents(source: Source) -> np.ndarray | None:
    """int64[n], content ids; None where the images are not at hand."""
    if not source.random_access:
        return None
    examples = source.examples
    if examples.contents is not None or examples.storage == "files":
        return examples.contents
    return np.array(
        [fingerprint.content_id(image) for image in examples.payload.numpy()]
    )


def _names(source: Source) -> tf.Tensor:
    """string[n], the name of every example, by which a data set knows it."""
    if not source.random_access:
        pieces = source.examples.pieces
        return pieces.name_of(tf.constant(pieces.ids))
    return source.examples.name_of(
        tf.range(source.num_examples, dtype=tf.int64)
    )


def _examples(source: Source) -> Examples:
    if not source.random_access:
        raise UserError(
            f"--train_split={source.split} of {source.name} is read as a "
            "stream, so that a part of its labels cannot be chosen. Raise "
            "--in_memory_limit_mb, or use a data set that is such a part "
            "(imagenet2012_subset/1pct)."
        )
    return source.examples
