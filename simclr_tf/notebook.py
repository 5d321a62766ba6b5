"""The front door for notebooks: an encoder to call, views to look at.

encoder = simclr_tf.load("runs/first")
features = encoder(images)
first, second = simclr_tf.views(images, image_size=encoder.image_size)
"""

import os
from typing import Any

import numpy as np
import tensorflow as tf

from simclr_tf import data
from simclr_tf.augment import draw, geometry
from simclr_tf.augment.policy import Policy
from simclr_tf.build import network
from simclr_tf.config import roles
from simclr_tf.data.sources import Source, grey
from simclr_tf.models.simclr import SimClr
from simclr_tf.run_files import loading

_NUM_VIEWS = 2
_LINEAR_KERNEL = "linear_head:kernel"


class LoadedEncoder:
    """An encoder f with its weights: images in, features h out, in float32.

        encoder = simclr_tf.load("runs/first")
        features = encoder(encoder.prepare(images))     float32[n, D]

    Attributes:
        model: the Keras model (`simclr_tf.models.SimClr`), to go on with: its
            `encoder`, `projection_head` and, if it was saved with one,
            `linear_head`.
        image_size: S, the side of the images it was trained on, in pixels.
        num_channels: C of these; 3 is RGB, 1 grey.
        config: the options of the run that made it, but for where and on
            what it ran: section -> option -> value.
        class_names: of the data it was trained on, in the order of the
            labels; empty where there were none.
        step: the training step that the weights are of.
        path: of the checkpoint or SavedModel that was read.

    Call arguments:
        images: [n, S, S, C], RGB if C is 3: uint8 in 0..255, or floats in
            [0, 1].

        The result is float32[n, D]: a tensor for a tensor, through which
        gradients flow and which works in graphs, a NumPy array for anything
        else. All n images are encoded at once; `simclr_tf.features.of` goes
        through many images in batches.

    Raises:
        TypeError: when called with images of another type.
        ValueError: when called with images of another shape or range; the
            range of a tensor in a graph is not known.
    """

    def __init__(
        self,
        model: SimClr,
        *,
        image_size: int,
        config: dict[str, Any],
        class_names: tuple[str, ...],
        step: int,
        path: str,
    ):
        self.model = model
        self.image_size = image_size
        self.num_channels = config["model"]["num_channels"]
        self.config = config
        self.class_names = class_names
        self.step = step
        self.path = path
        self._shape = [None, image_size, image_size, self.num_channels]
        spec = tf.TensorSpec(self._shape, tf.float32)
        self._encode = tf.function(
            lambda images: model.encoder(images, training=False),
            input_signature=[spec],
        )

    def __call__(self, images) -> np.ndarray | tf.Tensor:
        given = tf.convert_to_tensor(images)
        features = self._encode(_as_floats(given, shape=self._shape))
        return features if tf.is_tensor(images) else features.numpy()

    def __repr__(self) -> str:
        depth = self.config["model"]["resnet_depth"]
        width = self.config["model"]["width_multiplier"]
        return (
            f"<ResNet-{depth} ({width:g}x) of {self.path}, step {self.step}: "
            f"images {self.image_size}x{self.image_size} -> "
            f"{self.model.encoder.output_shape[-1]} features>"
        )

    def prepare(self, images) -> np.ndarray:
        """Images of any size as the evaluations give them to the encoder.

        The largest central square, less the run's --eval_crop, resized to S,
        with the run's --antialias. (Of large JPEGs in files, evaluations
        decode less where --reduced_decoding lets them; these are whole.)

        Args:
            images: a `Source` with random access, or what
                `simclr_tf.data.from_arrays` takes.

        Returns:
            uint8[n, S, S, C].

        Raises:
            ValueError: the images have bands, and not C of them.
        """
        options = self.config["augment"]
        return np.stack(
            [
                geometry.eval_view(
                    image,
                    size=self.image_size,
                    crop_proportion=options["eval_crop"],
                    antialias=options["antialias"],
                )
                for image in _each(self._source(images))
            ]
        )

    def _source(self, images) -> Source:
        bands = 3 if self.num_channels == 1 else self.num_channels
        source = _as_source(images, num_channels=bands)
        if self.num_channels == 1 and source.num_channels == 3:
            return grey(source)
        if self.num_channels != source.num_channels:
            raise ValueError(
                f"images must have {self.num_channels} channels; received "
                f"{source.num_channels}."
            )
        return source


def load(path: str) -> LoadedEncoder:
    """Loads an encoder, in float32 whatever it was trained in.

    Args:
        path: a run's model_dir (its newest readable checkpoint is read), one
            of its checkpoints (RUN/ckpt-100), or a SavedModel of ours
            (RUN/saved_model/100); or what google-research/simclr released, of
            which the encoder is read, without its linear head: nothing says
            which layer that reads.

    Raises:
        errors.UserError: it is none of these, or cannot be read.
    """
    weights = loading.open_weights(os.fspath(path))
    kernel = None
    if not weights.official:
        kernel = weights.values.get(_LINEAR_KERNEL)
    model = network.build_model(
        weights.config,
        num_classes=None if kernel is None else kernel.shape[-1],
        dtype="float32",
    )
    loading.load(weights, model, with_linear_head=kernel is not None)
    return LoadedEncoder(
        model,
        image_size=weights.config.data.image_size,
        config=roles.of_export(weights.config),
        class_names=weights.class_names,
        step=weights.step,
        path=weights.path,
    )


def views(
    images,
    *,
    image_size: int,
    seed: int = 0,
    epoch: int = 0,
    count: int | None = None,
    **augmentation,
) -> np.ndarray:
    """Two random views of each image, as pretraining makes them.

        first, second = simclr_tf.views(images, image_size=32, count=8)

    For one's own data: are two views of an image still of the same thing, and
    do they differ in what should not matter?

    Args:
        images: a `Source` with random access, or what
            `simclr_tf.data.from_arrays` takes.
        image_size: S, side of a view in pixels.
        seed: with `epoch`, what the views are drawn from; a run with this
            --seed and this augmentation sees the same ones in that epoch.
        epoch: from 0.
        count: how many images, from the first; None for all.
        augmentation: attributes of `augment.policy.Policy`, the paper's by
            default: color_jitter_strength=0.5, use_blur=False, ...

    Returns:
        float32[2, n, S, S, C] in [0, 1].

    Raises:
        ValueError: an attribute is out of its range, `count` is below 1, the
            source has no random access, or colours are to be distorted where C
            is not 3 (color=False).
    """
    if count is not None and count < 1:
        raise ValueError(f"count must be at least 1. Received: {count}.")
    source = _as_source(images)
    policy = Policy(image_size, **augmentation)
    ids = source.examples.ids[:count]
    drawn = [
        policy.draw(draw.sample_seed(seed, epoch, ids, view), view)
        for view in range(_NUM_VIEWS)
    ]
    cropped = [[] for _ in drawn]
    for i, image in enumerate(_each(source, count)):
        for of_view, kept in zip(drawn, cropped, strict=True):
            mine = {name: values[i] for name, values in of_view.items()}
            kept.append(policy.host_view(image, mine))
    return np.stack(
        [
            policy.color_view(tf.stack(kept), of_view["parameters"])
            for of_view, kept in zip(drawn, cropped, strict=True)
        ]
    )


def _as_floats(images: tf.Tensor, *, shape: list[int | None]) -> tf.Tensor:
    """float32[n, S, S, C] in [0, 1], or an error that says what is wrong."""
    if not images.shape.is_compatible_with(shape):
        raise ValueError(
            f"images must be [n, {', '.join(map(str, shape[1:]))}]; received "
            f"{images.shape}. The encoder's `prepare` crops and resizes them."
        )
    if images.shape[0] == 0:
        raise ValueError("images is empty; the encoder needs at least one.")
    if images.dtype == tf.uint8:
        return tf.image.convert_image_dtype(images, tf.float32)
    if not images.dtype.is_floating:
        raise TypeError(
            "images must be uint8 in 0..255 or floats in [0, 1]; received "
            f"{images.dtype.name}."
        )
    if tf.executing_eagerly():
        low, high = float(tf.reduce_min(images)), float(tf.reduce_max(images))
        if not (low >= 0 and high <= 1):
            raise ValueError(
                "images of floats must be in [0, 1]; received values from "
                f"{low:g} to {high:g}. Divide by 255, or give them as uint8."
            )
    return tf.cast(images, tf.float32)


def _as_source(images, **how) -> Source:
    source = images
    if not isinstance(images, Source):
        source = data.from_arrays(images, **how)
    if not source.random_access:
        raise ValueError(
            f"images must have random access, and {source.name} is streamed. "
            "Take some of its images into memory."
        )
    return source


def _each(source: Source, count: int | None = None):
    """uint8[h, w, C] of every example, or the first `count`."""
    size = source.num_examples
    for i in range(size if count is None else min(count, size)):
        image, _ = source.examples.read({}, tf.constant(i, tf.int64))
        yield image
