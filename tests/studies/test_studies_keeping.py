"""Whose a cell is, and when it counts."""

import json
import pathlib
import time

import pytest

from simclr_tf import files
from simclr_tf.errors import UserError
from simclr_tf.run_files import owner
from simclr_tf.studies.cells import cells_of
from simclr_tf.studies.keeping import StudyFolder, measured
from simclr_tf.studies.study import Measure
from tests.studies import tiny


@pytest.fixture
def cell():
    return cells_of(tiny.STUDY, typed={}, seeds=1)[1]


@pytest.fixture
def folder(tmp_path):
    return StudyFolder(str(tmp_path))


def plant(folder, cell, name, **content):
    path = pathlib.Path(folder.file_of(cell, name))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))


def test_a_cell_is_claimed_once_until_it_is_released(folder, cell):
    claim = folder.claim(cell)
    assert folder.claim(cell) is None
    assert folder.num_claimed([cell]) == 1
    claim.release()
    assert folder.num_claimed([cell]) == 0
    folder.claim(cell).release()


@pytest.mark.parametrize(
    ("beat_ago", "free"), [(1.0, False), (owner.DEAD_SECONDS + 1, True)]
)
@pytest.mark.parametrize("name", ["claim.json", "run/owner.json"])
def test_another_machine_s_claim_expires(folder, cell, name, beat_ago, free):
    """The cell's, and that of a run that outlived its worker."""
    beat = time.time() - beat_ago
    plant(folder, cell, name, host="elsewhere", pid=1, token="t", beat=beat)
    claim = folder.claim(cell)
    assert (claim is not None) is free
    if claim:
        claim.release()


def test_a_dead_process_s_claim_is_taken_over(folder, cell):
    with owner_of_dead(folder, cell):
        claim = folder.claim(cell)
    assert claim is not None
    claim.release()


class owner_of_dead:  # noqa: N801
    """A claim of a process of this machine that is no more."""

    def __init__(self, folder, cell):
        plant(
            folder,
            cell,
            "claim.json",
            host=owner.socket.gethostname(),
            boot=owner._boot_id(),
            pid=2**22 + 1,
            process_started="1",
            token="t",
            beat=time.time(),
        )

    def __enter__(self):
        return self

    def __exit__(self, *_):
        return False


def test_a_cell_counts_by_its_whole_cell_json_alone(folder, cell):
    assert not folder.is_done(cell)
    plant(folder, cell, "run/result.json", x=1)
    assert not folder.is_done(cell)
    folder.write_done(cell, {"score": (0.5, "run:x")}, 3.14)
    found = folder.outcome(cell)
    assert found.values == {"score": 0.5}
    assert found.sources == {"score": "run:x"}
    path = pathlib.Path(folder.file_of(cell, "cell.json"))
    content = json.loads(path.read_text())
    assert content["commands"] == cell.line(folder.cells).split(" && ")
    path.write_text(path.read_text()[:-20])
    assert not folder.is_done(cell)


@pytest.mark.parametrize(
    "harm",
    [
        {"measures": None},
        {"measures": ["score"]},
        {"measures": {"score": "0.5"}},
        {"measures": {"score": float("nan")}},
        {"measures": {"near": 0.5}},
        {"sources": None},
        {"seconds": "1"},
        {"asked": {"score": ["run:y"]}},
        {"asked": None},
    ],
    ids=str,
)
def test_a_cell_json_of_other_content_does_not_count(folder, cell, harm):
    folder = StudyFolder(folder.path, measures=(Measure("score", ("run:x",)),))
    folder.claim(cell).release()
    folder.write_done(cell, {"score": (0.5, "run:x")}, 1.0)
    path = folder.file_of(cell, "cell.json")
    assert folder.is_done(cell)
    files.write_json(path, {**files.read_json(path), **harm})
    assert not folder.is_done(cell)
    plant(folder, cell, "failed.json", error="x", time="yesterday")
    assert not folder.failed_since(cell, 0.0)


def test_a_cell_of_other_options_does_not_count(folder, cell):
    folder.claim(cell).release()
    folder.write_done(cell, {"score": (0.5, "run:x")}, 1.0)
    path = folder.file_of(cell, "cell.json")
    files.write_json(path, {**files.read_json(path), "digest": "other"})
    assert not folder.is_done(cell)


def test_a_failure_holds_until_the_cell_is_done(folder, cell):
    folder.claim(cell).release()
    before = time.time()
    folder.write_failed(cell, "status 3: no room.")
    assert folder.outcome(cell).error == "status 3: no room."
    assert folder.failed_since(cell, before)
    assert not folder.failed_since(cell, time.time() + 1)
    folder.write_done(cell, {"score": (0.5, "run:x")}, 1.0)
    assert folder.outcome(cell).error is None


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_what_is_not_finite_is_no_number(folder, cell, value):
    where, key = folder.folder_of(cell), "eval/label_top_1_accuracy"
    plant(folder, cell, "run/result.json", **{key: value})
    with pytest.raises(UserError, match=f"score is {value}"):
        measured(where, cell, tiny.STUDY.measures)
    plant(folder, cell, "run/result.json", **{key: 0.5})
    plant(folder, cell, "knn/knn.json", metrics={"top_1": {"value": value}})
    found = measured(where, cell, tiny.STUDY.measures)
    assert found == {"score": (0.5, f"run:{key}")}
    damaged = {"top_1": 0.5, "other": {"low": 1}}
    plant(folder, cell, "knn/knn.json", metrics=damaged, metric=["top_1"])
    assert measured(where, cell, tiny.STUDY.measures) == found


def test_numbers_come_from_records(tmp_path, cell):
    folder = StudyFolder(str(tmp_path / "a folder [1] * ?"))
    where = folder.folder_of(cell)
    with pytest.raises(UserError, match="has no score"):
        measured(where, cell, tiny.STUDY.measures)
    plant(folder, cell, "run/result.json", **{"eval/label_top_1_accuracy": 0.5})
    assert measured(where, cell, tiny.STUDY.measures) == {
        "score": (0.5, "run:eval/label_top_1_accuracy")
    }
    plant(folder, cell, "knn/cache.json", other=1)
    plant(
        folder,
        cell,
        "knn/knn_digits_0123.json",
        metric="k10/top_1",
        metrics={
            f"k{k}/top_1": {"value": value, "low": 0.6, "high": 0.8}
            for k, value in ((20, 0.5), (10, 0.7))
        },
    )
    rows = [
        {"step": 1, "train/contrast_acc": 0.1},
        {"step": 2, "train/contrast_acc": 0.9},
        {"step": 2, "knn/top_1": 0.3},
    ]
    text = "".join(json.dumps(row) + "\n" for row in rows)
    pathlib.Path(where, "run", "metrics.jsonl").write_text(text)
    found = measured(where, cell, tiny.STUDY.measures)
    assert found["near"] == (0.7, "knn:top_1")
    assert found["contrast"] == (0.9, "log:train/contrast_acc")
