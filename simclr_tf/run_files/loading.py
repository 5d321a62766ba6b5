"""Weights to build upon: from a run, one of its checkpoints, a SavedModel, or
from what the official code left.

Strict and spoken: what a checkpoint is, is read from the configuration saved
with it, every weight that a model takes must be there in its shape, and what
was taken, left out and made new is said.
"""

import dataclasses
import math
import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from simclr_tf import hashing
from simclr_tf.config import Config, resolve
from simclr_tf.errors import UserError
from simclr_tf.models.simclr import SimClr
from simclr_tf.official import options, reading
from simclr_tf.official.reading import Contents
from simclr_tf.run_files import checkpoints, exported_weights, weights_location

# Of classes, in a message.
_NAMED = 5


@dataclasses.dataclass(frozen=True)
class Weights:
    """What was read.

    Attributes:
        path: of the checkpoint or SavedModel.
        step: its global step.
        config: of the run that made it.
        values: variable name, as in `checkpoints.named_variables` -> value;
            the optimizer's among them.
        class_names: of the data that it was trained on, in the order of the
            labels; empty where there were none.
        official: of official ones, what lies in the file; else None.
    """

    path: str
    step: int
    config: Config
    values: Mapping[str, np.ndarray]
    class_names: tuple[str, ...]
    official: Contents | None = None


@dataclasses.dataclass(frozen=True)
class Loaded:
    """What became of the variables, by name.

    Attributes:
        path, step: of the checkpoint.
        matched: restored.
        left_out: in the checkpoint, and not wanted: name -> why.
        new: not restored: name -> why.
        recognised: what they are, in words, where nothing beside them says it.
        has_projection: whether a projection head is among those restored.
    """

    path: str
    step: int
    matched: tuple[str, ...]
    left_out: Mapping[str, str]
    new: Mapping[str, str]
    recognised: str = ""

    @property
    def has_projection(self) -> bool:
        return any(n.startswith("projection_head:") for n in self.matched)

    def to_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        return {
            "checkpoint": self.path,
            "step": self.step,
            "restored": list(self.matched),
            "left_out": dict(self.left_out),
            "new": dict(self.new),
        }

    def describe(self) -> str:
        """For the reader of the log: counts, and the reasons."""
        lines = [
            f"Weights from {self.path}, step {self.step}: "
            f"{len(self.matched)} variables restored.",
            *filter(None, [self.recognised]),
        ]
        for title, names in (("Left out", self.left_out), ("New", self.new)):
            for reason in dict.fromkeys(names.values()):
                count = sum(r == reason for r in names.values())
                lines.append(f"  {title}: {count} variables, {reason}.")
        return "\n".join(lines)


def open_weights(path: str, *, averages: bool = False) -> Weights:
    """Reads every tensor of a checkpoint; of a model_dir, the newest readable.

    Args:
        path: --checkpoint.
        averages: --ema_weights.

    Raises:
        UserError: it is neither ours nor official, or cannot be read.
    """
    found = weights_location.locate(path)
    if found.official:
        return _open_official(found.official, averages)
    saved = weights_location.saved_with(found)
    config = weights_location.config_of(found, saved)
    names = _class_names(saved if found.saved_model else saved.get("data"))
    if found.saved_model:
        values = exported_weights.read(found.saved_model)
        step = saved["global_step"]
        _require_names(path, names, values)
        return Weights(found.saved_model, step, config, values, names)
    for prefix in reversed(found.prefixes):
        try:
            values = checkpoints.read(prefix)
        except checkpoints.UnreadableCheckpoint as error:
            print(f"{error} Trying the one before it.", flush=True)
        else:
            _require_names(path, names, values)
            step = checkpoints.step_of(prefix)
            return Weights(prefix, step, config, values, names)
    raise UserError(
        f"--checkpoint={path} cannot be read: it is truncated or corrupt. "
        "Name another one."
    )


def open_configured(config: Config) -> Weights:
    """`open_weights` of --checkpoint."""
    job = config.job
    return open_weights(job.checkpoint, averages=job.ema_weights)


def _open_official(prefix: str, averages: bool) -> Weights:
    contents = reading.contents(prefix, averages=averages)
    return Weights(
        prefix,
        contents.step,
        resolve.from_dict({"official": options.of(contents, {})}),
        contents.read(),
        (),
        contents,
    )


def identity(config: Config) -> str:
    """Which weights a job builds upon: a hash, or the seed in words."""
    if config.eval.encoder != "checkpoint":
        return f"{config.eval.encoder}, seed {config.job.seed}"
    return hashing.values_sha256(open_configured(config).values)


def require_classes(weights: Weights, class_names: Sequence[str]) -> None:
    """Checks that a linear head is of these classes, where it is known of
    which it is.

    Raises:
        UserError: it tells others apart.
    """
    known = weights.class_names
    if known and known != tuple(class_names):
        theirs, ours = (
            ", ".join(names[:_NAMED]) + ", ..." * (len(names) > _NAMED)
            for names in (known, class_names)
        )
        raise UserError(
            f"The linear head of --checkpoint={weights.path} tells apart "
            f"{theirs}, and the data has {ours}. Name its own data set, or "
            "leave --restore_linear_head out, for a new head."
        )


def load(
    weights: Weights,
    model: SimClr,
    *,
    with_linear_head: bool = False,
    may_renew_projection: bool = False,
    flag: str = "checkpoint",
) -> Loaded:
    """Restores encoder and projection head, or changes nothing.

    Args:
        weights: from `open_weights`.
        model: its projection head's variables are restored, too, if it has
            any: the layers that the linear head reads.
        with_linear_head: also restore the linear head; by default it is new.
        may_renew_projection: whether a projection head that is not there, or
            of another shape, is new, instead of an error.
        flag: that names the weights.

    Raises:
        UserError: a variable is missing, or has another shape or type; the
            message lists them.
    """
    parts = {
        "encoder": model.encoder.variables,
        "projection_head": model.projection_head.variables,
        "linear_head": model.probe_variables,
    }
    wanted = {"encoder", "projection_head"}
    if with_linear_head:
        wanted.add("linear_head")
    if may_renew_projection and not _has(weights, parts["projection_head"]):
        wanted.remove("projection_head")
    targets, new = {}, {}
    for part, variables in parts.items():
        named = checkpoints.named_variables(variables)
        if part in wanted:
            targets |= named
        else:
            new |= dict.fromkeys(named, f"{part}, which starts afresh")
    checkpoints.require_fit(
        f"--{flag}={weights.path}",
        {name: tuple(v.shape) for name, v in targets.items()},
        {n: v.shape for n, v in weights.values.items() if n in targets},
    )
    for name, variable in targets.items():
        if weights.values[name].dtype != variable.dtype.as_numpy_dtype:
            raise UserError(
                f"--checkpoint={weights.path} does not fit the model: {name} "
                f"holds {weights.values[name].dtype}."
            )
    for name, variable in targets.items():
        variable.assign(weights.values[name])
    left = {
        name: _why_left_out(name)
        for name in sorted(weights.values.keys() - targets.keys())
    }
    recognised = ""
    if weights.official:
        left |= weights.official.left_out
        recognised = options.describe(weights.official)
    matched = tuple(sorted(targets))
    return Loaded(weights.path, weights.step, matched, left, new, recognised)


def _has(weights: Weights, variables: Sequence) -> bool:
    """Whether they are there, in their shapes."""
    return all(
        name in weights.values
        and weights.values[name].shape == tuple(variable.shape)
        for name, variable in checkpoints.named_variables(variables).items()
    )


def results_folder(config: Config, name: str) -> str:
    """--model_dir, or else a folder in the run that --checkpoint is of."""
    if config.job.model_dir:
        return os.path.expanduser(config.job.model_dir)
    found = weights_location.locate(config.job.checkpoint)
    if found.official or found.folder == found.saved_model:
        what = "official" if found.official else "an export"
        raise UserError(
            f"--checkpoint={config.job.checkpoint} is {what}, and no run of "
            "ours, in whose folder results would go. Give --model_dir."
        )
    return os.path.join(found.folder, name)


def _class_names(saved: Any) -> tuple[str, ...]:
    """Of what is written beside weights; it may be damaged."""
    names = saved.get("class_names") if isinstance(saved, dict) else None
    return tuple(map(str, names)) if isinstance(names, list) else ()


def _require_names(path: str, names: Sequence[str], values: Mapping) -> None:
    """Checks that a linear head has one of the classes for each output.

    Raises:
        UserError: what is beside the weights is not of them.
    """
    head = values.get("linear_head:bias")
    if head is not None and names and head.shape != (len(names),):
        raise UserError(
            f"--checkpoint={path} is damaged: beside a linear head of "
            f"{math.prod(head.shape)} classes it has names of {len(names)}."
        )


def _why_left_out(name: str) -> str:
    if name.startswith("linear_head:"):
        return "the linear head of its own task"
    if name.startswith("projection_head:"):
        return "the projection head, which nothing reads here"
    return "of its optimizer"
