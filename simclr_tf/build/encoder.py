"""The encoder that an evaluation or an embedding job works with."""

import dataclasses
from collections.abc import Callable

import tensorflow as tf

from simclr_tf import hashing
from simclr_tf.build import network
from simclr_tf.config import Config, resolve
from simclr_tf.evaluation import features
from simclr_tf.run_files import loading


@dataclasses.dataclass(frozen=True)
class Encoder:
    """Images to features, and whose they are.

    Attributes:
        encode: float32[N, S, S, C] in [0, 1] -> float[N, D].
        variables: all that it reads; none of raw pixels.
        description: for the log and the record.
        said: what is to be said of its weights.
        width: D of h; None of raw pixels.
    """

    encode: Callable[[tf.Tensor], tf.Tensor]
    variables: tuple[tf.Variable, ...]
    description: str
    said: tuple[str, ...] = ()
    width: int | None = None

    def sha256(self) -> str:
        """Of the variables as they are now."""
        return hashing.variables_sha256(self.variables)


def open_encoder(
    config: Config,
    *,
    strategy: tf.distribute.Strategy,
    dtype: str,
    with_h: bool = False,
) -> Encoder:
    """What --encoder names, with --ft_proj_selector's features.

    Args:
        config: of the job.
        strategy: where the replicas run.
        dtype: Keras policy of the encoder.
        with_h: whether h stands before these features, float32 both.

    Raises:
        UserError: the checkpoint cannot be read or does not fit.
    """
    if config.eval.encoder == "pixels":
        return Encoder(features.raw_pixels, (), "raw pixels")
    with strategy.scope():
        # As a classifier is built: without what the features do not need.
        model = network.build_model(
            config, num_classes=None, dtype=dtype, train_mode="finetune"
        )
    said = ()
    description = f"random encoder of --seed={config.job.seed}"
    if config.eval.encoder == "checkpoint":
        weights = loading.open_configured(config)
        loaded = loading.load(weights, model)
        said = (loaded.describe(),)
        description = f"{weights.path}, step {weights.step}"
    selector = config.model.ft_proj_selector

    def encode(images):
        hidden = model.encoder(images, training=False)
        found = model.projection_head(hidden, training=False)[selector]
        if not with_h:
            return found
        both = [tf.cast(x, tf.float32) for x in (hidden, found)]
        return tf.concat(both, axis=1)

    width = model.encoder.output_shape[-1]
    return Encoder(encode, tuple(model.variables), description, said, width)


def open_with_projection(
    config: Config, *, strategy: tf.distribute.Strategy, dtype: str
) -> tuple[Encoder, dict[str, slice]]:
    """What --encoder names, with h and z = g(h) side by side.

    Args, Raises: as in `open_encoder`; --ft_proj_selector does not count.

    Returns:
        The encoder, and which of its features are "h" and "z"; of the raw
        pixels, all are "pixels".
    """
    depth = config.model.projection_depth
    found = open_encoder(
        resolve.overlay(config, {"ft_proj_selector": depth}),
        strategy=strategy,
        dtype=dtype,
        with_h=True,
    )
    if found.width is None:
        return found, {"pixels": slice(None)}
    return found, {
        "h": slice(found.width),
        "z": slice(found.width, None),
    }
