"""A job's steps from its configuration: no devices, no data."""

import functools
from collections.abc import Callable, Mapping

import tensorflow as tf

from simclr_tf import distributed
from simclr_tf.build import network, training, views
from simclr_tf.build.distilling.lesson import Lesson
from simclr_tf.build.schedule import make_plan
from simclr_tf.config import Config
from simclr_tf.evaluation import features
from simclr_tf.models.flops import training_flops_of_view
from simclr_tf.models.simclr import SimClr
from simclr_tf.train import micro_batches, precision
from simclr_tf.train.step import StepTrainer


class CoreStep:
    """The steps that one of R TPU cores would run, for a compiler.

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
        lesson: of a student, its teacher built; None of others.
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
        self.lesson = None
        if config.job.train_mode == "distill":
            # --model_dir may be where nobody here can look.
            self.lesson = Lesson(config, None)
            self.lesson.build(dtype)
            num_classes = self.lesson.classes.count
        self.model = network.build_model(
            config, num_classes=num_classes, dtype=dtype
        )
        self.optimizer = training.build_optimizer(config, self.plan, self.model)
        self.dtype = dtype
        self.trainer = self.make_trainer(config)

    @property
    def flops_per_example(self) -> int:
        """`training_flops_of_view` of all views, the teacher's with them."""
        of_view = sum(map(training_flops_of_view, self._networks))
        return of_view * self.views_per_example

    @property
    def num_weights(self) -> int:
        """How many numbers a step reads, but for the optimizer's."""
        return sum(each.count_params() for each in self._networks)

    @property
    def _networks(self) -> list[SimClr]:
        teacher = [] if self.lesson is None else [self.lesson.model]
        return [self.model, *teacher]

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
            lesson=self.lesson,
            color_view=None
            if self.color_on_host
            else views.augmentation(config).color_view,
        )

    def step(self, per_replica_batch_size: int):
        """The training step of a replica.

        Returns:
            A function with jit_compile=True of (replica's index, batch...),
            and its arguments' `tf.TensorSpec`s.
        """
        return self._program(
            self.trainer.replica_step, self._batch_specs(per_replica_batch_size)
        )

    def inference_step(self, encode: Callable, per_replica_batch_size: int):
        """What `evaluation.features` runs on a replica.

        Args:
            encode: of `features.extractor`.
            per_replica_batch_size: N.

        Returns:
            As `step`.
        """
        return self._program(
            functools.partial(features.on_replica, encode),
            self._evaluation_specs(per_replica_batch_size),
        )

    def loss_check_step(self, per_replica_batch_size: int):
        """What the check of the loss before training runs on a replica.

        Args:
            per_replica_batch_size: the check has rows of its own.

        Returns:
            As `step`.
        """
        del per_replica_batch_size
        on_replica = training.loss_check_step(self._config, self._num_replicas)
        return self._program(lambda _: on_replica(), {})

    def _program(self, function: Callable, batch: dict[str, tf.TensorSpec]):
        """A replica's function of a batch, as the program of one of R."""

        def program(index, *arrays):
            with distributed.one_of(self._num_replicas, index):
                return function(dict(zip(batch, arrays, strict=True)))

        return (
            tf.function(program, jit_compile=True, autograph=False),
            [tf.TensorSpec([], tf.int32, "replica"), *batch.values()],
        )

    def _batch_specs(self, N: int) -> dict[str, tf.TensorSpec]:
        """As `data.pipeline` makes batches of training, on the device."""
        S = self._config.data.image_size
        C = self._config.model.num_channels
        P = views.augmentation(self._config).num_parameters
        pixels = tf.float32 if self.color_on_host else tf.uint8
        specs = {"label": (self._label_shape(N), tf.int64)}
        for view in range(self.views_per_example):
            specs[f"images_{view}"] = ([N, S, S, C], pixels)
            if not self.color_on_host:
                specs[f"parameters_{view}"] = ([N, P], tf.float32)
        return _named(specs)

    def _evaluation_specs(self, N: int) -> dict[str, tf.TensorSpec]:
        """As `data.pipeline` makes batches of evaluation."""
        S = self._config.data.image_size
        C = self._config.model.num_channels
        return _named(
            {
                "images": ([N, S, S, C], tf.uint8),
                "label": (self._label_shape(N), tf.int64),
                "id": ([N], tf.int64),
                "mask": ([N], tf.bool),
            }
        )

    def _label_shape(self, N: int) -> list[int]:
        several = self._config.data.several_labels
        return [N, self._num_classes] if several else [N]


def _named(specs) -> dict[str, tf.TensorSpec]:
    return {
        name: tf.TensorSpec(shape, dtype, name)
        for name, (shape, dtype) in specs.items()
    }
