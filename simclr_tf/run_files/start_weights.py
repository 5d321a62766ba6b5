"""start_weights.json: what a classifier was built upon, and stays upon."""

from collections.abc import Mapping
from typing import Any

from simclr_tf import errors, files, hashing
from simclr_tf.build import network

_NAME = "start_weights.json"


def note(run, start: Mapping[str, Any]) -> None:
    """Writes it, with hashes of the weights as they are.

    Args:
        run: the `Experiment`, before its first step.
        start: what is known of their origin; "checkpoint" at least.
    """
    if not run.hosts.is_chief:
        return
    frozen = network.frozen_variables(run.model, run.config)
    files.write_json(
        run.folder.file(_NAME),
        {
            **start,
            "encoder_sha256": hashing.variables_sha256(
                run.model.encoder.variables
            ),
            "frozen_sha256": hashing.variables_sha256(frozen),
        },
    )


def read(run) -> dict[str, Any]:
    """What `note` wrote for this run."""
    return files.read_json(run.folder.file(_NAME))


def require_frozen(run) -> None:
    """Frozen means frozen: the same bits as the checkpoint's.

    Raises:
        errors.Halted: they are not.
    """
    path = run.folder.file(_NAME)
    frozen = network.frozen_variables(run.model, run.config)
    if not frozen or not files.gfile.exists(path):
        return
    if hashing.variables_sha256(frozen) != read(run)["frozen_sha256"]:
        raise errors.Halted(
            "The frozen part of the encoder is not what it was when "
            f"training began ({path}). The result would not be that of "
            "the checkpoint's features; this is a fault of simclr_tf's, "
            "or the checkpoints of --model_dir have been exchanged."
        )
    print(f"Frozen and unchanged: {len(frozen)} variables.")
