"""From a configuration to what trains a model: optimizer and step."""

import functools
from collections.abc import Callable

import tensorflow as tf
import tf_keras as keras

from simclr_tf import schedules
from simclr_tf.build.distilling.lesson import Lesson
from simclr_tf.config import Config
from simclr_tf.losses import named
from simclr_tf.models.simclr import SimClr
from simclr_tf.optim import selection
from simclr_tf.train import precision, self_check
from simclr_tf.train.hosts import Hosts
from simclr_tf.train.micro_batches import MicroBatchTrainer
from simclr_tf.train.plan import Plan
from simclr_tf.train.pretrain import PretrainTrainer
from simclr_tf.train.step import StepTrainer
from simclr_tf.train.supervised import DistillTrainer, SupervisedTrainer


def build_optimizer(
    config: Config, plan: Plan, model: SimClr
) -> keras.optimizers.Optimizer:
    """The optimizer of a model's trainable variables, with its slots."""
    optimizer = selection.make_optimizer(
        config.optim.optimizer,
        learning_rate=schedules.WarmupCosine(
            plan.peak_learning_rate, plan.warmup_steps, plan.train_steps
        ),
        momentum=config.optim.momentum,
        weight_decay=config.optim.weight_decay,
        head=_probe(config, model),
    )
    # Slots made inside the step would trace it twice.
    optimizer.build(model.trainable_variables)
    return optimizer


def decayed_in_loss(config: Config, model: SimClr) -> list[tf.Variable]:
    """The variables whose L2 term is part of the loss."""
    return selection.decayed_in_loss(
        model.trainable_variables,
        config.optim.optimizer,
        head=_probe(config, model),
    )


def _probe(config: Config, model: SimClr) -> list[tf.Variable]:
    """What LARS leaves alone: a linear head, but not a student's.

    Ref: there, the official notebook adapts every kernel. At the rate of LARS,
    a head that is not adapted would be thrown about.
    """
    distills = config.job.train_mode == "distill"
    return [] if distills else model.probe_variables


# Paper: B.10 tunes it among 0, 0.4, 0.8 and 1.6, and doesn't say what is best.
_MARGIN = 0.8


def _contrast(config: Config) -> Callable:
    """The loss of two views' projections."""
    optim = config.optim
    return named.contrast(
        optim.loss,
        temperature=optim.temperature,
        margin=_MARGIN if optim.margin is None else optim.margin,
        semi_hard=optim.semi_hard,
        negative_views=optim.negative_views,
        hidden_norm=optim.hidden_norm,
    )


def check_loss(
    config: Config,
    strategy: tf.distribute.Strategy,
    device_type: str,
    hosts: Hosts,
) -> None:
    """`self_check.check` of the job's loss."""
    self_check.check(
        strategy,
        device_type=device_type,
        hosts=hosts,
        **_of_probe(config),
    )


def loss_check_step(config: Config, num_replicas: int) -> Callable[[], tuple]:
    """What `check_loss` runs on each of R replicas; of `self_check`."""
    on_replica, _ = self_check.replica_step(
        self_check.probe(num_replicas),
        self_check.contrast_of(**_of_probe(config)),
    )
    return on_replica


def _of_probe(config: Config) -> dict[str, str | bool]:
    """What decides the loss of the probe."""
    optim = config.optim
    return {
        "loss": optim.loss,
        "semi_hard": optim.semi_hard,
        "negative_views": optim.negative_views,
    }


def build_trainer(
    config: Config,
    *,
    strategy: tf.distribute.Strategy,
    model: SimClr,
    optimizer: keras.optimizers.Optimizer,
    dataset,
    dtype: str,
    color_view: Callable | None,
    lesson: Lesson | None = None,
) -> StepTrainer:
    """The training step of the job, on a distributed dataset.

    Args:
        config: of the run.
        strategy: where the replicas run.
        model: of `build_model`.
        optimizer: of `build_optimizer`.
        dataset: distributed batches, as `batches.training_dataset` gives them.
        dtype: Keras policy of the encoder.
        color_view: the colours, as `views.color_in_step`; None where the
            batches come with them.
        lesson: what a student learns from, its teacher built; None of others.
    """
    optim, make = config.optim, SupervisedTrainer
    if config.job.train_mode == "pretrain":
        make = functools.partial(
            PretrainTrainer,
            contrast=_contrast(config),
        )
    if lesson is not None:
        make = functools.partial(
            DistillTrainer,
            teacher=lesson.model,
            temperature=lesson.temperature,
            alpha=optim.distill_alpha,
        )
    if optim.micro_batch_size:
        make = functools.partial(
            MicroBatchTrainer,
            micro_batch_size=optim.micro_batch_size,
            **make.keywords,
        )
    return make(
        strategy=strategy,
        model=model,
        optimizer=optimizer,
        dataset=dataset,
        weight_decay=optim.weight_decay,
        decayed=decayed_in_loss(config, model),
        loss_scale=precision.loss_scale(dtype),
        times_input=not config.device.deterministic,
        color_view=color_view,
    )
