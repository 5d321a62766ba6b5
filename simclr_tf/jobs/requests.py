"""What a job is made from, and what it accepts."""

import dataclasses
import sys
from collections.abc import Callable
from typing import Any, Protocol

import tensorflow as tf

from simclr_tf.config import Config
from simclr_tf.config.resolve import Resolved
from simclr_tf.data.sources import Source
from simclr_tf.errors import UserError
from simclr_tf.train.stopping import StopRequest


class Placement(Protocol):
    """Where the replicas run; see `tpu.strategy.Placement`."""

    strategy: tf.distribute.Strategy
    device_type: str
    num_hosts: int
    host: int


class Job(Protocol):
    """A job, checked and complete when it is made."""

    def describe(self) -> str:
        """What will be done, for the reader of the log."""

    def run(self) -> int:
        """Does it; returns the exit status.

        Raises:
            errors.UserError: something that the user can mend was found
                during the work.
            errors.Halted: the job stopped itself.
            errors.Stopped: a signal arrived; what there was to save is saved.
        """


@dataclasses.dataclass(frozen=True)
class Request:
    """A command, and what the caller has for it.

    Attributes:
        resolved: the options.
        place: brings up the devices that a configuration asks for. Nothing
            may use TensorFlow's devices before it.
        compile_step: compiles a run's steps for a TPU; of `preflight`.
        started: time.monotonic() when the process began; None where it has
            done other work before.
        program: what runs a command of ours, before its flags; of `study`.
        stop: the process's, for signals; by default one that hears none.
    """

    resolved: Resolved
    place: Callable[[Config], Placement]
    compile_step: Callable[..., Any] | None = None
    started: float | None = None
    program: tuple[str, ...] = (sys.executable, "run.py")
    stop: StopRequest = dataclasses.field(default_factory=StopRequest)

    @property
    def config(self) -> Config:
        """The configuration, whole."""
        return self.resolved.config


@dataclasses.dataclass(frozen=True)
class Accepts:
    """What goes together with a job.

    Attributes:
        encoders: values of --encoder.
        labels: how many labels an image may have: "one", "several", "none".
    """

    encoders: tuple[str, ...] = ("checkpoint",)
    labels: tuple[str, ...] = ("one", "several", "none")

    def require_encoder(self, encoder: str, *, job: str) -> None:
        """Checks --encoder.

        Raises:
            UserError: the job doesn't take it.
        """
        if encoder not in self.encoders:
            raise UserError(
                f"--encoder={encoder} is nothing that {job} can score: it "
                f"takes {' or '.join(self.encoders)}."
            )

    def require_labels(self, source: Source, *, flag: str, job: str) -> None:
        """Checks the labels of a split.

        Args:
            source: the split.
            flag: that named it.
            job: in words, for the message.

        Raises:
            UserError: it has more or fewer labels an image than the job can
                use.
        """
        found = kind_of_labels(source)
        if found in self.labels:
            return
        split = f"--{flag}={source.split} of {source.name}"
        if found == "none":
            raise UserError(
                f"{job} needs labels, and {split} has none. Subfolders are "
                "classes; --label_key names a feature."
            )
        raise UserError(
            f"{job} needs one label an image, and {split} has {found} "
            "(--several_labels). Choose another --protocol, or a data set of "
            "one label an image."
        )


def kind_of_labels(source: Source) -> str:
    """ "one", "several" or "none": how many labels an image has."""
    if not source.has_labels:
        return "none"
    return "several" if source.several_labels else "one"
