"""Part of the preflight: what a TPU would compute, computed here.

The step that goes to the TPU's compiler is run by another compiler on virtual
devices, and its losses, weights, statistics and slots are compared with those
of one device.
"""

import dataclasses
import math
from collections.abc import Callable, Mapping
from typing import Any

from simclr_tf import schedules
from simclr_tf.build.core_step import CoreStep
from simclr_tf.build.rehearsal import Rehearsal
from simclr_tf.config import Config
from simclr_tf.train import precision
from simclr_tf.train.plan import Plan

# FLOPs of all steps: what takes seconds and what takes minutes on two cores.
_SMALL = 2e11
_MOST = 1e12
# More devices than that wait for one another on few cores.
_MOST_REPLICAS = 16
_LEAST_REPLICAS = 2
# Fewer examples on a replica would be no batch.
_LEAST_EXAMPLES = 4
# Each replica has its own copy of weights and slots, before and after a step.
_MOST_WEIGHTS = 5e8


@dataclasses.dataclass(frozen=True)
class Size:
    """Of a rehearsal.

    Attributes:
        num_replicas: R.
        per_replica_batch_size: N.
        whole: whether that is the job's own size.
    """

    num_replicas: int
    per_replica_batch_size: int
    whole: bool


def size(
    *,
    num_replicas: int,
    per_replica_batch_size: int,
    flops_per_example: float,
    num_weights: int = 0,
    most: float = _MOST,
) -> Size:
    """The largest rehearsal of a job that two cores can carry.

    Args:
        num_replicas, per_replica_batch_size: of the job.
        flops_per_example: over all steps.
        num_weights: of the model.
        most: FLOPs.
    """
    R, least = num_replicas, min(per_replica_batch_size, _LEAST_EXAMPLES)
    while R > _LEAST_REPLICAS and (
        R > _MOST_REPLICAS
        or R * least * flops_per_example > most
        or R * num_weights > _MOST_WEIGHTS
    ):
        R = max(_LEAST_REPLICAS, R // 2)
    carried = math.floor(most / (R * flops_per_example))
    N = min(max(carried, least), per_replica_batch_size)
    return Size(R, N, (num_replicas, per_replica_batch_size) == (R, N))


def rehearse(
    config: Config,
    core: CoreStep,
    perform: Callable,
    *,
    num_examples: int,
    num_classes: int | None,
    num_replicas: int,
    origins: Mapping[str, str],
    fits: bool,
) -> dict[str, Any] | None:
    """Rehearses a job, where that was asked for or costs seconds.

    Args:
        config, core, num_examples, num_classes, num_replicas, origins: of the
            job.
        perform: `tpu.rehearsal.perform`.
        fits: whether the job does; one that doesn't is not rehearsed unless
            asked for.

    Returns:
        What `preflight_report.as_json` takes, and all figures; None where
        nothing was to be done.
    """
    told = config.preflight
    how_large = size(
        num_replicas=num_replicas,
        per_replica_batch_size=config.optim.train_batch_size // num_replicas,
        flops_per_example=core.flops_per_example * told.rehearse_steps,
        num_weights=core.num_weights,
        most=_MOST if told.rehearse else _SMALL,
    )
    if told.rehearse is False or (
        told.rehearse is None and not (how_large.whole and fits)
    ):
        return None
    smaller = _of_size(config, how_large, core.plan)
    print(_announcement(how_large, num_replicas, config), flush=True)
    facts = {
        "num_examples": num_examples,
        "num_classes": num_classes,
        "num_replicas": how_large.num_replicas,
        "num_steps": told.rehearse_steps,
        "origins": origins,
    }
    own = config.model.mixed_precision
    dtypes = {"float32": "none"}
    if (name := precision.dtype_policy(own, "TPU")) != "float32":
        dtypes[name.removeprefix("mixed_")] = own
    found, one_device = {}, []
    for name, mixed_precision in dtypes.items():
        model = dataclasses.replace(
            smaller.model, mixed_precision=mixed_precision
        )
        rehearsal = Rehearsal(
            dataclasses.replace(smaller, model=model), **facts
        )
        found[name] = _of_one_dtype(rehearsal, perform, one_device)
    return _report(found, how_large, num_replicas, config)


def _of_one_dtype(rehearsal: Rehearsal, perform, one_device) -> dict[str, Any]:
    """What came of it; `one_device` has the traces of the dtypes before."""
    performed = perform(
        rehearsal.function,
        rehearsal.specs,
        rehearsal.steps,
        rehearsal.variables,
        rehearsal.watched,
    )
    if performed.reason:
        return {"reason": performed.reason, "quantities": []}
    expected = rehearsal.on_one_device()
    quantities = rehearsal.compare(
        rehearsal.on_replicas(
            performed.watched, performed.after, performed.differing
        ),
        expected,
        [*rehearsal.roundings(), *one_device],
    )
    one_device.append(expected)
    return {
        "reason": None,
        "quantities": [
            {
                **dataclasses.asdict(q),
                # JSON knows no NaN.
                "error": q.error if math.isfinite(q.error) else None,
                "agrees": q.agrees,
                "said": q.describe(),
            }
            for q in quantities
        ],
        "compile_seconds": performed.compile_seconds,
        "run_seconds": performed.run_seconds,
    }


def _of_size(config: Config, how_large: Size, plan: Plan) -> Config:
    """The job's configuration with the batch of a rehearsal, and its rate."""
    if how_large.whole:
        return config
    R = how_large.num_replicas
    batch_size = R * how_large.per_replica_batch_size
    per_rate = schedules.scaled_learning_rate(
        1.0,
        global_batch_size=batch_size,
        rule=config.optim.learning_rate_scaling,
    )
    optim = dataclasses.replace(
        config.optim,
        train_batch_size=batch_size,
        learning_rate=plan.peak_learning_rate / per_rate,
        # In epochs, both would be other numbers of steps.
        train_steps=plan.train_steps,
        warmup_epochs=0.0,
    )
    evaluation = dataclasses.replace(config.eval, eval_batch_size=R)
    return dataclasses.replace(config, optim=optim, eval=evaluation)


def _announcement(how_large: Size, num_replicas: int, config: Config) -> str:
    text = (
        f"Rehearsing {config.preflight.rehearse_steps} steps on "
        f"{_words(how_large)}, by XLA on the CPU"
    )
    return (
        text if how_large.whole else f"{text}; {_of_job(num_replicas, config)}"
    )


def _words(how_large: Size) -> str:
    R, N = how_large.num_replicas, how_large.per_replica_batch_size
    return f"{R} replicas x {N} examples"


def _of_job(num_replicas: int, config: Config) -> str:
    N = config.optim.train_batch_size // num_replicas
    return f"smaller than the job, {num_replicas} x {N}"


def _report(found, how_large, num_replicas, config) -> dict[str, Any]:
    lines = [("rehearsal", _words(how_large))]
    if not how_large.whole:
        lines[0] = (
            "rehearsal",
            f"{_words(how_large)}; {_of_job(num_replicas, config)}",
        )
    for name, of_dtype in found.items():
        lines += [(f"  in {name}", text) for text in _texts(of_dtype)]
    failed = any(each["reason"] for each in found.values())
    off = [
        q["name"]
        for each in found.values()
        for q in each["quantities"]
        if not q["agrees"]
    ]
    return {
        "same": False if off else None if failed else True,
        "off": list(dict.fromkeys(off)),
        "lines": lines,
        "num_replicas": how_large.num_replicas,
        "per_replica_batch_size": how_large.per_replica_batch_size,
        "whole": how_large.whole,
        "steps": config.preflight.rehearse_steps,
        "dtypes": found,
    }


def _texts(of_dtype: Mapping[str, Any]) -> list[str]:
    """Lines on one dtype: what is off, and then how far all else is."""
    if of_dtype["reason"]:
        return [f"could not be run: {of_dtype['reason']}"]
    off, agreeing = [], []
    for each in of_dtype["quantities"]:
        if each["agrees"]:
            agreeing.append(f"{each['name']} {each['error']:.1e}")
        else:
            off.append(f"OFF: {each['said']}")
    return [*off, f"agree within {', '.join(agreeing)}"]
