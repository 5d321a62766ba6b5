"""A job's training step from its configuration: no devices, no data."""

from collections.abc import Mapping

import tensorflow as tf

from simclr_tf import distributed
from simclr_tf.build import network, training, views
from simclr_tf.build.schedule import make_plan
from simclr_tf.config import Config
from simclr_tf.train import micro_batches, precision
from simclr_tf.train.step import StepTrainer


class CoreStep:
    """The step that one of R TPU cores would run, for a compiler.

    Model, optimizer and step are made as a run makes them.

    Args:
        config: of the job.
        num_examples: of the training split.
        num_classes: K, or None without labels.
        num_replicas: R.
        origins: where the options came from.

    Attributes:
        plan: steps and rates of the job.
        model: of which it trains the weights.
        optimizer: of its trainable variables.
        trainer: whose step it is.
        dtype: Keras policy of the encoder.
        color_on_host: whether views come with their colours.

    Raises:
        UserError: something the user can mend; the message names the flag.
    """

    views_per_example = views.NUM_VIEWS

    def __init__(
        self,
        config: Config,
        *,
        num_examples: int,
        num_classes: int | None,
        num_replicas: int,
        origins: Mapping[str, str] | None = None,
    ):
        if config.optim.micro_batch_size:
            micro_batches.check_place(tf.distribute.get_strategy(), "TPU")
        self._config = config
        self._num_replicas = num_replicas
        self._num_classes = num_classes
        self.plan = make_plan(
            config,
            num_examples=num_examples,
            num_replicas=num_replicas,
            origins=origins,
        )
        self.color_on_host = views.color_on_host(config, "TPU")
        dtype = precision.dtype_policy(config.model.mixed_precision, "TPU")
        if config.job.train_mode != "pretrain":
            self.views_per_example = 1
        self.model = network.build_model(
            config, num_classes=num_classes, dtype=dtype
        )
        self.optimizer = training.build_optimizer(config, self.plan, self.model)
        self.dtype = dtype
        self.trainer = self.make_trainer(config)

    def make_trainer(self, config: Config) -> StepTrainer:
        """A trainer of the same weights by the same optimizer.

        Args:
            config: the job's, but perhaps with micro-batches.
        """
        return training.build_trainer(
            config,
            strategy=tf.distribute.get_strategy(),
            model=self.model,
            optimizer=self.optimizer,
            dataset=None,
            dtype=self.dtype,
            color_view=None
            if self.color_on_host
            else views.augmentation(config).color_view,
        )

    def step(self, per_replica_batch_size: int):
        """The step of a replica.

        Returns:
            A function with jit_compile=True of (replica's index, batch...),
            and its arguments' `tf.TensorSpec`s.
        """
        batch = self._batch_specs(per_replica_batch_size)

        def step(index, *arrays):
            with distributed.one_of(self._num_replicas, index):
                self.trainer.replica_step(dict(zip(batch, arrays, strict=True)))

        return (
            tf.function(step, jit_compile=True, autograph=False),
            [tf.TensorSpec([], tf.int32, "replica"), *batch.values()],
        )

    def _batch_specs(self, N: int) -> dict[str, tf.TensorSpec]:
        """As `data.pipeline` makes batches, on the device."""
        S = self._config.data.image_size
        C = self._config.model.num_channels
        P = views.augmentation(self._config).num_parameters
        pixels = tf.float32 if self.color_on_host else tf.uint8
        label = [N]
        if self._config.data.several_labels:
            label = [N, self._num_classes]
        specs = {"label": (label, tf.int64)}
        for view in range(self.views_per_example):
            specs[f"images_{view}"] = ([N, S, S, C], pixels)
            if not self.color_on_host:
                specs[f"parameters_{view}"] = ([N, P], tf.float32)
        return {
            name: tf.TensorSpec(shape, dtype, name)
            for name, (shape, dtype) in specs.items()
        }
