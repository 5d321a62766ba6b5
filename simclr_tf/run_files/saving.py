"""How a checkpoint gets onto the disk: whole, or not at all.

The data are written and synced, then the index gets its name, and only then
older checkpoints go, index first. So a kill or a power cut at any moment leaves
whole checkpoints, and files that `leftovers` recognises.
"""

import contextlib
import os

import tensorflow as tf

from simclr_tf import files

gfile = tf.io.gfile

# TensorFlow's list of checkpoints, for tools that look for it.
STATE = "checkpoint"


def write(checkpoint: tf.train.Checkpoint, path: str) -> None:
    """Writes <path>.data-* and then <path>.index, synced.

    Args:
        checkpoint: what to write.
        path: checkpoint prefix, without suffix, in a folder that exists.
    """
    if "://" in path:
        # Objects are there, whole, once they are closed, and TensorFlow
        # closes the data before the index.
        checkpoint.write(path)
        return
    folder, name = os.path.split(path)
    aside = os.path.join(folder, f".{name}.tmp")
    if os.path.isdir(aside):
        gfile.rmtree(aside)
    try:
        checkpoint.write(os.path.join(aside, name))
        files.sync_tree(aside)
        for each in sorted(os.listdir(aside), key=_index_last):
            if each.endswith(".index"):
                files.sync_folder(folder)  # the data have their names
            os.replace(os.path.join(aside, each), os.path.join(folder, each))
    finally:
        with contextlib.suppress(tf.errors.OpError, OSError):
            gfile.rmtree(aside)
    files.sync_folder(folder)


def write_state(paths: list[str]) -> None:
    """Writes TensorFlow's list: checkpoints of a folder, oldest first."""
    path, content = _state(paths)
    files.write_bytes(path, content)


def is_state(paths: list[str]) -> bool:
    """Whether TensorFlow's list is of just these."""
    path, content = _state(paths)
    if not gfile.exists(path):
        return False
    with gfile.GFile(path, "rb") as file:
        return file.read() == content


def _state(paths: list[str]) -> tuple[str, bytes]:
    folder = os.path.dirname(paths[-1])
    names = [os.path.basename(path) for path in paths]
    state = tf.compat.v1.train.generate_checkpoint_state_proto(
        folder, names[-1], all_model_checkpoint_paths=names
    )
    return os.path.join(folder, STATE), str(state).encode()


def _index_last(name: str) -> bool:
    return name.endswith(".index")
