"""From epochs and batches to steps: the arithmetic of a run, done once."""

from collections.abc import Mapping

from simclr_tf import schedules
from simclr_tf.config import Config, resolve
from simclr_tf.config.option import MOST
from simclr_tf.errors import UserError
from simclr_tf.train.plan import Plan

# A recipe's warm-up that is longer than the training becomes this part of it.
_WARMUP_OF_SHORT_TRAINING = 10


def make_plan(
    config: Config,
    *,
    num_examples: int,
    num_replicas: int,
    origins: Mapping[str, str] | None = None,
) -> Plan:
    """Derives the steps, and checks what needs the data's size.

    Args:
        config: of the run.
        num_examples: of the training split.
        num_replicas: R.
        origins: where the options came from. A warm-up that nobody typed
            gives way to the length that was asked for.

    Raises:
        UserError: a batch that the replicas cannot share, more than the data
            set holds, or a warm-up that training does not outlast.
    """
    optim, output = config.optim, config.output
    _check_batches(config, num_examples, num_replicas)
    sizes = {
        "num_examples": num_examples,
        "global_batch_size": optim.train_batch_size,
    }
    train_steps = optim.train_steps or schedules.steps_of_training(
        epochs=optim.train_epochs, **sizes
    )
    if train_steps > MOST:
        raise UserError(
            f"--train_epochs={optim.train_epochs:g} of {num_examples} images "
            f"are {train_steps} steps, more than {MOST}, where counters end. "
            "Lower it, or raise --train_batch_size."
        )
    if max(output.profile_steps, default=0) > train_steps:
        raise UserError(
            f"--profile_steps must end by the last step, {train_steps}. "
            f"Received: {','.join(map(str, output.profile_steps))}."
        )
    warmup_steps = schedules.steps_of_warmup(
        epochs=optim.warmup_epochs, **sizes
    )
    typed = (origins or {}).get("warmup_epochs", "flag") == "flag"
    if warmup_steps >= train_steps and not typed:
        warmup_steps = train_steps // _WARMUP_OF_SHORT_TRAINING
    peak = schedules.scaled_learning_rate(
        optim.learning_rate,
        global_batch_size=optim.train_batch_size,
        rule=optim.learning_rate_scaling,
    )
    schedules.WarmupCosine(peak, warmup_steps, train_steps)  # checks them
    steps_per_epoch = num_examples / optim.train_batch_size
    return Plan(
        num_examples=num_examples,
        global_batch_size=optim.train_batch_size,
        train_steps=train_steps,
        warmup_steps=warmup_steps,
        peak_learning_rate=peak,
        checkpoint_steps=output.checkpoint_steps
        or max(1, round(output.checkpoint_epochs * steps_per_epoch)),
        log_steps=output.log_steps
        or min(100, max(10, round(steps_per_epoch / 10))),
    )


def with_fitting_batch(
    config: Config,
    num_examples: int,
    num_replicas: int,
    origins: Mapping[str, str],
) -> Config:
    """The configuration, in which a batch that nobody typed is no larger than
    the data: half of it instead, so that an epoch has steps.

    Args:
        config: of the run.
        num_examples: of the training split.
        num_replicas: R.
        origins: where the options came from.
    """
    batch = config.optim.train_batch_size
    asked = origins.get("train_batch_size", "flag")
    few = max(num_examples // 2, min(2, num_examples))
    few -= few % num_replicas
    if batch <= num_examples or asked == "flag" or not few:
        return config
    print(
        f"Batch: {few}, half of the {num_examples} images of "
        f"--train_split={config.data.train_split}, instead of {batch} "
        f"({asked}).",
        flush=True,
    )
    return resolve.overlay(config, {"train_batch_size": few})


def images_per_moment(config: Config, strategy) -> int | None:
    """How many images BN's moments are of, where they are a replica's own:
    with another number, a run would become another. None: of all."""
    if config.model.global_bn:
        return None
    optim, replicas = config.optim, strategy.num_replicas_in_sync
    return optim.micro_batch_size or optim.train_batch_size // replicas


def _check_batches(config: Config, num_examples: int, num_replicas: int):
    """The replicas can share the batches, and the data set fills one."""
    optim = config.optim
    for name, size in (
        ("train_batch_size", optim.train_batch_size),
        ("eval_batch_size", config.eval.eval_batch_size),
    ):
        if size % num_replicas:
            raise UserError(
                f"--{name} must be divisible by the {num_replicas} replicas. "
                f"Received: {size}."
            )
    per_replica = optim.train_batch_size // num_replicas
    if optim.micro_batch_size and per_replica % optim.micro_batch_size:
        raise UserError(
            "--micro_batch_size must divide the batch of a replica, "
            f"{per_replica}. Received: {optim.micro_batch_size}."
        )
    if num_examples < optim.train_batch_size:
        raise UserError(
            f"--train_batch_size must be at most the {num_examples} images of "
            f"--train_split={config.data.train_split}. Received: "
            f"{optim.train_batch_size}."
        )
