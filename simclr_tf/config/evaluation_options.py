"""Options: how weights are scored."""

from simclr_tf.config import job_kinds
from simclr_tf.config.job_kinds import Job
from simclr_tf.config.option import Role, option, section
from simclr_tf.config.training_options import MOST_IN_A_BATCH

# What --linear_eval_of may name.
FEW_LABELS_OF = ("features", "projections", "random", "pixels")


@section
class EvalConfig:
    """How a run is scored."""

    eval_batch_size: int = option(
        256,
        "Examples per evaluation step.",
        role=Role.MACHINE,
        jobs=Job.TRAINING | Job.ON_ENCODER,
        at_least=1,
        at_most=MOST_IN_A_BATCH,
    )
    eval_steps: int = option(
        0,
        "Evaluation steps; 0: the whole split.",
        role=Role.EVALUATION,
        jobs=Job.TRAINING,
        at_least=0,
    )
    eval_name: str | None = option(
        None,
        "Name of the evaluation summaries.",
        role=Role.LOGGING,
        jobs=Job.TRAINING,
    )
    eval_timeout_seconds: float = option(
        7200.0,
        "--mode=eval gives up when no new checkpoint appears for so many "
        "seconds.",
        role=Role.LOGGING,
        jobs=Job.FOLLOW,
        above=0,
        at_most=1e9,  # 30 years; clocks count no further
    )
    linear_eval_labels: tuple[int, ...] = option(
        (),
        "After training, fit logistic regressions on so many labels; several "
        "numbers, with commas.",
        role=Role.EVALUATION,
        jobs=Job.PRETRAIN,
        at_least=1,
    )
    linear_eval_of: str = option(
        "features,random,pixels",
        "What the regressions of --linear_eval_labels are fitted on, with "
        "commas: features (h), projections (z), random (h of an encoder with "
        "the weights that --seed gives), pixels.",
        role=Role.EVALUATION,
        jobs=Job.PRETRAIN,
    )
    protocol: str = option(
        "logistic",
        "What --mode=evaluate does with the encoder: probe (linear head by "
        "SGD on augmented images), logistic (regression on features), knn, "
        "transfer_linear and transfer_finetune (the paper's 12 data sets), "
        "knowledge (MLPs on h and g(h): what was done to an image), own_head "
        "(the checkpoint's linear head as it is; nothing is fitted).",
        role=Role.JOB,
        jobs=Job.EVALUATE,
        choices=tuple(job_kinds.PROTOCOLS),
    )
    encoder: str = option(
        "checkpoint",
        "What is scored or embedded: the checkpoint's encoder, the random one "
        "of its shape that --seed gives, or the raw pixels. Without "
        "--checkpoint, flags and recipe give the shape.",
        role=Role.FEATURES | Role.EVALUATION,
        jobs=Job.ON_ENCODER,
        choices=("checkpoint", "random", "pixels"),
    )
    holdout_fraction: float = option(
        0.1,
        "Share of the training split that strengths of regularisation are "
        "chosen on, where a data set has no validation split.",
        role=Role.EVALUATION,
        jobs=Job.LOGISTIC,
        above=0,
        below=1,
    )
    l2: float | None = option(
        None,
        "Strength of regularisation: l2 / 2 * ||W||^2 beside the sum of the "
        "losses. Unset: chosen among the paper's 45 on held-out labels, which "
        "takes 46 regressions.",
        role=Role.EVALUATION,
        jobs=Job.LOGISTIC,
        above=0,
        at_most=1e12,
    )
    sweep_points: tuple[int, ...] = option(
        (),
        "transfer_finetune: which settings of the grid to try, by number; "
        "empty: all.",
        role=Role.MACHINE,
        jobs=Job.TRANSFER_FINETUNE,
        at_least=0,
    )
    embed_queries: int = option(
        8,
        "How many images neighbours.png shows beside their nearest.",
        role=Role.LOGGING,
        jobs=Job.EMBED,
        at_least=1,
        at_most=1000,  # a row of the picture each
    )
    knn_eval: bool = option(
        False,
        "While pretraining, score the encoder at every checkpoint by its "
        "nearest neighbours.",
        role=Role.LOGGING,
        jobs=Job.PRETRAIN,
    )
    linear_eval_draws: int = option(
        10,
        "How many class-balanced draws of labels the regressions of "
        "--linear_eval_labels are averaged over.",
        role=Role.EVALUATION,
        jobs=Job.PRETRAIN,
        at_least=1,
        at_most=10_000,  # a regression each, of three encoders
    )
