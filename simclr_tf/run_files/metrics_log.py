"""Where the scalars of a run go: metrics.jsonl and TensorBoard.

Everything goes through tf.io.gfile, so that model_dir may be gs://.
"""

import json
from collections.abc import Callable, Mapping

import numpy as np
import tensorflow as tf

from simclr_tf import files
from simclr_tf.run_files.folder import RunFolder

gfile = tf.io.gfile


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


class MetricsLog:
    """Writes the scalars of a log point.

    Args:
        folder: of the run.
        optimizer: its learning rate is logged along.
        from_step: the step that training continues from.

    Where the folder is another process's to write, it does nothing.
    """

    def __init__(self, folder: RunFolder, optimizer, *, from_step: int):
        self._folder = folder
        self._optimizer = optimizer
        self._writer = None
        self._draw_views = None
        if not folder.writes:
            return
        self._lines = MetricsFile(
            folder.file("metrics.jsonl"), from_step=from_step
        )
        self._writer = tf.summary.create_file_writer(folder.path)

    def log(self, step: int, scalars: Mapping[str, float]) -> None:
        """One line and one point of every curve."""
        if self._writer is None:
            return
        if self._draw_views is not None:
            self._write_views(self._draw_views())
            self._draw_views = None
        rate = float(self._optimizer.learning_rate.numpy())
        scalars = {**scalars, "train/learning_rate": rate}
        self._lines.append(step, scalars)
        with self._writer.as_default(step):
            for name, value in scalars.items():
                tf.summary.scalar(name, value)
        self._writer.flush()

    def picture_views(self, draw: Callable[[], np.ndarray]) -> None:
        """views.png, and the same picture for TensorBoard, unless it is there.

        With the first line, as it takes a second, for which the first step
        need not wait.

        Args:
            draw: gives the picture, uint8[H, W, 3].
        """
        path = self._folder.file("views.png")
        if self._writer is not None and not gfile.exists(path):
            self._draw_views = draw

    def close(self) -> None:
        """Flushes what TensorBoard reads."""
        if self._writer is not None:
            self._writer.close()

    def _write_views(self, picture: np.ndarray) -> None:
        path = self._folder.file("views.png")
        files.write_bytes(path, tf.io.encode_png(picture).numpy())
        with self._writer.as_default(0):
            tf.summary.image("views", picture[None])


def write_scalars(folder: str, step: int, scalars: Mapping[str, float]) -> None:
    """One TensorBoard point per scalar, in a folder of their own."""
    writer = tf.summary.create_file_writer(folder)
    with writer.as_default(step):
        for name, value in scalars.items():
            tf.summary.scalar(name, value)
    writer.close()


def _step_of(line: str) -> float:
    try:
        return json.loads(line)["step"]
    except (json.JSONDecodeError, KeyError, TypeError):
        return float("inf")  # the last line of a run that was killed
