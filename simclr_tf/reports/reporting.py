"""Where the scalars of a run go: metrics.jsonl and TensorBoard."""

import functools
from collections.abc import Mapping

import tensorflow as tf

from simclr_tf import files
from simclr_tf.build import batches
from simclr_tf.reports import pictures
from simclr_tf.run_files import artifacts
from simclr_tf.run_files.folder import RunFolder

_PICTURED_IMAGES = 8


class Reporter:
    """Writes the scalars of a log point.

    Args:
        folder: of the run.
        optimizer: its learning rate is reported along.
        from_step: the step that training continues from.

    Where the folder is another process's to write, it does nothing.
    """

    def __init__(self, folder: RunFolder, optimizer, *, from_step: int):
        self._folder = folder
        self._optimizer = optimizer
        self._writer = None
        self._draw_picture = None
        if not folder.writes:
            return
        self._lines = artifacts.MetricsFile(
            folder.file("metrics.jsonl"), from_step=from_step
        )
        self._writer = tf.summary.create_file_writer(folder.path)

    def log(self, step: int, scalars: Mapping[str, float]) -> None:
        """One line and one point of every curve."""
        if self._writer is None:
            return
        if self._draw_picture is not None:
            self._draw_picture()
            self._draw_picture = None
        rate = float(self._optimizer.learning_rate.numpy())
        scalars = {**scalars, "train/learning_rate": rate}
        self._lines.append(step, scalars)
        with self._writer.as_default(step):
            for name, value in scalars.items():
                tf.summary.scalar(name, value)
        self._writer.flush()

    def picture_views(self, config, source) -> None:
        """views.png, and the same picture for TensorBoard, unless it is there.

        With the first line, as it takes a second, for which the first step
        need not wait.
        """
        path = self._folder.file("views.png")
        if self._writer is not None and not files.gfile.exists(path):
            self._draw_picture = functools.partial(
                self._picture_views, path, config, source
            )

    def _picture_views(self, path, config, source):
        views = batches.sample_views(config, source, _PICTURED_IMAGES)
        picture = pictures.grid(views)
        files.write_bytes(
            path,
            tf.io.encode_png(picture).numpy(),
        )
        with self._writer.as_default(0):
            tf.summary.image("views", picture[None])

    def close(self) -> None:
        """Flushes what TensorBoard reads."""
        if self._writer is not None:
            self._writer.close()


def write_scalars(folder: str, step: int, scalars: Mapping[str, float]) -> None:
    """One TensorBoard point per scalar, in a folder of their own."""
    writer = tf.summary.create_file_writer(folder)
    with writer.as_default(step):
        for name, value in scalars.items():
            tf.summary.scalar(name, value)
    writer.close()
