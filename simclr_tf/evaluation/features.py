"""Features of images, in inference mode.

`of` is for arrays in a notebook; `extract` reads every example of a split, on
all replicas and hosts.
"""

import functools
import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from simclr_tf import distributed
from simclr_tf.errors import UserError
from simclr_tf.evaluation import metrics


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


def of(
    encoder: Callable[..., Any], images: Any, batch_size: int = 256
) -> np.ndarray:
    """Features of images that are at hand.

    Args:
        encoder: a model of ours (its h is taken), a Keras model, or anything
            that maps float32[N, S, S, C] in [0, 1] to float[N, D]. It is
            called with training=False if it takes that.
        images: [n, S, S, C], NumPy or TensorFlow; uint8 in 0..255, or floats
            in [0, 1]. C is the encoder's `num_channels`, 3 if it has none.
        batch_size: images encoded at once.

    Returns:
        float32[n, D].

    Raises:
        ValueError: images of another shape or type, of several sizes, none,
            or floats outside [0, 1]; a batch_size below 1.
    """
    if batch_size < 1:
        raise ValueError(
            f"batch_size must be at least 1. Received: {batch_size}."
        )
    images = _checked_images(images, getattr(encoder, "num_channels", 3))
    mode = {"training": False} if _takes_training(encoder) else {}
    parts = []
    for start in range(0, len(images), batch_size):
        part = images[start : start + batch_size]
        if part.dtype == np.uint8:
            part = part / np.float32(255)
        found = encoder(tf.constant(part, tf.float32), **mode)
        found = getattr(found, "features", found)
        parts.append(np.asarray(tf.cast(found, tf.float32)))
    return np.concatenate(parts)


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
        dataset: distributed dataset of dicts: images uint8[N, S, S, C],
            label, id and mask.
    """
    return extractor(encode, strategy=strategy)(dataset)


def extractor(
    encode: Callable[[tf.Tensor], tf.Tensor],
    *,
    strategy: tf.distribute.Strategy,
) -> Callable[[Iterable], Features]:
    """Makes a function that does what `extract` does, to be called many times.

    TensorFlow compiles the step when it is first called, and keeps it. It
    raises UserError where features are not finite: no score of them is one.

    Args:
        encode: float32[N, S, S, C] in [0, 1] -> float[N, D], run on every
            replica.
        strategy: where the replicas run.
    """
    replicas = strategy.num_replicas_in_sync
    elsewhere = replicas > 1 and replicas > len(
        strategy.extended.worker_devices
    )
    one = functools.partial(on_replica, encode, gathers=elsewhere)
    step = tf.function(lambda batch: strategy.run(one, args=(batch,)))

    def call(dataset):
        columns = ([], [], [])
        for batch in dataset:
            # Replicas hold consecutive slices: their order is the source's.
            parts = [
                strategy.experimental_local_results(x) for x in step(batch)
            ]
            if elsewhere:  # every local replica has all rows: one is enough
                parts = [part[:1] for part in parts]
            for *kept, mask in zip(*parts, strict=True):
                for column, part in zip(columns, kept, strict=True):
                    column.append(part.numpy()[mask.numpy().astype(bool)])
        found = Features(*(np.concatenate(column) for column in columns))
        _require_finite(found.values)
        return found

    return call


def on_replica(
    encode: Callable[[tf.Tensor], tf.Tensor],
    batch: Mapping[str, tf.Tensor],
    *,
    gathers: bool = False,
) -> list[tf.Tensor]:
    """What every replica does with its part of a batch.

    Args:
        encode: float32[N, S, S, C] in [0, 1] -> float[N, D].
        batch: of `data.pipeline.eval_batches`.
        gathers: whether every replica gets the rows of all.

    Returns:
        float32[N, D], and label, id and mask as they came; of all replicas,
        the mask as int32.
    """
    images = tf.image.convert_image_dtype(batch["images"], tf.float32)
    values = tf.cast(encode(images), tf.float32)
    columns = [values, batch["label"], batch["id"], batch["mask"]]
    if gathers:
        columns[3] = tf.cast(columns[3], tf.int32)  # bools are not gathered
        columns = [distributed.all_gather_rows(x) for x in columns]
    return columns


def _require_finite(values: np.ndarray) -> None:
    wrong = np.sum(~np.isfinite(values).all(axis=1))
    if wrong:
        raise UserError(
            f"The features of {wrong} of {len(values)} images are not finite: "
            "the weights are damaged, or too large for the precision "
            "(--mixed_precision=none computes in float32)."
        )


def labelled(found: Features) -> Features:
    """The examples that have a label that is not -1, in their order."""
    kept = metrics.counted(found.labels)
    return Features(*(column[kept] for column in found))


def logits_of(model: Any) -> Callable[[tf.Tensor], tf.Tensor]:
    """What the linear head of a `SimClr` says, float32[N, K]."""
    return lambda images: model(images, training=False).logits


def h_of(model: Any) -> Callable[[tf.Tensor], tf.Tensor]:
    """The features h of a `SimClr`, float[N, D]."""
    return lambda images: model(images, training=False).features


def h_and_z_of(model: Any) -> Callable[[tf.Tensor], tf.Tensor]:
    """h and z = g(h) of a `SimClr` side by side, float32[N, D + d]."""

    def both(images):
        out = model(images, training=False)
        parts = (out.features, out.projections)
        return tf.concat([tf.cast(x, tf.float32) for x in parts], axis=1)

    return both


def raw_pixels(images: tf.Tensor) -> tf.Tensor:
    """An encoder whose features are the pixels, float32[N, S*S*C].

    Args:
        images: float32[N, S, S, C] in [0, 1].
    """
    return tf.reshape(images, [tf.shape(images)[0], -1])


def _checked_images(images: Any, num_channels: int) -> np.ndarray:
    try:
        images = np.asarray(images)
    except ValueError as error:  # NumPy's, of a list
        raise ValueError(
            "Images must be of one size, in one array. `prepare` of a loaded "
            "encoder crops and resizes them."
        ) from error
    fits = images.ndim == 4 and images.shape[3] == num_channels
    if not fits or not len(images):
        raise ValueError(
            f"Images must be [n, S, S, {num_channels}], n at least 1. "
            f"Received: {list(images.shape)}."
        )
    if images.dtype == np.uint8:
        return images
    if not np.issubdtype(images.dtype, np.floating):
        raise ValueError(
            "Images must be uint8 in 0..255, or floats in [0, 1]. Received: "
            f"{images.dtype}."
        )
    low, high = images.min(), images.max()
    if not (low >= 0 and high <= 1):  # so that NaN is refused
        raise ValueError(
            "Images of floats must lie in [0, 1]; divide by 255, or pass "
            f"uint8. Received: {low:g} to {high:g}."
        )
    return images


def _takes_training(encoder: Callable[..., Any]) -> bool:
    call = getattr(encoder, "call", encoder)  # of a Keras layer
    try:
        return "training" in inspect.signature(call).parameters
    except (TypeError, ValueError):
        return False
