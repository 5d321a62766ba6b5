"""Features of every example of a split, in inference mode."""

from collections.abc import Callable, Iterable
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from simclr_tf import distributed


class Features(NamedTuple):
    """Examples in source order.

    Attributes:
        values: float32[M, D].
        labels: int64[M], -1 where there is none; or int64[M, K] of a source
            with several labels (`data.examples.Source`).
        ids: int64[M], the source's sample ids.
    """

    values: np.ndarray
    labels: np.ndarray
    ids: np.ndarray


def extract(
    encode: Callable[[tf.Tensor], tf.Tensor],
    dataset: Iterable,
    *,
    strategy: tf.distribute.Strategy,
) -> Features:
    """Encodes every example of `data.pipeline.eval_batches` once.

    On several hosts, each of which reads its part, every host ends up with
    everyone's features, in the same order as on one.

    Args:
        encode, strategy: as in `extractor`.
        dataset: distributed dataset of images uint8, label, id and mask.
    """
    return extractor(encode, strategy=strategy)(dataset)


def extractor(
    encode: Callable[[tf.Tensor], tf.Tensor],
    *,
    strategy: tf.distribute.Strategy,
) -> Callable[[Iterable], Features]:
    """`extract` to call again and again: it is traced once.

    Args:
        encode: float32[N, S, S, 3] in [0, 1] -> float[N, D], run on every
            replica.
        strategy: where the replicas run.
    """

    def on_replica(batch):
        images = tf.image.convert_image_dtype(batch["images"], tf.float32)
        values = tf.cast(encode(images), tf.float32)
        columns = [values, batch["label"], batch["id"], batch["mask"]]
        if elsewhere:
            columns[3] = tf.cast(columns[3], tf.int32)  # bools are not gathered
            columns = [distributed.all_gather_rows(x) for x in columns]
        return columns

    replicas = strategy.num_replicas_in_sync
    elsewhere = replicas > 1 and replicas > len(
        strategy.extended.worker_devices
    )
    step = tf.function(lambda batch: strategy.run(on_replica, args=(batch,)))

    def call(dataset):
        columns = ([], [], [])
        for batch in dataset:
            # Replicas hold consecutive slices: their order is the source's.
            parts = [
                strategy.experimental_local_results(x) for x in step(batch)
            ]
            if elsewhere:  # all that is local is one and the same
                parts = [part[:1] for part in parts]
            for *kept, mask in zip(*parts, strict=True):
                for column, part in zip(columns, kept, strict=True):
                    column.append(part.numpy()[mask.numpy().astype(bool)])
        return Features(*(np.concatenate(column) for column in columns))

    return call


def labelled(found: Features) -> Features:
    """Those that have a label; of several labels, one that counts."""
    kept = found.labels >= 0
    if kept.ndim == 2:
        kept = kept.any(axis=1)
    return Features(*(column[kept] for column in found))


def raw_pixels(images: tf.Tensor) -> tf.Tensor:
    """The encoder that does nothing: float32[N, S, S, 3] -> [N, S*S*3]."""
    return tf.reshape(images, [tf.shape(images)[0], -1])
