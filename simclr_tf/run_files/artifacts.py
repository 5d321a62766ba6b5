"""What a run writes as it goes, and whether it can.

Everything goes through tf.io.gfile, so that model_dir may be gs://.
"""

import json
import os
from collections.abc import Mapping

import tensorflow as tf

from simclr_tf import files
from simclr_tf.errors import UserError

gfile = tf.io.gfile


def require_writable(folder: str) -> None:
    """Creates the folder, and fails if nothing can be written in it.

    Raises:
        UserError: naming --model_dir.
    """
    probe = os.path.join(folder, f".writable-{os.getpid()}")
    try:
        gfile.makedirs(folder)
        with gfile.GFile(probe, "w") as file:
            file.write("x")
        gfile.remove(probe)
    except (tf.errors.OpError, OSError) as error:
        reason = getattr(error, "message", None) or str(error)
        raise UserError(
            f"--model_dir={folder} cannot be written to: {reason}"
        ) from error


class MetricsFile:
    """metrics.jsonl: a line per log point, every scalar.

    Args:
        path: the file.
        from_step: the step that training continues from; what a killed run
            logged beyond it will be logged again, so it goes.
    """

    def __init__(self, path: str, *, from_step: int):
        self._path = path
        if gfile.exists(path):
            with gfile.GFile(path, "r") as file:
                kept = [
                    line
                    for line in file.read().splitlines()
                    if _step_of(line) <= from_step
                ]
            files.write_bytes(path, "".join(f"{k}\n" for k in kept).encode())

    def append(self, step: int, scalars: Mapping[str, float]) -> None:
        """Adds one line."""
        line = json.dumps({"step": step, **scalars})
        with gfile.GFile(self._path, "a") as file:
            file.write(line + "\n")


def _step_of(line: str) -> float:
    try:
        return json.loads(line)["step"]
    except (json.JSONDecodeError, KeyError, TypeError):
        return float("inf")  # the last line of a run that was killed
