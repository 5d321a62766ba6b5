"""From a configuration to what trains: model, optimizer, training step."""

import functools
from collections.abc import Callable

import tensorflow as tf
import tf_keras as keras

from simclr_tf import schedules
from simclr_tf.config import Config
from simclr_tf.models.resnet import freeze_after_block
from simclr_tf.models.simclr import SimClr, build_simclr
from simclr_tf.optim import policy as optim_policy
from simclr_tf.train import precision
from simclr_tf.train.micro_batches import MicroBatchTrainer
from simclr_tf.train.plan import Plan
from simclr_tf.train.pretrain import PretrainTrainer
from simclr_tf.train.step import StepTrainer
from simclr_tf.train.supervised import SupervisedTrainer


def build_model(
    config: Config, *, num_classes: int | None, dtype: str
) -> SimClr:
    """A new model with the weights that the seed gives it.

    Pretraining has the whole projection head, and a linear head behind a
    stop-gradient. A classifier has the projection layers that its head reads
    (--ft_proj_selector), and is frozen up to --fine_tune_after_block.

    Args:
        config: of the run.
        num_classes: K of the data, None where it has no labels.
        dtype: Keras policy of the encoder.
    """
    model, pretrains = config.model, config.job.train_mode == "pretrain"
    has_head = model.lineareval_while_pretraining or not pretrains
    reads_projection = pretrains or model.ft_proj_selector > 0
    built = build_simclr(
        depth=model.resnet_depth,
        width=model.width_multiplier,
        image_size=config.data.image_size,
        sk_ratio=model.sk_ratio,
        se_ratio=model.se_ratio,
        bn_momentum=model.batch_norm_decay,
        bn_groups="global" if model.global_bn else "replica",
        proj_head_mode=model.proj_head_mode if reads_projection else "none",
        proj_out_dim=model.proj_out_dim,
        num_proj_layers=model.num_proj_layers,
        num_classes=num_classes if has_head else None,
        selector=model.ft_proj_selector,
        detach_head=pretrains,
        zero_init_head=model.zero_init_logits_layer and not pretrains,
        dtype=dtype,
        seed=config.job.seed,
    )
    if not pretrains:
        built.freeze_unused_projection()
    if config.job.train_mode == "finetune":
        freeze_after_block(built.encoder, model.fine_tune_after_block)
    return built


def build_optimizer(
    config: Config, plan: Plan, model: SimClr
) -> keras.optimizers.Optimizer:
    """The optimizer of a model's trainable variables, with its slots."""
    optimizer = optim_policy.make_optimizer(
        config.optim.optimizer,
        learning_rate=schedules.WarmupCosine(
            plan.peak_learning_rate, plan.warmup_steps, plan.train_steps
        ),
        momentum=config.optim.momentum,
        weight_decay=config.optim.weight_decay,
        head=model.probe_variables,
    )
    # Slots made inside the step would trace it twice.
    optimizer.build(model.trainable_variables)
    return optimizer


def decayed_in_loss(config: Config, model: SimClr) -> list[tf.Variable]:
    """The variables whose L2 term is part of the loss."""
    return optim_policy.decayed_in_loss(
        model.trainable_variables,
        config.optim.optimizer,
        head=model.probe_variables,
    )


def build_trainer(
    config: Config,
    *,
    strategy: tf.distribute.Strategy,
    model: SimClr,
    optimizer: keras.optimizers.Optimizer,
    dataset,
    dtype: str,
    color_view: Callable | None,
) -> StepTrainer:
    """The training step of the job, on a distributed dataset.

    Args:
        config: of the run.
        strategy: where the replicas run.
        model: of `build_model`.
        optimizer: of `build_optimizer`.
        dataset: distributed batches, as `inputs.training_dataset` gives them.
        dtype: Keras policy of the encoder.
        color_view: the colours, as `inputs.color_in_step`; None where the
            batches come with them.
    """
    optim, make = config.optim, SupervisedTrainer
    if config.job.train_mode == "pretrain":
        make = functools.partial(
            PretrainTrainer,
            temperature=optim.temperature,
            hidden_norm=optim.hidden_norm,
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


def frozen_variables(model: SimClr, config: Config) -> list[tf.Variable]:
    """Those that training must leave as they are, BN's averages included."""
    if config.job.train_mode != "finetune":
        return []
    stages = model.encoder.stages[: config.model.fine_tune_after_block + 1]
    return [variable for stage in stages for variable in stage.variables]
