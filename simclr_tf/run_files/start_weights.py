"""start_weights.json: what a classifier was built upon, and stays upon."""

from collections.abc import Mapping, Sequence
from typing import Any

import tensorflow as tf

from simclr_tf import files, hashing
from simclr_tf.errors import Halted
from simclr_tf.run_files.folder import RunFolder

_NAME = "start_weights.json"


def note(
    folder: RunFolder,
    origin: Mapping[str, Any],
    *,
    encoder_sha256: str,
    frozen_sha256: str,
) -> None:
    """Writes it, before the first step.

    Args:
        folder: of the run.
        origin: what is known of the weights; "checkpoint" at least.
        encoder_sha256: of the encoder's variables.
        frozen_sha256: of those that training must leave as they are.
    """
    files.write_json(
        folder.file(_NAME),
        {
            **origin,
            "encoder_sha256": encoder_sha256,
            "frozen_sha256": frozen_sha256,
        },
    )


def read(folder: RunFolder) -> dict[str, Any]:
    """What `note` wrote for this run."""
    return files.read_json(folder.file(_NAME))


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
