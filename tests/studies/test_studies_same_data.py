"""Cells of one table are of one data set."""

import json
import pathlib

import pytest

from simclr_tf import files
from simclr_tf.config import resolve
from simclr_tf.errors import UserError
from simclr_tf.studies.cells import cells_of
from simclr_tf.studies.keeping import StudyFolder
from tests.studies import tiny

THREE = {
    "fingerprint": "f3",
    "num_examples": 30,
    "class_names": ["cat", "cow", "dog"],
}
TWO = {
    "fingerprint": "f2",
    "num_examples": 20,
    "class_names": ["cat", "cow"],
}


@pytest.fixture
def cells():
    return cells_of(tiny.STUDY, typed={}, seeds=1)


@pytest.fixture
def folder(tmp_path):
    return StudyFolder(str(tmp_path))


def write(path, **content):
    pathlib.Path(path).parent.mkdir(parents=True, exist_ok=True)
    pathlib.Path(path).write_text(json.dumps(content))


def run(folder, cell, data, *, scored="e", near="n", **given):
    """What the commands of a cell leave."""
    config = resolve.resolve({"dataset": "digits", **given}).config.to_dict()
    write(folder.file_of(cell, "run/config.json"), config=config, data=data)
    write(folder.file_of(cell, "run/result.json"), eval_fingerprint=scored)
    write(
        folder.file_of(cell, "knn/knn.json"),
        metrics={},
        splits={"test": {"fingerprint": near}},
    )


def done(folder, cell, data, **more):
    run(folder, cell, data, **more)
    folder.write_done(cell, {"score": (0.5, "run:x")}, 1.0)


def test_a_cell_keeps_which_data_it_read(folder, cells):
    done(folder, cells[0], THREE)
    kept = folder.outcome(cells[0]).data
    assert kept["run"]["fingerprints"] == {"train": "f3", "eval": "e"}
    assert kept["knn"]["fingerprints"] == {"test": "n"}
    assert kept["run"]["class_names"] == ["cat", "cow", "dog"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"data": TWO}, r"20 images, then 30; .*\(gone: dog\)"),
        ({"data": {**THREE, "fingerprint": "x"}}, "of other contents"),
        ({"scored": "x"}, "as --eval_split, of other contents"),
        ({"near": "x"}, r"\(knn\): as --test_split, of other contents"),
    ],
    ids=str,
)
def test_a_cell_of_other_data_does_not_join(folder, cells, change, words):
    done(folder, cells[0], THREE)
    run(folder, cells[1], **{"data": THREE, **change})
    with pytest.raises(UserError, match=words):
        folder.same_data(cells).require(cells[1])


def test_cells_of_the_same_data_join(folder, cells):
    done(folder, cells[0], THREE)
    run(folder, cells[1], THREE)
    folder.same_data(cells).require(cells[1])


def start(folder, cell, sha256, *, teacher=None, checkpoint="C"):
    run(folder, cell, THREE, checkpoint=checkpoint)
    write(
        folder.file_of(cell, "run/start_weights.json"),
        checkpoint=None if teacher else f"{checkpoint}/ckpt-1",
        encoder_sha256=sha256,
        frozen_sha256=teacher,
        teacher=teacher and {"checkpoint": "C/ckpt-1"},
    )


@pytest.mark.parametrize(
    ("first", "second", "joins"),
    [
        ({"sha256": "a"}, {"sha256": "a"}, True),
        ({"sha256": "a"}, {"sha256": "b"}, False),
        ({"sha256": "a"}, {"sha256": "b", "checkpoint": "D"}, True),
        # A student of the seed's first weights.
        (
            {"sha256": "a", "teacher": "t"},
            {"sha256": "b", "teacher": "t"},
            True,
        ),
        (
            {"sha256": "a", "teacher": "t"},
            {"sha256": "a", "teacher": "u"},
            False,
        ),
    ],
    ids=str,
)
def test_cells_of_one_checkpoint_start_from_the_same_weights(
    folder, cells, first, second, joins
):
    """A run that is named as --checkpoint may train on amid a study."""
    start(folder, cells[0], **first)
    folder.write_done(cells[0], {"score": (0.5, "run:x")}, 1.0)
    start(folder, cells[1], **second)
    data = folder.same_data(cells)
    if joins:
        data.require(cells[1])
        return
    with pytest.raises(UserError, match="C has trained on or been replaced"):
        data.require(cells[1])


def test_a_study_may_compare_data(folder, cells):
    """Who asks for something else may find something else."""
    done(folder, cells[0], THREE)
    run(folder, cells[1], TWO, train_split="train[:20]")
    folder.same_data(cells).require(cells[1])


@pytest.mark.parametrize(
    "harm", [{}, {"data": None}, {"data": [1]}, {"data": {"run": 1}}], ids=str
)
def test_cells_that_say_nothing_count_as_before(folder, cells, harm):
    done(folder, cells[0], THREE)
    path = folder.file_of(cells[0], "cell.json")
    content = files.read_json(path)
    del content["data"]
    files.write_json(path, {**content, **harm})
    assert folder.is_done(cells[0])
    run(folder, cells[1], TWO)
    folder.same_data(cells).require(cells[1])
    folder.same_data(cells).require_here(lambda place: pytest.fail("asked"))


def test_what_is_here_is_looked_at_once(folder, cells):
    done(folder, cells[0], THREE)
    done(folder, cells[1], THREE)
    data, asked = folder.same_data(cells), []
    before = folder.outcome(cells[0]).data["run"]
    data.require_here(lambda place: asked.append(place) or before)
    assert asked == [folder.file_of(cells[0], "run")]
    data.require_here(lambda place: None)
    now = {**before, "fingerprints": {"train": "x", "eval": "e"}}
    with pytest.raises(UserError, match="Give it the images and labels"):
        data.require_here(lambda place: now)
