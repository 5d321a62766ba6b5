"""Some of a source's examples, as a source of its own."""

import dataclasses
import hashlib

import numpy as np
import tensorflow as tf

from simclr_tf.data.examples import Examples, Source
from simclr_tf.errors import UserError


def labels_of(source: Source) -> np.ndarray:
    """int64[n], the label of every example, -1 where there is none.

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
    kept = tf.constant(np.sort(indices), tf.int64)
    whole = examples.name_of
    with tf.device("CPU:0"):
        part = dataclasses.replace(
            examples,
            payload=tf.gather(examples.payload, kept),
            labels=tf.gather(examples.labels, kept),
            ids=tf.gather(examples.ids, kept),
            name_of=lambda index: whole(tf.gather(kept, index)),
        )
    digest = hashlib.sha256(part.ids.numpy().tobytes()).hexdigest()[:16]
    return dataclasses.replace(
        source,
        split=f"{source.split}, {name}",
        num_examples=part.num_examples,
        fingerprint=f"{source.fingerprint}-{digest}",
        examples=part,
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
