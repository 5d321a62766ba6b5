"""What is exported: a network in float32, in words and in numbers.

Every format gets the same: the encoder's features h and, of a classifier, the
logits of its linear head. A format that was written is read again and must say
the same of `fixed_images`.
"""

import dataclasses
from collections.abc import Mapping

import numpy as np
import tensorflow as tf

from simclr_tf.models.resnet import SMALL_IMAGE_SIZE
from simclr_tf.models.simclr import SimClr

Outputs = Mapping[str, np.ndarray]


@dataclasses.dataclass(frozen=True)
class Architecture:
    """All that the shape of an exported network depends on.

    Attributes:
        depth, width, sk_ratio, se_ratio: as `models.resnet.resnet` takes them.
        image_size: S, side of the images in pixels.
        num_channels: C of the images; 3 is RGB.
        bn_momentum: weight of the past in BN's moving averages.
        projection: units of the layers of the projection head that the linear
            head reads through; () where it reads h.
        projection_is_whole: whether the last of them is z, which has no beta
            and no ReLU.
        num_classes: of the linear head; 0 without one.
    """

    depth: int
    width: float
    image_size: int
    num_channels: int = 3
    sk_ratio: float = 0.0
    se_ratio: float = 0.0
    bn_momentum: float = 0.9
    projection: tuple[int, ...] = ()
    projection_is_whole: bool = False
    num_classes: int = 0

    @property
    def has_bottlenecks(self) -> bool:
        return self.depth >= 50

    @property
    def has_small_stem(self) -> bool:
        """A 3x3 convolution of stride 1, as for CIFAR."""
        return self.image_size <= SMALL_IMAGE_SIZE

    @property
    def num_features(self) -> int:
        """D, the size of h."""
        last = max(1, round(512 * self.width))
        return 4 * last if self.has_bottlenecks else last

    @property
    def words(self) -> str:
        """ "ResNet-50 (2x), selective kernels": for a reader."""
        parts = [f"ResNet-{self.depth} ({self.width:g}x)"]
        if self.sk_ratio:
            parts.append("selective kernels")
        if self.se_ratio:
            parts.append("squeeze and excitation")
        if self.has_small_stem:
            parts.append("CIFAR stem")
        if self.num_channels != 3:
            parts.append(f"images of {self.num_channels} channels")
        return ", ".join(parts)


class Network:
    """A model to export.

    Attributes:
        model: built outside any strategy, in float32.
        architecture: of the part of it that is exported.
        weights: "group1_block0_conv1/kernel" -> float32, of that part.

    Args:
        model: see above.
        architecture: of its encoder; what follows from its heads is set here.
        classifies: whether its linear head is exported, with the layers of
            the projection head that it reads.
    """

    def __init__(
        self, model: SimClr, architecture: Architecture, *, classifies: bool
    ):
        self.model = model
        variables = [*model.encoder.variables]
        if classifies:
            read = self._layers_read()
            units = tuple(dense.units for dense, _ in read)
            architecture = dataclasses.replace(
                architecture,
                projection=units,
                projection_is_whole=bool(units)
                and len(units) == model.projection_head.depth,
                num_classes=model.linear_head.num_classes,
            )
            variables += [v for pair in read for x in pair for v in x.variables]
            variables += model.probe_variables
        self.architecture = architecture
        self.weights = {v.name.split(":")[0]: v.numpy() for v in variables}

    def __call__(self, images: tf.Tensor) -> dict[str, tf.Tensor]:
        """float32[N, S, S, C] to {"features": float32[N, D], "logits": ...}."""
        features = self.model.encoder(images, training=False)
        named = {"features": features}
        if self.architecture.num_classes:
            hiddens = self.model.projection_head(features, training=False)
            selected = hiddens[self.model.selector]
            named["logits"] = self.model.linear_head(selected)
        return named

    def signature(self) -> list[tf.TensorSpec]:
        """Of the images."""
        of = self.architecture
        shape = [None, of.image_size, of.image_size, of.num_channels]
        return [tf.TensorSpec(shape, tf.float32, "images")]

    def function(self):
        """The same as a function of a graph."""
        return tf.function(
            lambda images: self(images), input_signature=self.signature()
        )

    def _layers_read(self):
        head = self.model.projection_head
        count = self.model.selector % (head.depth + 1)
        return [head.layer(j) for j in range(1, count + 1)]


def fixed_images(image_size: int, num_channels: int = 3) -> np.ndarray:
    """float32[2, S, S, C] in [0, 1], the same everywhere and always."""
    rows = np.arange(image_size, dtype=np.float64) / image_size
    y, x = rows[:, None, None], rows[None, :, None]
    shift = np.arange(num_channels) / num_channels
    waves = np.stack(
        [
            np.sin(2 * np.pi * (a * y + b * x + shift)) * np.cos(7 * a * x)
            for a, b in ((1, 3), (5, 2))
        ]
    )
    noise = np.random.default_rng(0).uniform(size=waves.shape)
    return (0.25 + 0.25 * waves + 0.5 * noise).astype(np.float32)


def errors(want: Outputs, got: Outputs) -> dict[str, float]:
    """Of each output, the largest error as a share of the largest value.

    Raises:
        ValueError: an output is missing, or has another shape.
    """
    found = {}
    for name, value in want.items():
        if name not in got or got[name].shape != value.shape:
            raise ValueError(
                f"{name} must be {list(value.shape)}; received "
                f"{list(got[name].shape) if name in got else 'none'}."
            )
        largest = max(float(np.abs(value).max()), np.finfo(np.float32).tiny)
        difference = got[name].astype(np.float64) - value
        found[name] = float(np.abs(difference).max() / largest)
    return found
