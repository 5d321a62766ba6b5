"""Options: how weights move."""

from simclr_tf.config.job_kinds import Job
from simclr_tf.config.option import Role, option, section

# The loss compares every view with every other: 4e12 pairs in such a batch.
MOST_IN_A_BATCH = 2**20
_MOST_EPOCHS = 1e6


@section
class OptimConfig:
    """Objective, optimiser and length of training."""

    loss: str = option(
        "nt_xent",
        "What pretraining makes small: nt_xent, or one of those that the paper "
        "compares it with (Table 2).",
        role=Role.OBJECTIVE,
        jobs=Job.PRETRAIN,
        choices=("nt_xent", "nt_logistic", "margin_triplet"),
    )
    semi_hard: bool = option(
        False,
        "nt_logistic, margin_triplet: an anchor keeps one negative, the most "
        "similar of those that are less similar than its positive, by less "
        "than the margin.",
        role=Role.OBJECTIVE,
        jobs=Job.PRETRAIN,
    )
    margin: float | None = option(
        None,
        "m of margin_triplet and of semi-hard negatives. Unset: 0.8.",
        role=Role.OBJECTIVE,
        jobs=Job.PRETRAIN,
        at_least=0,
        at_most=1e6,
    )
    negative_views: str = option(
        "both",
        "Where an anchor's negatives come from: both views, or only the "
        "other one, which its positive is of.",
        role=Role.OBJECTIVE,
        jobs=Job.PRETRAIN,
        choices=("both", "other"),
    )
    temperature: float = option(
        0.1,
        "tau of NT-Xent and NT-Logistic.",
        role=Role.OBJECTIVE,
        jobs=Job.PRETRAIN,
        # Cosines are known to 6e-8 in float32, and exp(cosine / tau) to the
        # same: below, the loss sees their rounding only; above, all are one.
        at_least=1e-6,
        at_most=1e6,
    )
    hidden_norm: bool = option(
        True,
        "l2-normalise z before the loss.",
        role=Role.OBJECTIVE,
        jobs=Job.PRETRAIN,
    )
    distill_temperature: float | None = option(
        None,
        "tau of distillation: teacher's and student's logits are divided by "
        "it. Unset: SimCLRv2's, 0.1 where they are of one architecture, else "
        "1.",
        role=Role.OBJECTIVE,
        jobs=Job.DISTILL,
        at_least=1e-6,
        at_most=1e6,
    )
    distill_alpha: float = option(
        1.0,
        "alpha of distillation: the teacher's share of the loss. Below 1, the "
        "rest is the cross entropy of the images that have labels.",
        role=Role.OBJECTIVE,
        jobs=Job.DISTILL,
        above=0,
        at_most=1,
    )
    optimizer: str = option(
        "lars",
        "lars, momentum (Nesterov SGD) or adam.",
        role=Role.SCHEDULE,
        jobs=Job.TRAINING,
        choices=("lars", "momentum", "adam"),
    )
    learning_rate: float = option(
        0.3,
        "Base rate, before scaling with the batch.",
        role=Role.SCHEDULE,
        jobs=Job.TRAINING,
        # Smaller ones are 0 in float32, in steps of the warm-up; larger ones
        # overflow it within a few steps, whatever the optimizer.
        at_least=1e-30,
        at_most=1e6,
    )
    learning_rate_scaling: str = option(
        "linear",
        "Peak rate: base * batch / 256, or base * sqrt(batch).",
        role=Role.SCHEDULE,
        jobs=Job.TRAINING,
        choices=("linear", "sqrt"),
    )
    warmup_epochs: float = option(
        10.0,
        "Epochs of linear warm-up.",
        role=Role.SCHEDULE,
        jobs=Job.TRAINING,
        at_least=0,
        at_most=_MOST_EPOCHS,
    )
    weight_decay: float = option(
        1e-6,
        "Factor of the L2 penalty on kernels.",
        role=Role.SCHEDULE,
        jobs=Job.TRAINING,
        at_least=0,
        at_most=1e6,  # beyond, the penalty of the first weights overflows
    )
    momentum: float = option(
        0.9,
        "Momentum of the optimizers lars and momentum.",
        role=Role.SCHEDULE,
        jobs=Job.TRAINING,
        at_least=0,
        below=1,
    )
    train_batch_size: int = option(
        4096,
        "Examples per step, over all replicas.",
        role=Role.SCHEDULE,
        jobs=Job.TRAINING | Job.TRANSFER_FINETUNE,
        official=512,
        at_least=1,
        at_most=MOST_IN_A_BATCH,
    )
    micro_batch_size: int = option(
        0,
        "Examples that go through the encoder at a time, on each replica, with "
        "BN statistics of their own; the loss is over the whole batch all the "
        "same. 0: all of the replica's.",
        role=Role.OBJECTIVE,
        jobs=Job.PRETRAIN,
        at_least=0,
    )
    train_epochs: float = option(
        100.0,
        "Length of training in epochs.",
        role=Role.SCHEDULE,
        jobs=Job.TRAINING,
        at_least=0,
        at_most=_MOST_EPOCHS,
    )
    train_steps: int = option(
        0,
        "Length of training in steps; overrides the epochs. 0: they decide.",
        role=Role.SCHEDULE,
        jobs=Job.TRAINING | Job.TRANSFER_FINETUNE,
        at_least=0,
    )
