"""Where --checkpoint's weights lie, and what is said beside them."""

import dataclasses
import os
import re
from collections.abc import Mapping
from typing import Any

import tensorflow as tf

from simclr_tf import files
from simclr_tf.config import Config, resolve
from simclr_tf.errors import UserError
from simclr_tf.official import layout, reading
from simclr_tf.run_files import checkpoints, places

gfile = tf.io.gfile

HINT = (
    "--checkpoint takes a model_dir, one of its checkpoints (RUN/ckpt-100), a "
    "SavedModel (RUN/saved_model/100) of ours, or what Google released."
)


# Folders of a run in which SavedModels lie.
_OF_EXPORTS = ("saved_model", "exports")


@dataclasses.dataclass(frozen=True)
class Location:
    """Where weights lie.

    Attributes:
        folder: of the run, of the official files, or of an export that lies
            in no run.
        saved_model: the SavedModel, or None.
        prefixes: of checkpoints otherwise, oldest first.
        official: prefix of variables of the official code, or None.
    """

    folder: str
    saved_model: str | None = None
    prefixes: tuple[str, ...] = ()
    official: str | None = None


def locate(path: str) -> Location:
    """What --checkpoint names.

    Raises:
        UserError: nothing that holds weights, or not to be reached.
    """
    asked = path
    places.require_no_pattern("checkpoint", path)
    places.require_reachable("checkpoint", path)
    path = os.path.expanduser(path).rstrip("/")
    # A shell completes the names of a checkpoint's files.
    path = re.sub(r"(ckpt-\d+)\.(index|meta|data-\d+-of-\d+)$", r"\1", path)
    if prefix := _official(path):
        folder = path if gfile.isdir(path) else os.path.dirname(path)
        return Location(folder, official=prefix)
    if gfile.exists(os.path.join(path, "saved_model.pb")):
        above = os.path.dirname(path)
        is_in_run = os.path.basename(above) in _OF_EXPORTS
        folder = os.path.dirname(above) if is_in_run else path
        return Location(folder, saved_model=path)
    if gfile.exists(f"{path}.index"):
        return Location(os.path.dirname(path), prefixes=(path,))
    if not gfile.exists(path):
        raise UserError(f"--checkpoint={asked} does not exist. {HINT}")
    if os.path.basename(path) == "saved_model" and (newest := _newest(path)):
        return Location(os.path.dirname(path), saved_model=newest)
    prefixes = tuple(checkpoints.checkpoint_paths(path))
    if not prefixes:
        raise UserError(f"--checkpoint={asked} holds no checkpoint. {HINT}")
    return Location(path, prefixes=prefixes)


def is_official(path: str) -> bool:
    """Whether a folder holds official weights as they are."""
    return _official(path) is not None


def _official(path: str) -> str | None:
    """The prefix of variables that are not ours, if there are any.

    Their keys tell; where they cannot be read, what is beside them.
    """
    prefix = layout.prefix_at(path)
    if prefix is None or gfile.exists(os.path.join(path, "simclr_tf.json")):
        return None
    ours = reading.is_ours(prefix)
    if ours is None:
        beside = os.path.join(os.path.dirname(prefix), "config.json")
        ours = gfile.exists(beside)
    return None if ours else prefix


def _newest(folder: str) -> str | None:
    """The SavedModel of the highest step in a run's saved_model/."""
    steps = [
        int(name)
        for entry in gfile.listdir(folder)
        if (name := entry.rstrip("/")).isdigit()
        and gfile.exists(os.path.join(folder, name, "saved_model.pb"))
    ]
    return os.path.join(folder, str(max(steps))) if steps else None


def saved_with(found: Location) -> dict[str, Any]:
    """What is said beside the weights: "config", of exports "global_step".

    Raises:
        UserError: nothing is, or something else.
    """
    path = _description(found)
    saved = files.read_json(path) if gfile.exists(path) else {}
    known = isinstance(saved, dict) and isinstance(saved.get("config"), dict)
    if found.saved_model and known:
        known = isinstance(saved.get("global_step"), int)
    if not known:
        raise UserError(
            f"--checkpoint={found.saved_model or found.folder} is not of a run "
            f"of ours: {os.path.basename(path)}, which would say what its "
            f"encoder is, is not there, or is of something else. {HINT}"
        )
    return saved


def config_of(found: Location, saved: Mapping[str, Any]) -> Config:
    """Of the run that made the weights.

    An export says nothing of places: what a configuration cannot do without
    is the export itself.

    Raises:
        UserError: it holds a value that is not allowed.
    """
    sections, place = saved["config"], found.saved_model
    if place and all(isinstance(s, dict) for s in sections.values()):
        values = {k: v for s in sections.values() for k, v in s.items()}
        there = {}
        if values.get("train_mode") in ("finetune", "distill"):
            there["checkpoint"] = values.get("checkpoint") or place
        if values.get("dataset") == "folder":
            there["data_dir"] = values.get("data_dir") or place
        sections = {**sections, "places": there}
    try:
        config = resolve.from_dict(sections)
    except UserError as error:
        raise UserError(
            f"--checkpoint={place or found.folder} is damaged: "
            f"{os.path.basename(_description(found))} says what cannot be. "
            f"{error}"
        ) from error
    cwd = saved.get("cwd")
    return places.seen_from(config, cwd if isinstance(cwd, str) else None)


def _description(found: Location) -> str:
    """The file that says what the weights are."""
    if found.saved_model:
        return os.path.join(found.saved_model, "simclr_tf.json")
    return os.path.join(found.folder, "config.json")
