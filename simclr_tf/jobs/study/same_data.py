"""That all cells of a study learn from the same images."""

import contextlib
from collections.abc import Sequence

from simclr_tf.build import splits
from simclr_tf.config import Config, resolve, roles
from simclr_tf.config.option import Role
from simclr_tf.data.sources import Source
from simclr_tf.errors import UserError
from simclr_tf.run_files import folder as run_folder
from simclr_tf.run_files.folder import RunFolder, SavedRun
from simclr_tf.studies.cells import RUN, Cell
from simclr_tf.studies.keeping import StudyFolder


def require(cells: Sequence[Cell], folder: StudyFolder) -> None:
    """Checks that the data is what the cells that are done were trained on.

    Args:
        cells: that are asked for. Where none is missing, nothing is opened.
        folder: of the study.

    Raises:
        UserError: it is not, or cannot be opened.
    """
    done = [cell for cell in cells if folder.is_done(cell)]
    if len(done) == len(cells):
        return
    opened: dict[str, Source] = {}
    for cell in done:
        saved = _saved(folder, cell)
        if saved is None or "fingerprint" not in saved.data:
            continue
        config = _config(cell)
        read = repr(roles.values_of(config, Role.DATASET | Role.DATA))
        if read not in opened:
            opened[read], _ = splits.open_training(config)
        now = _facts(opened[read])
        before = {n: v for n, v in saved.data.items() if n in now}
        if before["fingerprint"] != now["fingerprint"]:
            raise UserError(
                f"--model_dir={folder.path} has cells that were trained on "
                "other data than is there now, and a table would compare "
                f"both: {run_folder.differences(before, now)} "
                f"({cell.words}). Give the study the images and labels that "
                "it began with, or choose another --model_dir."
            )


def _saved(folder: StudyFolder, cell: Cell) -> SavedRun | None:
    """What a cell's run says of itself; None where it says nothing."""
    with contextlib.suppress(UserError):
        return RunFolder(folder.file_of(cell, RUN)).saved()
    return None


def _config(cell: Cell) -> Config:
    """Of a cell's training, but without a copy of its images."""
    flags = dict(cell.commands[0].flags)
    defaults = flags.pop("defaults", "paper")
    config = resolve.resolve(flags, defaults=defaults).config
    return resolve.overlay(config, {"cache_dataset": "false"})


def _facts(source: Source) -> dict[str, object]:
    """Those of `jobs.training_run` that the data alone decides."""
    return {
        "fingerprint": source.fingerprint,
        "num_examples": source.num_examples,
        "class_names": list(source.class_names),
    }
