"""Where the variables of what Google released lie."""

import os
import re

import tensorflow as tf

gfile = tf.io.gfile

_CHECKPOINT = re.compile(r"((?:.*\.)?ckpt-(\d+))\.index")
# In what is released, a hub module or a SavedModel lies in a folder of these.
_INSIDE = ("", "saved_model", "hub")
_RELEASED = (
    "gs://simclr-checkpoints/",
    "gs://simclr-checkpoints-tf2/",
    "gs://simclr-gcs/",
)
_VARIABLES = os.path.join("variables", "variables")


def prefix_at(path: str) -> str | None:
    """The variables' files, without suffix; None where there are none.

    Args:
        path: a checkpoint's prefix; or a folder of checkpoints, of a hub
            module or of a SavedModel, or one that holds those.
    """
    if gfile.exists(f"{path}.index"):
        return path
    if not gfile.isdir(path):
        return None
    found = [
        (int(match[2]), os.path.join(path, match[1]))
        for name in gfile.listdir(path)
        if (match := _CHECKPOINT.fullmatch(name))
    ]
    if found:
        return max(found)[1]
    for folder in _INSIDE:
        prefix = os.path.join(path, folder, _VARIABLES)
        if gfile.exists(f"{prefix}.index"):
            return prefix
    return None


def form_of(prefix: str, kind: str) -> str:
    """Which of the four formats it is.

    Args:
        prefix: of the variables' files.
        kind: "TF1" or "TF2", as `reading.Contents` has it.
    """
    exported = prefix.endswith(_VARIABLES)
    names = {"TF1": "hub module", "TF2": "SavedModel"}
    return f"{kind} {names[kind] if exported else 'checkpoint'}"


def public_name(prefix: str) -> str:
    """What may be said of a place to anyone: where Google keeps it, or else
    the file's own name."""
    if prefix.startswith(_RELEASED):
        return prefix
    if prefix.endswith(_VARIABLES):
        return _VARIABLES
    return os.path.basename(prefix)


def step_in(prefix: str) -> int:
    """The step that a checkpoint's name says; 0 where it says none."""
    match = re.search(r"-(\d+)$", prefix)
    return int(match[1]) if match else 0
