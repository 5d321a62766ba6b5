"""The model of Figure 2: encoder f(.), projection head g(.), linear probe.

It knows nothing of losses: both views come in as one batch, so that BN's
statistics are over the 2N images, and everything that a loss or an
evaluation may want comes out.
"""

from typing import NamedTuple

import tensorflow as tf
import tf_keras as keras

from simclr_tf.models.heads import LinearHead, ProjectionHead
from simclr_tf.models.images import require_float_images
from simclr_tf.models.resnet import ResNet


class SimClrOutput(NamedTuple):
    """What the model says about N images.

    Attributes:
        features: h = f(x), float32[N, D].
        projections: z = g(h), float32[N, d], not normalised.
        logits: of the linear head, float32[N, K]; None without one.
    """

    features: tf.Tensor
    projections: tf.Tensor
    logits: tf.Tensor | None


class SimClr(keras.Model):
    """Encoder, projection head and, on one of their outputs, a classifier.

    Built when made: variables exist, and `summary` works.

    Args:
        encoder: images float32[N, S, S, C] to h float32[N, D].
        projection_head: h to [h, ..., z].
        linear_head: a classifier, or None.
        selector: what the classifier reads, an index into [h, output of the
            head's layer 1, ..., z]: 0 is h, -1 is z.
        detach_head: whether a stop-gradient stands before the classifier, so
            that it watches the representation without changing it.

    Call arguments:
        images: float32[N, S, S, C] in [0, 1]; in pretraining both views, one
            after the other.
        training: True for batch statistics.

        The result is a `SimClrOutput`.

    Raises:
        ValueError: if `selector` points past the head's outputs.
        TypeError: when called with images that are not floats.
    """

    def __init__(
        self,
        encoder: keras.Model,
        projection_head: ProjectionHead,
        linear_head: LinearHead | None = None,
        *,
        selector: int = 0,
        detach_head: bool = True,
        name: str = "simclr",
    ):
        # The parts have policies of their own, and images are float32.
        super().__init__(name=name, dtype="float32")
        num_outputs = projection_head.depth + 1
        if not -num_outputs <= selector < num_outputs:
            raise ValueError(
                f"selector must point into the projection head's {num_outputs} "
                "outputs (0 is its input, -1 its last output); received "
                f"{selector}."
            )
        self.encoder = encoder
        self.projection_head = projection_head
        self.linear_head = linear_head
        self.selector = selector
        self.detach_head = detach_head
        hiddens = projection_head(keras.Input(encoder.output_shape[1:]))
        if linear_head is not None:
            linear_head(keras.Input(hiddens[selector].shape[1:]))
        self.built = True

    def __call__(self, images, *args, **kwargs):
        require_float_images(images)
        return super().__call__(images, *args, **kwargs)

    def call(self, images, training=None):
        features = self.encoder(images, training=training)
        hiddens = self.projection_head(features, training=training)
        logits = None
        if self.linear_head is not None:
            selected = hiddens[self.selector]
            if self.detach_head:
                selected = tf.stop_gradient(selected)
            logits = self.linear_head(selected)
        return SimClrOutput(features, hiddens[-1], logits)

    @property
    def probe_variables(self) -> list[tf.Variable]:
        """The linear head's kernel and bias; none without a head."""
        return [] if self.linear_head is None else self.linear_head.variables

    def freeze_unused_projection(self) -> None:
        """Freezes what the linear head doesn't read, for fine-tuning.

        Without the contrastive loss, the projection layers past `selector`
        get no gradient: frozen, they are no longer among the trainable
        variables, and their BN statistics stay as they were.
        """
        for layer in self.projection_head.layers_after(self.selector):
            layer.trainable = False


# AutoGraph would have nothing to convert, and takes seconds to find out.
@tf.autograph.experimental.do_not_convert
def build_simclr(
    encoder: ResNet,
    *,
    proj_head_mode: str = "nonlinear",
    proj_out_dim: int = 128,
    num_proj_layers: int = 2,
    num_classes: int | None = None,
    selector: int = 0,
    detach_head: bool = True,
    zero_init_head: bool = False,
) -> SimClr:
    """Puts the heads on an encoder.

        encoder = resnet(depth=50, image_size=224, seed=1)
        model = build_simclr(encoder, proj_out_dim=128, num_classes=1000)

    The heads share the encoder's seed, dtype policy and batch normalisation.

    Args:
        encoder: from `resnet`.
        proj_head_mode: "none", "linear" or "nonlinear".
        proj_out_dim: d, the size of z.
        num_proj_layers: dense layers of the nonlinear head.
        num_classes: K, classes of the linear head; None for no such head.
        selector: what the linear head reads, as in `SimClr`.
        detach_head: whether it reads it through a stop-gradient.
        zero_init_head: whether its kernel starts at 0.

    Returns:
        The model, built.

    Raises:
        ValueError: if an argument is out of its range.
    """
    parts = encoder.parts
    projection_head = ProjectionHead(
        mode=proj_head_mode,
        out_dim=proj_out_dim,
        num_layers=num_proj_layers,
        bn_momentum=parts.bn_momentum,
        bn_groups=parts.bn_groups,
        dtype=parts.dtype,
        seed=parts.seed,
    )
    linear_head = None
    if num_classes is not None:
        linear_head = LinearHead(num_classes, parts.seed, zero_init_head)
    return SimClr(
        encoder,
        projection_head,
        linear_head,
        selector=selector,
        detach_head=detach_head,
    )
