"""A study of four settings whose cells cost nothing: see `fake_program`."""

import dataclasses
import pathlib
import sys

import tensorflow as tf

from simclr_tf import files
from simclr_tf.config import resolve
from simclr_tf.run_files.checkpoints import Checkpoints
from simclr_tf.studies import HeatMap, Measure, Setting, Study
from simclr_tf.studies.cells import cells_of
from simclr_tf.studies.keeping import StudyFolder

PROGRAM = (
    sys.executable,
    str(pathlib.Path(__file__).with_name("fake_program.py")),
)

STUDY = Study(
    title="Tiny",
    base={"dataset": "digits", "train_steps": 2, "temperature": 0.3},
    settings=[
        Setting(
            {"crop": crop, "colour": colour},
            flags={"min_crop_area": crop, "color_jitter_strength": colour},
            paper={"score": 12.5},
        )
        for crop in (0.1, 0.5)
        for colour in (0.0, 1.0)
    ],
    figure=HeatMap(rows="crop", columns="colour"),
    measures=(
        Measure("score", ("run:eval/label_top_*_accuracy",)),
        Measure("near", ("knn:top_1",)),
        Measure("contrast", ("log:train/contrast_acc",), scale=1.0),
    ),
    evaluations={"knn": {"protocol": "knn"}},
    seeds=2,
)
SMALL = dataclasses.replace(
    STUDY, settings=STUDY.settings[:2], evaluations={}, seeds=1
)


def planted(folder, study=STUDY, *, score, seeds=2, but=()):
    """A folder whose cells are done.

    Args:
        folder: of the study.
        score: Cell -> its first measure.
        but: indices of cells that are not.

    Returns:
        The folder, and all cells.
    """
    cells = cells_of(study, typed={}, seeds=seeds)
    kept = StudyFolder(str(folder))
    for cell in cells:
        if cell.index in but:
            continue
        pathlib.Path(kept.folder_of(cell)).mkdir(parents=True)
        found = {study.measures[0].name: (score(cell), "run:planted")}
        kept.write_done(cell, found, 1.0 + cell.index)
    return kept, cells


def known_score(cell):
    """Colour matters much, the crop a little, the seed less."""
    levels = cell.setting.levels
    return (
        0.2
        + 0.4 * levels["colour"]
        + 0.1 * levels["crop"]
        + (0.002 * cell.seed)
    )


def study_of(figure):
    """Of three factors, a full grid of twelve settings."""
    return Study(
        title="A study",
        base={},
        settings=[
            Setting(
                {"a": a, "b": b, "c": c},
                flags={"temperature": 0.1 + c + a, "proj_out_dim": ord(b)},
                paper={"linear probe": 50.0},
            )
            for a in (1, 10, 100)
            for b in "xy"
            for c in (0.0, 1.0)
        ],
        figure=figure,
    )


def plant_weights(folder, value, *, step=1):
    """A run whose checkpoint holds one number."""
    config = resolve.resolve({"dataset": "digits"}).config
    content = {"config": config.to_dict(), "data": {}}
    files.make_folders(str(folder))
    files.write_json(f"{folder}/config.json", content)
    variables = {"encoder:weight": tf.Variable(float(value))}
    Checkpoints(str(folder), variables, max_to_keep=9).save(step)
    return str(folder)
