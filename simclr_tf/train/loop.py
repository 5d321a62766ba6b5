"""The outer loop: inner loops between the points where something is due."""

import contextlib
import time
from collections.abc import Callable, Mapping
from typing import Protocol

import tensorflow as tf

from simclr_tf.errors import Halted, Stopped
from simclr_tf.train.hosts import Hosts
from simclr_tf.train.plan import Plan
from simclr_tf.train.profiling import Profiler
from simclr_tf.train.progress import Progress
from simclr_tf.train.startup_clock import StartupClock
from simclr_tf.train.stopping import StopRequest

# Python handles a signal when the inner loop returns: it is kept this short.
_LOOP_SECONDS = 2.0


class Trainer(Protocol):
    """What the loop needs of `pretrain.PretrainTrainer`."""

    global_step: int
    first_bad_step: int | None

    def train(self, num_steps: tf.Tensor) -> Mapping[str, float | None]: ...

    def take_means(self) -> dict[str, float]: ...


def train(
    trainer: Trainer,
    plan: Plan,
    *,
    save: Callable[[int], object],
    log: Callable[[int, Mapping[str, float]], None],
    check: Callable[[], None],
    progress: Progress,
    stop: StopRequest,
    startup: StartupClock,
    profiler: Profiler,
    hosts: Hosts | None = None,
) -> None:
    """Trains up to exactly `plan.train_steps`.

    Args:
        trainer: at the step to continue from.
        plan: when to log, save and end.
        save: called with the step at every checkpoint, at the end, and before
            a signal ends the run.
        log: called with the step and its scalars.
        check: called after every inner loop; raises to halt the run.
        progress: shown at every log point.
        stop: asked after every inner loop, and after saving.
        startup: told of the first step, and shown.
        profiler: told before and after every inner loop, which it may bound.
        hosts: the processes that train in step, and must do so for equally
            many steps: the slowest one's clock counts, and anyone's signal.

    Raises:
        Halted: the loss is not finite. Nothing is saved after that.
        Stopped: a signal arrived, in the first inner loop or after it; then
            everything is saved.
    """
    step = trainer.global_step
    steps = 1  # the first inner loop traces and compiles; it is timed apart
    seconds_per_step = None
    with contextlib.ExitStack() as unbroken:
        while step < plan.train_steps:
            steps = min(
                steps,
                _steps_until_due(step, plan),
                profiler.steps_until_due(step),
            )
            profiler.before(step)
            started = time.monotonic()
            waited = trainer.train(tf.constant(steps, tf.int32))["wait_seconds"]
            seconds = time.monotonic() - started
            first = seconds_per_step is None
            if first:
                # Before it is over, nothing is to be saved.
                unbroken.enter_context(stop.deferred())
            step += steps
            if said := profiler.after(step):
                progress.note(said)
            _require_finite(trainer, plan)
            check()
            progress.ran(steps, seconds, waited)
            if first:
                startup.ended("first step")
                progress.note(startup.describe())
            if step % plan.log_steps == 0 or step == plan.train_steps:
                scalars = {**trainer.take_means(), **progress.take_rates()}
                log(step, scalars)
                progress.show(step, scalars)
            elif first:
                progress.take_rates()
            seconds_per_step, signal_number = _agree(
                hosts, stop, seconds / steps
            )
            steps = max(1, int(_LOOP_SECONDS / seconds_per_step))
            due = step % plan.checkpoint_steps == 0 or step == plan.train_steps
            if due or signal_number:
                save(step)
            if due and not signal_number:  # it may have come while saving
                _, signal_number = _agree(hosts, stop, seconds_per_step)
            if signal_number:
                raise Stopped(signal_number, step)


def _agree(
    hosts: Hosts | None, stop: StopRequest, seconds_per_step: float
) -> tuple[float, int]:
    """The slowest host's time of a step, and anyone's signal, or 0."""
    signal_number = stop.signal_number or 0
    if hosts is not None:
        seconds_per_step, signal_number = hosts.gather(
            [seconds_per_step, signal_number]
        ).max(axis=0)
    return seconds_per_step, int(signal_number)


def _steps_until_due(step: int, plan: Plan) -> int:
    return min(
        plan.log_steps - step % plan.log_steps,
        plan.checkpoint_steps - step % plan.checkpoint_steps,
        plan.train_steps - step,
    )


def _require_finite(trainer: Trainer, plan: Plan) -> None:
    bad = trainer.first_bad_step
    if bad is None:
        return
    raise Halted(
        f"Loss or gradient of step {bad} is NaN or infinite; nothing was saved "
        f"after it. Most often the learning rate is too high: its peak here is "
        f"{plan.peak_learning_rate:.4g}, reached at step {plan.warmup_steps}. "
        "Lower --learning_rate, lengthen --warmup_epochs, or raise "
        "--temperature; with --mixed_precision=float16, try bfloat16. The "
        "last checkpoint is unharmed."
    )
