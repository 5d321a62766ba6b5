"""Where the scalars of a run go: metrics.jsonl and TensorBoard.

Everything goes through tf.io.gfile, so that model_dir may be gs://.
"""

from collections.abc import Callable, Mapping

import numpy as np
import tensorflow as tf

from simclr_tf import files, own_files
from simclr_tf.run_files.folder import RunFolder
from simclr_tf.run_files.metrics_file import MetricsFile

gfile = tf.io.gfile


class MetricsLog:
    """Writes the scalars of a log point.

    Args:
        folder: of the run.
        optimizer: its learning rate is logged along.
        from_step: the step that training continues from.
        log_steps: between log points.

    Where the folder is another process's to write, it does nothing.
    """

    def __init__(
        self,
        folder: RunFolder,
        optimizer,
        *,
        from_step: int,
        log_steps: int,
    ):
        self._folder = folder
        self._optimizer = optimizer
        self._writer = None
        self._draw_views = None
        if not folder.writes:
            return
        self._lines = MetricsFile(
            folder.file("metrics.jsonl"),
            from_step=from_step,
            log_steps=log_steps,
        )

    def log(self, step: int, scalars: Mapping[str, float]) -> None:
        """One line and one point of every curve, after a training step."""
        rate = float(self._optimizer.learning_rate.numpy())
        self.log_scores(step, {**scalars, "train/learning_rate": rate})

    def log_scores(self, step: int, scalars: Mapping[str, float]) -> None:
        """The same without the learning rate, which only a step sets."""
        if not self._folder.writes:
            return
        if self._writer is None:
            self._writer = tf.summary.create_file_writer(self._folder.path)
        if self._draw_views is not None:
            self._write_views(self._draw_views())
            self._draw_views = None
        self._lines.append(step, scalars)
        _write_points(self._writer, step, scalars)
        self._writer.flush()

    def sync(self) -> None:
        """Returns once what was logged would outlast a power cut."""
        if self._folder.writes:
            self._lines.sync()

    @property
    def at_start(self) -> Mapping[str, float]:
        """What is logged of the step that training continues from."""
        return self._lines.at_start if self._folder.writes else {}

    def picture_views(self, draw: Callable[[], np.ndarray]) -> None:
        """views.png, and the same picture for TensorBoard, unless it is there.

        With the first line, as it takes a second, for which the first step
        need not wait.

        Args:
            draw: gives the picture, uint8[H, W, 3].
        """
        path = self._folder.file(own_files.VIEWS)
        if self._folder.writes and not gfile.exists(path):
            self._draw_views = draw

    def close(self) -> None:
        """Flushes what TensorBoard reads."""
        if self._writer is not None:
            self._writer.close()

    def _write_views(self, picture: np.ndarray) -> None:
        path = self._folder.file(own_files.VIEWS)
        files.write_bytes(path, tf.io.encode_png(picture).numpy())
        with self._writer.as_default(np.asarray(0, np.int64)):
            tf.summary.image("views", picture[None])


def write_scalars(folder: str, step: int, scalars: Mapping[str, float]) -> None:
    """One TensorBoard point per scalar, in a folder of their own."""
    writer = tf.summary.create_file_writer(folder)
    _write_points(writer, step, scalars)
    writer.close()


def _write_points(writer, step: int, scalars: Mapping[str, float]) -> None:
    # TensorFlow keeps every Python number that was ever made a tensor, 11 KB
    # at each log point; it doesn't keep arrays.
    with writer.as_default(np.asarray(step, np.int64)):
        for name, value in scalars.items():
            tf.summary.scalar(name, np.asarray(value, np.float32))
