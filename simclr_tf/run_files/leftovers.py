"""What a killed command leaves in a run's folder, for its owner to remove.

A command that is killed, or whose machine stops, leaves files without the name
that would make them count: temporary ones, data of a checkpoint without an
index, half an export. None is ever read. Only the owner of the folder removes
them (`owner`), so that nobody's work in progress is taken for rubbish.
"""

import os
import re

import tensorflow as tf

from simclr_tf import files

gfile = tf.io.gfile

# Of checkpoints, TensorFlow's own names among them, and of its list of them.
_TEMPORARY = re.compile(
    r"\.ckpt-\d+\.tmp"
    r"|ckpt-\d+_temp"
    r"|ckpt-\d+\.(index|data-\d+-of-\d+)\.tempstate\d+"
    r"|checkpoint\.tmp[0-9a-f]+"
)
_ASIDE_EXPORT = re.compile(r"\.\d+(\.old)?\.tmp")
_DATA = re.compile(r"(ckpt-\d+)\.data-\d+-of-\d+")


def sweep(folder: str) -> list[str]:
    """Removes them from a model_dir that this process owns.

    Returns:
        The names removed, of checkpoints and exports.
    """
    files.sweep_asides(folder)
    names = [name.rstrip("/") for name in gfile.listdir(folder)]
    removed = []
    for name in names:
        data = _DATA.fullmatch(name)
        orphaned = data and f"{data[1]}.index" not in names
        if orphaned or _TEMPORARY.fullmatch(name):
            _remove(os.path.join(folder, name))
            removed.append(name)
    for path in _unfinished_exports(os.path.join(folder, "saved_model")):
        gfile.rmtree(path)
        removed.append(os.path.relpath(path, folder))
    return removed


def _unfinished_exports(folder: str) -> list[str]:
    """An export is there once its saved_model.pb is: it comes last, where a
    folder cannot be renamed as one, and goes first."""
    found = []
    for entry in gfile.listdir(folder) if gfile.isdir(folder) else ():
        name = entry.rstrip("/")
        path = os.path.join(folder, name)
        program = os.path.join(path, "saved_model.pb")
        if _ASIDE_EXPORT.fullmatch(name) or (
            name.isdigit() and not gfile.exists(program)
        ):
            found.append(path)
    return found


def _remove(path: str) -> None:
    if gfile.isdir(path):
        gfile.rmtree(path)
    else:
        gfile.remove(path)
