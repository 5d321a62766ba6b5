"""start_weights.json: what a run was built upon, and stays upon."""

from collections.abc import Mapping, Sequence
from typing import Any

import tensorflow as tf

from simclr_tf import files, hashing
from simclr_tf.config import Config
from simclr_tf.errors import Halted, UserError
from simclr_tf.models.simclr import SimClr
from simclr_tf.run_files import checkpoints, loading
from simclr_tf.run_files.folder import RunFolder

_NAME = "start_weights.json"


def begin(
    folder: RunFolder,
    model: SimClr,
    *,
    config: Config,
    class_names: Sequence[str],
    frozen: Sequence[tf.Variable],
    teacher: Mapping[str, Any] | None = None,
) -> str | None:
    """Sets a run's weights before its first step; writes what they are.

    Args:
        folder: of the run.
        model: of the run.
        config: of the run; without --checkpoint, the weights stay as they
            are. Of a student, it is --student_checkpoint.
        class_names: of the data; a linear head must be of the same.
        frozen: variables that training must leave as they are; of a student,
            its teacher's.
        teacher: where that was read; None of others.

    Returns:
        What was loaded, in words.

    Raises:
        UserError: the checkpoint cannot be read, or does not fit.
    """
    origin, said = _load(model, config=config, class_names=class_names)
    if folder.writes:
        files.write_json(
            folder.file(_NAME),
            {
                **origin,
                "encoder_sha256": hashing.variables_sha256(
                    model.encoder.variables
                ),
                "frozen_sha256": hashing.variables_sha256(frozen),
                **({"teacher": dict(teacher)} if teacher else {}),
            },
        )
    return said


def _load(
    model: SimClr, *, config: Config, class_names: Sequence[str]
) -> tuple[Mapping[str, Any], str | None]:
    """Loads what a run starts from, if anything: how that is written down, and
    what is said of it."""
    nothing = {"checkpoint": None}
    if config.job.train_mode == "distill":
        if not config.job.student_checkpoint:
            return nothing, None
        weights = loading.open_weights(config.job.student_checkpoint)
        loaded = loading.load(weights, model, flag="student_checkpoint")
        return loaded.to_dict(), loaded.describe()
    if not config.job.checkpoint or config.eval.encoder != "checkpoint":
        return nothing, None
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
    said = loaded.describe()
    if config.job.train_mode == "pretrain":
        said = f"{said}\n{_of_projection(loaded, config)}"
    return loaded.to_dict(), said


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


def teacher_of(folder: RunFolder) -> str | None:
    """Where the teacher of a run that has begun was read; None of others."""
    there = files.gfile.exists(folder.file(_NAME))
    if not there or not checkpoints.checkpoint_paths(folder.path):
        return None
    teacher = read(folder).get("teacher")
    path = teacher.get("checkpoint") if isinstance(teacher, dict) else None
    return path if isinstance(path, str) else None


def require_teacher(
    folder: RunFolder, frozen: Sequence[tf.Variable], *, config: Config
) -> None:
    """A run goes on with the teacher that it began with.

    Args:
        folder: of the run.
        frozen: the variables of the teacher that was read.
        config: of the run.

    Raises:
        UserError: it is another.
    """
    known = read(folder)
    if hashing.variables_sha256(frozen) != known["frozen_sha256"]:
        was = known.get("teacher", {}).get("checkpoint")
        raise UserError(
            f"--checkpoint={config.job.checkpoint}, the teacher, is not the "
            f"one that --model_dir={folder.path} began with (its weights are "
            f"others than those of {was} were). Put that back, or choose "
            "another --model_dir."
        )


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
            "The frozen part of the network is not what it was when "
            f"training began ({path}). The result would not be that of "
            "the checkpoint's weights; this is a fault of simclr_tf's, "
            "or the checkpoints of --model_dir have been exchanged."
        )
    print(f"Frozen and unchanged: {len(frozen)} variables.")
