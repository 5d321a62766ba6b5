"""What a student learns from: its teacher, and what that means for a run."""

import contextlib
from collections.abc import Mapping
from typing import Any

from simclr_tf import files, hashing
from simclr_tf.build.distilling import teacher as teachers
from simclr_tf.build.distilling.teacher import Classes, Teacher
from simclr_tf.config import Config, roles
from simclr_tf.config.job_kinds import Job
from simclr_tf.data.sources import Source
from simclr_tf.errors import UserError
from simclr_tf.models.simclr import SimClr
from simclr_tf.run_files import start_weights
from simclr_tf.run_files.folder import RunFolder


class Lesson:
    """The teacher of a run; a follower needs none.

    Args:
        config: of the run.
        folder: of the run, which may have begun; None where there is none to
            look into, and the teacher is what --checkpoint says.

    Attributes:
        classes: of the teacher, and so of the student.
        model: the teacher's network, once it is built; None for a follower.
        temperature: tau; None for a follower.
        origin: for start_weights.json: where the teacher was read, and tau.
        sha256: of the teacher's network, once it is built.

    Raises:
        UserError: the teacher cannot be read, or is none.
    """

    def __init__(self, config: Config, folder: RunFolder | None):
        self._config = config
        self._teacher: Teacher | None = None
        self._said: list[str] = []
        self.model: SimClr | None = None
        self.temperature: float | None = None
        self.origin: Mapping[str, Any] = {}
        self.sha256 = ""
        if roles.job(config) is Job.FOLLOW:
            facts = folder.saved().data
            names = tuple(facts["class_names"])
            self.classes = Classes(facts["num_classes"], names)
            return
        self._teacher = _read(config, folder)
        self.classes = self._teacher.classes
        self.temperature = teachers.temperature(config, self._teacher.config)
        self.origin = {
            **self._teacher.to_dict(),
            "temperature": self.temperature,
        }
        alpha = config.optim.distill_alpha
        rest = "no label counts" if alpha == 1 else "the rest is the labels'"
        self._said = [
            f"{self._teacher.describe()}; temperature {self.temperature:g}, "
            f"share of the loss {alpha:g}, {rest}"
        ]

    def scored_on(
        self,
        evaluation: Source | None,
        training: Source,
        *,
        origins: Mapping[str, str],
    ) -> Source | None:
        """The split whose labels the student is scored on, if there is one.

        Args:
            evaluation: the split of evaluation.
            training: the split of training.
            origins: where the options came from.

        Raises:
            UserError: labels are asked for that are of other classes.
        """
        checkpoint = self._config.job.checkpoint
        alpha = self._config.optim.distill_alpha
        if alpha < 1:
            teachers.require_classes(
                self.classes,
                training,
                flag=f"--distill_alpha={alpha:g}",
                checkpoint=checkpoint,
            )
        if evaluation is None or self.classes.are_of(evaluation):
            return evaluation
        if origins.get("eval_split") == "flag":
            teachers.require_classes(
                self.classes,
                evaluation,
                flag=f"--eval_split={evaluation.split}",
                checkpoint=checkpoint,
            )
        self._said.append(
            f"The labels of {evaluation.name} are of other classes than the "
            "teacher's: nothing looks at them."
        )
        return None

    def build(self, dtype: str) -> None:
        """Makes the teacher's network, in the scope of a strategy; nothing
        for a follower.

        Args:
            dtype: Keras policy of its encoder.
        """
        if self._teacher is None:
            return
        self.model = self._teacher.build(dtype)
        self.sha256 = hashing.variables_sha256(self.model.variables)
        self._teacher = None  # its numbers are in the network now

    def describe(self) -> list[str]:
        """For the reader of the log."""
        return self._said


def _read(config: Config, folder: RunFolder | None) -> Teacher:
    """The teacher, from where it was when the run began.

    Of a model_dir, it is the newest checkpoint: by now, that may be another.
    """
    if folder is not None:
        with contextlib.suppress(UserError, files.DamagedFile):
            if before := start_weights.teacher_of(folder):
                return teachers.read(config, before)
    return teachers.read(config)
