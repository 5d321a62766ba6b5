"""Weights to build upon: from a run, one of its checkpoints, or a SavedModel.

Strict and spoken: what a checkpoint is, is read from the configuration saved
with it, every weight that a model takes must be there in its shape, and what
was taken, left out and made new is said.
"""

import dataclasses
import os
import re
from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from simclr_tf import files, hashing
from simclr_tf.config import Config, resolve, roles
from simclr_tf.errors import UserError
from simclr_tf.models.simclr import SimClr
from simclr_tf.run_files import checkpoints

gfile = tf.io.gfile

# Up to this side in pixels the ResNet has the CIFAR stem.
_SMALL_STEM_PIXELS = 32

_HINT = (
    "--checkpoint takes a model_dir, one of its checkpoints (RUN/ckpt-100), or "
    "a SavedModel (RUN/saved_model/100) of ours."
)


@dataclasses.dataclass(frozen=True)
class Weights:
    """What was read.

    Attributes:
        path: of the checkpoint or SavedModel.
        step: its global step.
        config: of the run that made it.
        values: variable name, as in `checkpoints.named_variables` -> value;
            the optimizer's among them.
    """

    path: str
    step: int
    config: Config
    values: Mapping[str, np.ndarray]


@dataclasses.dataclass(frozen=True)
class Loaded:
    """What became of the variables, by name.

    Attributes:
        path, step: of the checkpoint.
        matched: restored.
        left_out: in the checkpoint, and not wanted: name -> why.
        new: not restored: name -> why.
    """

    path: str
    step: int
    matched: tuple[str, ...]
    left_out: Mapping[str, str]
    new: Mapping[str, str]

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
            f"{len(self.matched)} variables restored."
        ]
        for title, names in (("Left out", self.left_out), ("New", self.new)):
            for reason in dict.fromkeys(names.values()):
                count = sum(r == reason for r in names.values())
                lines.append(f"  {title}: {count} variables, {reason}.")
        return "\n".join(lines)


def inheritance(given: Mapping[str, Any]) -> dict[str, Any]:
    """What `--checkpoint` decides where the user says nothing.

    Args:
        given: the options that the user set, `checkpoint` among them.

    Returns:
        Option name -> value; without the options given.

    Raises:
        UserError: the checkpoint is not one of ours, or a flag contradicts
            its architecture.
    """
    path = given["checkpoint"]
    config = resolve.from_dict(_saved_with(_locate(path))["config"])
    flat = roles.flat(config)
    for name in roles.decided_by_checkpoint():
        if given.get(name, flat[name]) != flat[name]:
            raise UserError(
                f"--{name}={given[name]} contradicts --checkpoint={path}, "
                f"whose encoder has {name}={flat[name]}. Leave the flag out, "
                "or name another checkpoint."
            )
    size = given.get("image_size", flat["image_size"])
    if (size <= _SMALL_STEM_PIXELS) != (
        flat["image_size"] <= _SMALL_STEM_PIXELS
    ):
        raise UserError(
            f"--image_size={size} does not fit --checkpoint={path}, trained "
            f"at {flat['image_size']} px: the ResNet's stem is another one up "
            f"to {_SMALL_STEM_PIXELS} px. Stay on its side of that."
        )
    names = [
        *roles.decided_by_checkpoint(),
        *roles.suggested_by_checkpoint(given),
    ]
    return {name: flat[name] for name in names if name not in given}


def open_weights(path: str) -> Weights:
    """Reads every tensor of a checkpoint; of a model_dir, the newest readable.

    Raises:
        UserError: it is not one of ours, or cannot be read.
    """
    found = _locate(path)
    saved = _saved_with(found)
    config = resolve.from_dict(saved["config"])
    if found.saved_model:
        values = _saved_model_values(found.saved_model)
        return Weights(found.saved_model, saved["global_step"], config, values)
    for prefix in reversed(found.prefixes):
        try:
            values = checkpoints.read(prefix)
        except checkpoints.UnreadableCheckpoint as error:
            print(f"{error} Trying the one before it.", flush=True)
        else:
            step = checkpoints.step_of(prefix)
            return Weights(prefix, step, config, values)
    raise UserError(
        f"--checkpoint={path} cannot be read: it is truncated or corrupt. "
        "Name another one."
    )


def identity(config: Config) -> str:
    """Which weights a job builds upon: a hash, or the seed in words."""
    if config.eval.encoder != "checkpoint":
        return f"{config.eval.encoder}, seed {config.job.seed}"
    return hashing.values_sha256(open_weights(config.job.checkpoint).values)


def load(
    weights: Weights, model: SimClr, *, with_linear_head: bool = False
) -> Loaded:
    """Restores encoder and projection head, or changes nothing.

    Args:
        weights: from `open_weights`.
        model: its projection head's variables are restored, too, if it has
            any: the layers that the linear head reads.
        with_linear_head: also restore the linear head; by default it is new.

    Raises:
        UserError: a variable is missing or has another shape; the message
            lists them.
    """
    parts = {
        "encoder": model.encoder.variables,
        "projection_head": model.projection_head.variables,
        "linear_head": model.probe_variables,
    }
    wanted = {"encoder", "projection_head"}
    if with_linear_head:
        wanted.add("linear_head")
    targets, new = {}, {}
    for part, variables in parts.items():
        named = checkpoints.named_variables(variables)
        if part in wanted:
            targets |= named
        else:
            new |= dict.fromkeys(named, f"{part}, which starts afresh")
    checkpoints.require_fit(
        f"--checkpoint={weights.path}",
        {name: tuple(v.shape) for name, v in targets.items()},
        {n: v.shape for n, v in weights.values.items() if n in targets},
    )
    for name, variable in targets.items():
        variable.assign(weights.values[name])
    left = {
        name: _why_left_out(name)
        for name in sorted(weights.values.keys() - targets.keys())
    }
    return Loaded(weights.path, weights.step, tuple(sorted(targets)), left, new)


def results_folder(config: Config, name: str) -> str:
    """--model_dir, or else a folder in the run that --checkpoint is of."""
    if config.job.model_dir:
        return os.path.expanduser(config.job.model_dir)
    return os.path.join(_locate(config.job.checkpoint).folder, name)


def _why_left_out(name: str) -> str:
    if name.startswith("linear_head:"):
        return "the linear head of its own task"
    if name.startswith("projection_head:"):
        return "the projection head, which nothing reads here"
    return "of its optimizer"


@dataclasses.dataclass(frozen=True)
class _Found:
    folder: str
    saved_model: str | None = None
    prefixes: tuple[str, ...] = ()


def _locate(path: str) -> _Found:
    asked = path
    path = os.path.expanduser(path).rstrip("/")
    # A shell completes the names of a checkpoint's files.
    path = re.sub(r"(ckpt-\d+)\.(index|data-\d+-of-\d+)$", r"\1", path)
    if gfile.exists(os.path.join(path, "saved_model.pb")):
        return _Found(os.path.dirname(os.path.dirname(path)), saved_model=path)
    if gfile.exists(f"{path}.index"):
        return _Found(os.path.dirname(path), prefixes=(path,))
    if not gfile.exists(path):
        raise UserError(f"--checkpoint={asked} does not exist. {_HINT}")
    if os.path.basename(path) == "saved_model" and (newest := _newest(path)):
        return _Found(os.path.dirname(path), saved_model=newest)
    prefixes = tuple(checkpoints.checkpoint_paths(path))
    if not prefixes:
        raise UserError(f"--checkpoint={asked} holds no checkpoint. {_HINT}")
    return _Found(path, prefixes=prefixes)


def _newest(folder: str) -> str | None:
    """The SavedModel of the highest step in a run's saved_model/."""
    steps = [
        int(name)
        for entry in gfile.listdir(folder)
        if (name := entry.rstrip("/")).isdigit()
        and gfile.exists(os.path.join(folder, name, "saved_model.pb"))
    ]
    return os.path.join(folder, str(max(steps))) if steps else None


def _saved_with(found: _Found) -> dict[str, Any]:
    path = os.path.join(found.folder, "config.json")
    if found.saved_model:
        path = os.path.join(found.saved_model, "simclr_tf.json")
    saved = files.read_json(path) if gfile.exists(path) else {}
    if not isinstance(saved.get("config"), dict):
        raise UserError(
            f"--checkpoint={found.saved_model or found.folder} is not of a run "
            f"of ours: {os.path.basename(path)}, which would say what its "
            f"encoder is, is not there. {_HINT}"
        )
    if found.saved_model and not isinstance(saved.get("global_step"), int):
        raise files.damaged(path, "it has no global_step")
    return saved


def _saved_model_values(path: str) -> dict[str, np.ndarray]:
    try:
        saved = tf.saved_model.load(path)
    except (tf.errors.OpError, OSError, ValueError) as error:
        raise UserError(
            f"--checkpoint={path} cannot be read: "
            f"{str(error).splitlines()[0]} Name another one."
        ) from error
    named = checkpoints.named_variables(list(saved.variables))
    return {n: v.numpy() for n, v in named.items()}
