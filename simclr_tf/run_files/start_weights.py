"""start_weights.json: what a run was built upon, and stays upon."""

from collections.abc import Mapping, Sequence
from typing import Any

import tensorflow as tf

from simclr_tf import files, hashing
from simclr_tf.config import Config
from simclr_tf.errors import Halted
from simclr_tf.models.simclr import SimClr
from simclr_tf.run_files import loading
from simclr_tf.run_files.folder import RunFolder

_NAME = "start_weights.json"


def begin(
    folder: RunFolder,
    model: SimClr,
    *,
    config: Config,
    class_names: Sequence[str],
    frozen: Sequence[tf.Variable],
) -> str | None:
    """Sets a run's weights before its first step; writes what they are.

    Args:
        folder: of the run.
        model: of the run.
        config: of the run; without --checkpoint, the weights stay as they
            are.
        class_names: of the data; a linear head must be of the same.
        frozen: variables that training must leave as they are.

    Returns:
        What was loaded, in words.

    Raises:
        UserError: the checkpoint cannot be read, or does not fit.
    """
    origin: Mapping[str, Any] = {"checkpoint": None}
    said = None
    if config.job.checkpoint and config.eval.encoder == "checkpoint":
        weights = loading.open_configured(config)
        with_linear_head = config.model.restore_linear_head
        loaded = loading.load(
            weights,
            model,
            with_linear_head=with_linear_head,
            may_renew_projection=config.job.train_mode == "pretrain",
        )
        if with_linear_head:
            loading.require_classes(weights, class_names)
        origin, said = loaded.to_dict(), loaded.describe()
        if config.job.train_mode == "pretrain":
            said = f"{said}\n{_of_projection(loaded, config)}"
    if folder.writes:
        files.write_json(
            folder.file(_NAME),
            {
                **origin,
                "encoder_sha256": hashing.variables_sha256(
                    model.encoder.variables
                ),
                "frozen_sha256": hashing.variables_sha256(frozen),
            },
        )
    return said


def _of_projection(loaded: loading.Loaded, config: Config) -> str:
    """What pretraining goes on with, besides an encoder."""
    if loaded.has_projection:
        return "The projection head is the checkpoint's."
    if config.model.proj_head_mode == "none":
        return "There is no projection head (--proj_head_mode=none)."
    return (
        "The projection head is new: the checkpoint has none, or one of "
        "another shape."
    )


def read(folder: RunFolder) -> dict[str, Any]:
    """What `begin` wrote for this run.

    Raises:
        files.DamagedFile: it is not whole.
    """
    path = folder.file(_NAME)
    found = files.read_json(path)
    hashes = [found.get("encoder_sha256"), found.get("frozen_sha256")]
    if "checkpoint" not in found or not all(
        isinstance(one, str) for one in hashes
    ):
        raise files.damaged(path, "it lacks the hashes of the weights")
    return found


def are_known(folder: RunFolder) -> bool:
    """Whether `read` can give them; where not, it is said why."""
    path = folder.file(_NAME)
    if not files.gfile.exists(path):
        return False
    try:
        read(folder)
    except files.DamagedFile as error:
        print(f"{error} It is made anew from --checkpoint.", flush=True)
        return False
    return True


def require_frozen(folder: RunFolder, frozen: Sequence[tf.Variable]) -> None:
    """Frozen means frozen: the same bits as the checkpoint's.

    Raises:
        Halted: they are not.
    """
    path = folder.file(_NAME)
    if not frozen or not files.gfile.exists(path):
        return
    if hashing.variables_sha256(frozen) != read(folder)["frozen_sha256"]:
        raise Halted(
            "The frozen part of the encoder is not what it was when "
            f"training began ({path}). The result would not be that of "
            "the checkpoint's features; this is a fault of simclr_tf's, "
            "or the checkpoints of --model_dir have been exchanged."
        )
    print(f"Frozen and unchanged: {len(frozen)} variables.")
