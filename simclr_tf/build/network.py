"""From a configuration to its model."""

import tensorflow as tf

from simclr_tf.config import Config
from simclr_tf.models.resnet import freeze_after_block, resnet
from simclr_tf.models.simclr import SimClr, build_simclr


def build_model(
    config: Config,
    *,
    num_classes: int | None,
    dtype: str,
    train_mode: str | None = None,
) -> SimClr:
    """A new model with the weights that the seed gives it.

    Pretraining has the whole projection head, and a linear head behind a
    stop-gradient. A classifier has the projection layers that its head reads
    (--ft_proj_selector), and is frozen up to --fine_tune_after_block.

    Args:
        config: of the run.
        num_classes: K of the data, None where it has no labels.
        dtype: Keras policy of the encoder.
        train_mode: for which; None: --train_mode.
    """
    train_mode = train_mode or config.job.train_mode
    model, pretrains = config.model, train_mode == "pretrain"
    has_head = model.lineareval_while_pretraining or not pretrains
    reads_projection = pretrains or model.ft_proj_selector > 0
    encoder = resnet(
        depth=model.resnet_depth,
        width=model.width_multiplier,
        image_size=config.data.image_size,
        sk_ratio=model.sk_ratio,
        se_ratio=model.se_ratio,
        bn_momentum=model.batch_norm_decay,
        bn_groups="global" if model.global_bn else "replica",
        dtype=dtype,
        seed=config.job.seed,
        num_channels=config.model.num_channels,
    )
    built = build_simclr(
        encoder,
        proj_head_mode=model.proj_head_mode if reads_projection else "none",
        proj_out_dim=model.proj_out_dim,
        num_proj_layers=model.num_proj_layers,
        num_classes=num_classes if has_head else None,
        selector=model.ft_proj_selector,
        detach_head=pretrains,
        zero_init_head=model.zero_init_logits_layer and not pretrains,
    )
    if not pretrains:
        built.freeze_unused_projection()
    if train_mode == "finetune":
        freeze_after_block(built.encoder, model.fine_tune_after_block)
    return built


def frozen_variables(model: SimClr, config: Config) -> list[tf.Variable]:
    """Those that training must leave as they are, BN's averages included."""
    if config.job.train_mode != "finetune":
        return []  # of a student, its teacher is, which is another model
    stages = model.encoder.stages[: config.model.fine_tune_after_block + 1]
    return [variable for stage in stages for variable in stage.variables]
