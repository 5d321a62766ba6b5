"""The teacher of a distillation, and which classes a run tells apart."""

import dataclasses
from collections.abc import Sequence
from typing import NamedTuple

from simclr_tf import hashing
from simclr_tf.build import network
from simclr_tf.config import Config, resolve, roles
from simclr_tf.config.option import Role
from simclr_tf.data.sources import Source
from simclr_tf.errors import UserError
from simclr_tf.models.simclr import SimClr
from simclr_tf.run_files import loading
from simclr_tf.run_files.loading import Weights

_KERNEL = "linear_head:kernel"
# Paper: SimCLRv2 (arXiv:2006.10029), section 3: a student of the teacher's
# architecture, without its projection head, and a smaller one.
_SELF_TEMPERATURE, _TEMPERATURE = 0.1, 1.0
# Of classes, in a message.
_NAMED = 5


class Classes(NamedTuple):
    """What a linear head tells apart.

    Attributes:
        count: K; None where there is no such head.
        names: in the order of the labels; empty where nobody knows them.
    """

    count: int | None
    names: tuple[str, ...]

    def are_of(self, source: Source) -> bool:
        """Whether the classes of a data set are these, as far as is known."""
        theirs = source.class_names
        if self.names and theirs:
            return self.names == theirs
        return len(theirs) == self.count

    def named_by(self, source: Source) -> "Classes":
        """With the names of a data set, where the classes are its and nobody
        knows another."""
        if self.names or not self.are_of(source):
            return self
        return self._replace(names=source.class_names)

    def __str__(self) -> str:
        return _in_words(self.names) or f"{self.count} classes"


def classes_of(source: Source) -> Classes:
    """Those of a data set."""
    return Classes(source.num_classes, source.class_names)


@dataclasses.dataclass(frozen=True)
class Teacher:
    """A classifier to learn from, as it lies in its checkpoint.

    Attributes:
        weights: of the checkpoint.
        config: what its network is, and what it takes.
        classes: of its linear head.
    """

    weights: Weights
    config: Config
    classes: Classes

    def build(self, dtype: str) -> SimClr:
        """Its network, whose weights nobody is to change.

        Args:
            dtype: Keras policy of its encoder.
        """
        model = network.build_model(
            self.config,
            num_classes=self.classes.count,
            dtype=dtype,
            train_mode="finetune",
        )
        loading.load(self.weights, model, with_linear_head=True)
        model.trainable = False
        return model

    def to_dict(self) -> dict[str, str | int]:
        """For start_weights.json."""
        return {"checkpoint": self.weights.path, "step": self.weights.step}

    def sha256(self) -> str:
        """Of all numbers in its checkpoint."""
        return hashing.values_sha256(self.weights.values)

    def describe(self) -> str:
        """For the reader of the log."""
        return (
            f"Teacher: {self.weights.path}, step {self.weights.step}, "
            f"{self.classes.count} classes"
        )


def read(config: Config, path: str | None = None) -> Teacher:
    """The teacher of a run.

    Args:
        config: of the run.
        path: where its weights are; None: where --checkpoint says.

    Raises:
        UserError: there is none, it is no classifier, or nobody knows what
            its linear head reads.
    """
    asked = config.job.checkpoint
    averages = config.job.ema_weights
    weights = loading.open_weights(path or asked, averages=averages)
    if not weights.official:
        _require_classifier(weights, asked)
    if _KERNEL not in weights.values:
        raise UserError(
            f"--checkpoint={asked} has no linear head, and a teacher needs "
            "one. Name a fine-tuned or supervised checkpoint."
        )
    theirs = resolve.overlay(
        weights.config,
        {
            "ft_proj_selector": _selector(weights, config),
            "image_size": config.data.image_size,
            "fine_tune_after_block": -1,
        },
    )
    classes = Classes(weights.values[_KERNEL].shape[-1], weights.class_names)
    return Teacher(weights, theirs, classes)


def temperature(config: Config, teacher: Config) -> float:
    """tau: --distill_temperature, or SimCLRv2's.

    Args:
        config: of the run.
        teacher: what its teacher is.
    """
    given = config.optim.distill_temperature
    if given is not None:
        return given
    student, theirs = (
        roles.values_of(each, Role.ARCHITECTURE, but=Role.HEAD)
        for each in (config, teacher)
    )
    return _SELF_TEMPERATURE if student == theirs else _TEMPERATURE


def require_classes(
    classes: Classes, source: Source, *, flag: str, checkpoint: str
) -> None:
    """Checks that labels that are looked at are of the teacher's classes.

    Args:
        classes: of the teacher.
        source: whose labels are looked at.
        flag: that asks for it.
        checkpoint: of the teacher.

    Raises:
        UserError: they are of others.
    """
    if not classes.are_of(source):
        data = _in_words(source.class_names) or "none"
        raise UserError(
            f"{flag} looks at labels, and those of {source.name} are "
            f"{len(source.class_names)} classes ({data}), those of the teacher "
            f"--checkpoint={checkpoint} {classes.count} ({classes}). Leave "
            "it out, to learn from the teacher alone, or name images of its "
            "classes."
        )


def _require_classifier(weights: Weights, asked: str) -> None:
    config = weights.config
    if config.job.train_mode == "pretrain":
        raise UserError(
            f"--checkpoint={asked} is a pretrained encoder, and no classifier "
            "that could teach (the probe beside it is for watching). "
            f"Fine-tune it: --train_mode=finetune --checkpoint={asked}."
        )
    if config.data.several_labels:
        raise UserError(
            f"--checkpoint={asked} was trained on several labels an image, and "
            "--train_mode=distill knows one. Name another teacher."
        )


def _selector(weights: Weights, config: Config) -> int:
    """Which layer of g the teacher's linear head reads."""
    asked = config.model.teacher_proj_selector
    known = (weights.config.model.ft_proj_selector,)
    if weights.official:
        known = weights.official.network.selectors
    if asked in known:
        return asked
    if asked is None and len(known) == 1:
        return known[0]
    received = "none" if asked is None else asked
    raise UserError(
        "--teacher_proj_selector must be "
        f"{' or '.join(map(str, known))}: what the linear head of "
        f"--checkpoint={config.job.checkpoint} reads, h (0) or a layer of the "
        "projection head. Of what Google released: 0 of pretrained and "
        "supervised weights, 1 of those fine-tuned on 1 % and 10 %. Received: "
        f"{received}."
    )


def _in_words(names: Sequence[str]) -> str:
    return ", ".join(names[:_NAMED]) + ", ..." * (len(names) > _NAMED)
