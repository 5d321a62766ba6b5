"""The encoder that an evaluation or an embedding job works with."""

import dataclasses
from collections.abc import Callable

import tensorflow as tf

from simclr_tf import hashing
from simclr_tf.build import network
from simclr_tf.config import Config
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
    """

    encode: Callable[[tf.Tensor], tf.Tensor]
    variables: tuple[tf.Variable, ...]
    description: str
    said: tuple[str, ...] = ()

    def sha256(self) -> str:
        """Of the variables as they are now."""
        return hashing.variables_sha256(self.variables)


def open_encoder(
    config: Config, *, strategy: tf.distribute.Strategy, dtype: str
) -> Encoder:
    """What --encoder names, with --ft_proj_selector's features.

    Args:
        config: of the job.
        strategy: where the replicas run.
        dtype: Keras policy of the encoder.

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
        return model.projection_head(hidden, training=False)[selector]

    return Encoder(encode, tuple(model.variables), description, said)
