"""Whether a folder takes what a job will write, before it starts."""

import os
import shutil
from collections.abc import Iterable

import tensorflow as tf

from simclr_tf import files
from simclr_tf.errors import UserError
from simclr_tf.run_files import checkpoints

# For metrics, pictures, records and results, of a run of any length.
_REST_BYTES = 4 * 2**20


def require_writable(folder: str, *, flag: str = "model_dir") -> None:
    """Creates the folder, and fails if nothing can be written in it.

    Raises:
        UserError: naming the flag that asks for it.
    """
    probe = files.aside_of(os.path.join(folder, ".writable"))
    try:
        files.make_folders(folder)
        with tf.io.gfile.GFile(probe, "w") as file:
            file.write("x")
        tf.io.gfile.remove(probe)
    except (tf.errors.OpError, OSError) as error:
        reason = getattr(error, "message", None) or str(error)
        raise UserError(
            f"--{flag}={folder} cannot be written to: {reason}"
        ) from error


def require(
    folder: str,
    *,
    model: Iterable[tf.Variable],
    optimizer: Iterable[tf.Variable],
    saves: int,
    keep_checkpoints: int,
    keep_saved_models: int,
) -> None:
    """Checks the disk of a run's folder; other than local ones have room.

    Args:
        folder: of the run; exists.
        model, optimizer: their variables.
        saves: checkpoints to come.
        keep_checkpoints, keep_saved_models: how many stay.

    Raises:
        UserError: what the run writes at most has no room there.
    """
    if "://" in folder:
        return
    free = shutil.disk_usage(folder).free
    exported = _bytes(model)
    # One more than stays: the oldest goes when the newest is there.
    there = len(checkpoints.checkpoint_paths(folder))
    saves = min(saves, max(keep_checkpoints + 1 - there, 1))
    needed = _REST_BYTES + saves * (exported + _bytes(optimizer))
    if keep_saved_models:
        needed += exported
    if needed > free:
        raise UserError(
            f"--model_dir={folder} has {_size(free)} free, and this run will "
            f"write {_size(needed)}: it keeps {keep_checkpoints} checkpoints "
            f"(--keep_checkpoint_max) and {keep_saved_models} SavedModels "
            "(--keep_hub_module_max), and has one more of them before the "
            "oldest goes. Make room, or keep fewer."
        )


def _bytes(variables: Iterable[tf.Variable]) -> int:
    return sum(v.shape.num_elements() * v.dtype.size for v in variables)


def _size(count: int) -> str:
    unit, size = ("GiB", 2**30) if count >= 2**30 else ("MiB", 2**20)
    return f"{count / size:.1f} {unit}"
