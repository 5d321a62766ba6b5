"""Images that are in memory already, as a source: the door for notebooks."""

import functools
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from simclr_tf.data import fingerprint
from simclr_tf.data.examples import Examples, Source, parse_pixels, to_rgb

_MOST_CLASSES = 1_000_000


def from_arrays(
    images: Any,
    labels: Any = None,
    class_names: Sequence[str] | None = None,
    name: str = "arrays",
    split: str = "train",
    num_channels: int = 3,
) -> Source:
    """A source of images in memory; they are copied.

    Args:
        images: uint8[n, H, W, C], of NumPy or TensorFlow, or a sequence of
            uint8[h, w, C], whose sizes may differ.
        labels: int[n] in 0..K-1, -1 where there is none; or n strings, the
            names of the classes; None: no labels.
        class_names: K names. None: the different strings, sorted; of numbers,
            "0" to the largest. Give it where two splits may lack some.
        name: of the data set.
        split: of the data set.
        num_channels: C. 3: images may have 3 channels or 1, and become RGB.

    Returns:
        Source with random access. The sample ids are 0..n-1.

    Raises:
        TypeError: images that are not uint8, labels that are neither whole
            numbers nor strings.
        ValueError: shapes or lengths that do not fit, labels out of range.
    """
    payload, decode = _payload(images, num_channels)
    size = payload.shape[0]
    numbers, class_names = _labels(labels, class_names, size)
    ids = np.arange(size)
    contents = np.array(
        [fingerprint.content_id(image) for image in payload.numpy()], np.int64
    )
    which = fingerprint.digest(ids, contents, payload.shape[1:].as_list())
    with tf.device("CPU:0"):
        examples = Examples(
            payload=payload,
            labels=tf.constant(numbers),
            ids=tf.constant(ids),
            decode=decode,
            name_of=lambda index: tf.strings.join(
                [f"{name} {split} ", tf.strings.as_string(index)]
            ),
            contents=contents,
        )
    return Source(
        name=name,
        split=split,
        examples=examples,
        image_fingerprint=which,
        fingerprint=fingerprint.with_labels(which, numbers, class_names),
        class_names=class_names,
        num_channels=num_channels,
    )


def _payload(images, num_channels: int):
    """The images as one tensor, and what makes an image of a row of it."""
    channels = (3, 1) if num_channels == 3 else (num_channels,)
    as_one = to_rgb if num_channels == 3 else tf.identity
    if hasattr(images, "shape"):
        images = _checked(np.asarray(images), "n, H, W", channels, rank=4)
        with tf.device("CPU:0"):
            return tf.constant(images), as_one
    each = [
        _checked(np.asarray(image), "h, w", channels, rank=3)
        for image in images
    ]
    if not each:
        raise ValueError("images is empty: a source needs at least one.")
    with tf.device("CPU:0"):
        rows = [tf.io.serialize_tensor(as_one(image)) for image in each]
        parse = functools.partial(parse_pixels, num_channels=num_channels)
        return tf.stack(rows), parse


def _checked(
    images: np.ndarray, axes: str, channels: tuple[int, ...], *, rank: int
) -> np.ndarray:
    if images.dtype != np.uint8:
        raise TypeError(
            f"images must be uint8 in 0..255. Received: {images.dtype}. Of"
            " floats in [0, 1]: (images * 255).round().astype('uint8')."
        )
    if images.ndim != rank or images.shape[-1] not in channels:
        raise ValueError(
            f"images must be uint8[{axes}, {' or '.join(map(str, channels))}]."
            f" Received: a shape of {images.shape}."
        )
    if 0 in images.shape:
        raise ValueError(
            f"images must not be empty. Received: a shape of {images.shape}."
        )
    return images


def _labels(labels, class_names, size: int) -> tuple[np.ndarray, tuple]:
    """int64[n] and the names of the classes."""
    if labels is None:
        return np.full(size, -1, np.int64), tuple(class_names or ())
    labels = np.asarray(labels)
    if labels.shape != (size,):
        raise ValueError(
            f"labels must be one for each of {size} images. Received: a shape"
            f" of {labels.shape}."
        )
    if labels.dtype.kind in "SOU":
        return _numbered(labels, class_names)
    if labels.dtype.kind not in "iu":
        raise TypeError(
            "labels must be whole numbers or strings. Received:"
            f" {labels.dtype}."
        )
    labels = labels.astype(np.int64)
    if class_names is None:
        if labels.max() >= _MOST_CLASSES:
            raise ValueError(
                "labels number the classes from 0, and without class_names at "
                f"most {_MOST_CLASSES}. Received: {labels.max()}."
            )
        class_names = [str(i) for i in range(labels.max() + 1)]
    if labels.min() < -1 or labels.max() >= len(class_names):
        raise ValueError(
            f"labels must be in 0..{len(class_names) - 1}, or -1 for none."
            f" Received: {labels.min()}..{labels.max()}."
        )
    return labels, tuple(class_names)


def _numbered(labels, class_names) -> tuple[np.ndarray, tuple]:
    texts = [
        text.decode() if isinstance(text, bytes) else text
        for text in labels.tolist()
    ]
    if not all(isinstance(text, str) for text in texts):
        raise TypeError("labels must be whole numbers or strings, not both.")
    names = tuple(sorted(set(texts)) if class_names is None else class_names)
    unknown = sorted(set(texts) - set(names))
    if unknown:
        raise ValueError(
            f"labels that are not among class_names: {', '.join(unknown)}."
        )
    number_of = {text: number for number, text in enumerate(names)}
    return np.array([number_of[text] for text in texts], np.int64), names
