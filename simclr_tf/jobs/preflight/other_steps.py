"""Part of the preflight: what a job runs on its devices beside the training.

Before training the check of the loss; beside it and afterwards, what
`simclr_tf.jobs.result` and --knn_eval score the weights by.
"""

import dataclasses
import functools
from collections.abc import Callable, Iterable

import tensorflow as tf

from simclr_tf.build.core_step import CoreStep
from simclr_tf.config import Config
from simclr_tf.evaluation import features
from simclr_tf.train import self_check


@dataclasses.dataclass(frozen=True)
class OtherStep:
    """A program of a job's replicas, for a compiler.

    Attributes:
        name: in words.
        step: per-replica batch -> what `CoreStep.step` gives.
        per_replica_batch_size: N.
        resident_bytes: of a core's memory, what the job keeps there that is
            no argument of this program.
        flag: of the option that sets the batch; None where nothing does.
        crosses_replicas: whether replicas must meet in it.
    """

    name: str
    step: Callable
    per_replica_batch_size: int
    resident_bytes: int = 0
    flag: str | None = None
    crosses_replicas: bool = False


def of_job(
    config: Config, core: CoreStep, *, num_replicas: int, is_scored: bool
) -> list[OtherStep]:
    """What --mode=train_then_eval runs, in the order in which it is met.

    Args:
        config, core, num_replicas: of the job.
        is_scored: whether there is a split to score the weights on.
    """
    model = core.model
    kept = [*core.optimizer.variables]
    if core.lesson:
        kept += core.lesson.model.variables
    inference = functools.partial(
        _inference, config, core, num_replicas=num_replicas
    )
    steps = []
    if num_replicas > 1:
        steps.append(
            OtherStep(
                "check of the loss",
                core.loss_check_step,
                self_check.ROWS,
                _bytes([*model.variables, *kept]),
                crosses_replicas=True,
            )
        )
    if is_scored and model.probe_variables:
        encode = features.logits_of(model)
        steps.append(inference("evaluation step", encode, kept))
    if encode := _encode(config, core, is_scored=is_scored):
        if is_scored and "random" in _regressed(config):
            kept = [*kept, *model.variables]  # the untrained one's
        steps.append(inference("feature step", encode, kept))
    return steps


def _encode(config: Config, core: CoreStep, *, is_scored: bool):
    """The largest of the programs that extract features; None without."""
    if config.job.train_mode != "pretrain":
        return None
    regressed = _regressed(config) if is_scored else set()
    if regressed & {"features", "projections"}:
        return features.h_and_z_of(core.model)
    pictured = config.data.dataset == "folder"
    if (
        "random" in regressed
        or pictured
        or (is_scored and config.eval.knn_eval)
    ):
        return features.h_of(core.model)
    return None


def _regressed(config: Config) -> set[str]:
    """What the regressions on few labels are fitted on."""
    asked = config.eval
    return set(asked.linear_eval_labels and asked.linear_eval_of.split(","))


def _inference(config, core, name, encode, kept, *, num_replicas):
    return OtherStep(
        name,
        functools.partial(core.inference_step, encode),
        config.eval.eval_batch_size // num_replicas,
        _bytes(kept),
        "eval_batch_size",
    )


def _bytes(variables: Iterable[tf.Variable]) -> int:
    return sum(v.shape.num_elements() * v.dtype.size for v in variables)
