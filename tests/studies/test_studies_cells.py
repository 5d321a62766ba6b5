"""A study's commands: what they say, and which cell is which."""

import dataclasses
import json
import pathlib
import re
import shlex
import shutil

import numpy as np
import pytest

from flags import definitions
from simclr_tf.config import resolve
from simclr_tf.errors import UserError
from simclr_tf.run_files import loading
from simclr_tf.studies import (
    Curves,
    HeatMap,
    Measure,
    Setting,
    Study,
    catalog,
)
from simclr_tf.studies.cells import cells_of
from tests.studies import tiny

ROOT = pathlib.Path(__file__).parents[2]
# Digests of the tiny study's cells, as they begin.
KNOWN = ["7aaa675e6b", "4017051728", "c448bab045", "1a37a7eef0"]


def test_a_cell_is_a_training_and_its_evaluations():
    first, *_ = cells_of(tiny.STUDY, typed={"data_dir": "D"}, seeds=1)
    train, knn = first.line("S/cells").split(" && ")
    place = f"S/cells/{first.name}"
    assert train == (
        f"python run.py --mode=train_then_eval --model_dir={place}/run "
        "--dataset=digits --train_steps=2 --temperature=0.3 --data_dir=D "
        "--min_crop_area=0.1 --color_jitter_strength=0.0 --seed=0"
    )
    assert knn == (
        f"python run.py --mode=evaluate --model_dir={place}/knn "
        f"--checkpoint={place}/run --data_dir=D --protocol=knn --seed=0"
    )


def test_what_is_typed_wins_over_the_base_and_goes_where_it_is_taken():
    typed = {"temperature": 0.7, "train_epochs": 3.0, "eval_batch_size": 8}
    first, *_ = cells_of(tiny.STUDY, typed=typed, seeds=1)
    train, knn = (command.flags for command in first.commands)
    assert train["temperature"] == 0.7
    assert train["train_epochs"] == 3.0
    assert "train_steps" not in train
    assert knn == {
        "mode": "evaluate",
        "eval_batch_size": 8,
        "protocol": "knn",
        "seed": 0,
    }


@pytest.mark.parametrize(
    "typed", [{"min_crop_area": 0.2}, {"protocol": "knn"}], ids=str
)
def test_what_the_study_varies_cannot_be_typed(typed):
    with pytest.raises(UserError, match="is what this study says itself"):
        cells_of(tiny.STUDY, typed=typed, seeds=1)


def test_steps_cannot_be_typed_where_epochs_are_compared():
    study = catalog.find("batch_epochs", size="quick")
    with pytest.raises(UserError, match="train_steps=5 is what this study"):
        cells_of(study, typed={"train_steps": 5}, seeds=1)


def test_more_seeds_leave_cells_as_they_are():
    two = cells_of(tiny.STUDY, typed={}, seeds=2)
    three = cells_of(tiny.STUDY, typed={}, seeds=3)
    assert three[: len(two)] == two
    assert [cell.index for cell in three] == list(range(12))
    assert len({cell.digest for cell in three}) == 12


def test_a_digest_is_of_what_is_computed():
    def digest(**typed):
        return cells_of(tiny.STUDY, typed=typed, seeds=1)[0].digest

    assert digest() == digest(log_steps=3) == digest(virtual_devices=2)
    others = [digest(temperature=0.4), digest(data_dir="D")]
    assert len({digest(), *others}) == 3


def digest_from(**typed):
    return cells_of(tiny.SMALL, typed=typed, seeds=1)[0].digest


def test_a_digest_is_of_the_weights_that_a_cell_starts_from(tmp_path):
    """Wherever they lie: one that is moved stays what it is."""
    one = tiny.plant_weights(tmp_path / "one", 1.0)
    before = digest_from(checkpoint=one)
    assert before != digest_from()
    moved = shutil.move(one, tmp_path / "moved")
    assert digest_from(checkpoint=str(moved)) == before
    other = tiny.plant_weights(tmp_path / "one", 2.0)
    assert digest_from(checkpoint=other) != before


def test_a_run_that_went_on_is_other_weights(tmp_path):
    one = tiny.plant_weights(tmp_path / "one", 1.0, step=1)
    before = digest_from(checkpoint=one)
    tiny.plant_weights(tmp_path / "one", 2.0, step=2)
    assert digest_from(checkpoint=one) != before
    assert digest_from(checkpoint=f"{one}/ckpt-1") == before


def test_a_student_s_first_weights_count_beside_its_teacher_s(tmp_path):
    one, two = (
        tiny.plant_weights(tmp_path / name, value)
        for name, value in (("one", 1.0), ("two", 2.0))
    )
    typed = {"train_mode": "distill", "checkpoint": one}
    found = {
        digest_from(**typed),
        digest_from(**typed, student_checkpoint=one),
        digest_from(**typed, student_checkpoint=two),
        digest_from(**{**typed, "checkpoint": two}, student_checkpoint=one),
    }
    assert len(found) == 4


def test_weights_are_read_once_for_all_cells(tmp_path, monkeypatch):
    read, opened = loading.open_weights, []
    monkeypatch.setattr(
        loading,
        "open_weights",
        lambda *a, **k: opened.append(a) or read(*a, **k),
    )
    one = tiny.plant_weights(tmp_path / "one", 1.0)
    cells_of(tiny.STUDY, typed={"checkpoint": one}, seeds=3)
    assert len(opened) == 1


def test_weights_that_are_not_there_are_refused_at_once(tmp_path):
    with pytest.raises(UserError, match="gone does not exist"):
        digest_from(checkpoint=str(tmp_path / "gone"))


def test_a_digest_is_of_the_sample_that_is_scored():
    """Its size is steps times the batch, which is else the machine's."""
    assert digest_from(eval_batch_size=64) == digest_from()
    sampled = digest_from(eval_steps=2)
    assert digest_from(eval_steps=2, eval_batch_size=64) != sampled
    assert digest_from(eval_steps=2, eval_batch_size=256) == sampled


def test_digests_are_what_they_were():
    """What is done in a folder of an older version stays done."""
    cells = cells_of(tiny.STUDY, typed={}, seeds=1)
    assert [cell.digest[:10] for cell in cells] == KNOWN


def test_a_cell_that_would_be_refused_is_refused_at_once():
    study = Study(
        title="Wrong",
        base={},
        settings=[Setting({"depth": 11}, flags={"resnet_depth": 11})],
        figure=Curves(x="depth"),
    )
    with pytest.raises(UserError, match=r"resnet_depth.*\(Of the cell: depth"):
        cells_of(study, typed={}, seeds=1)


@pytest.mark.parametrize("size", ["quick", "paper"])
@pytest.mark.parametrize("name", catalog.names())
def test_shipped_commands_are_parsed_to_what_was_meant(name, size):
    study = catalog.find(name, size=size)
    few = study.settings[:: max(1, len(study.settings) // 5)]
    study = dataclasses.replace(study, settings=few)
    for cell in cells_of(study, typed={}, seeds=1):
        for command in cell.commands:
            arguments = shlex.split(shlex.join(command.arguments("S")))
            parsed = definitions.parse(["run.py", *arguments])
            resolve.resolve(parsed.given)
            given = {n: parsed.given[n] for n in command.flags}
            assert given == dict(command.flags)


@pytest.mark.parametrize(
    ("page", "counts", "most_lines"),
    [("studies.md", [49, 27], 20), ("own_pictures.md", [15], 40)],
)
def test_the_studies_of_the_docs(tmp_path, page, counts, most_lines):
    text = (ROOT / "docs" / page).read_text()
    blocks = re.findall(r"```python\n([^`]*\nSTUDY = [^`]*)```", text)
    found = []
    for block in blocks:
        path = tmp_path / "MINE.py"
        path.write_text(block)
        assert len(block.splitlines()) <= most_lines
        study = catalog.find(str(path), size="quick")
        found.append(len(cells_of(study, typed={}, seeds=study.seeds)))
    assert found == counts


def test_the_docs_count_the_runs():
    page = (ROOT / "docs" / "studies.md").read_text()
    told = re.findall(r"^\| `(\w+)` .* (\d+) \|$", page, re.MULTILINE)
    found = [(n, catalog.find(n, size="quick")) for n in catalog.names()]
    assert dict(told) == {
        name: str(len(study.settings) * study.seeds) for name, study in found
    }


def test_a_study_of_a_file(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text("from tests.studies.tiny import STUDY\n")
    assert catalog.find(str(path), size="paper") is tiny.STUDY


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (None, "no such file"),
        ("X = 1\n", "defines no STUDY"),
        ("X = 1\n1 / 0\n", "in line 2: ZeroDivisionError: division by zero"),
        ("import sys\nsys.exit(0)\n", "in line 2: SystemExit: 0"),
        ("STUDY = (\n", "SyntaxError"),
    ],
)
def test_a_file_that_is_no_study_costs_a_line(tmp_path, text, words):
    path = tmp_path / "mine.py"
    if text is not None:
        path.write_text(text)
    with pytest.raises(UserError, match=words):
        catalog.find(str(path), size="quick")


def wrong(**changes):
    """A study as a file of the user's may make it."""
    kept = {
        "title": "Mine",
        "base": {},
        "settings": [Setting({"a": 1, "b": 2})],
        "figure": Curves(x="a"),
    }
    return Study(**{**kept, **changes})


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: wrong(settings=[]), "needs settings"),
        (lambda: wrong(seeds=0), "seeds must be at least 1"),
        (lambda: Setting({"a": None}), "text or a finite number"),
        (lambda: Setting({"a": float("nan")}), "text or a finite number"),
        (lambda: Setting({"a": 1}, flags=["x"]), "flags .* must be a dict"),
        (lambda: Measure("m", "run:x"), "must be a tuple"),
        (lambda: wrong(figure=HeatMap("a", "a")), "Two factors of the figure"),
        (lambda: wrong(settings=[Setting({"a": 1, "seed": 2})]), "'seed'"),
        (lambda: wrong(measures=[Measure("a", ("run:x",))]), "called 'a'"),
        (lambda: wrong(measures=[Measure("m", ("x:y",))]), "neither run:"),
        (
            lambda: wrong(
                measures=[
                    Measure("m", ("run:x",), panel="p"),
                    Measure("n", ("run:y",), panel="p", scale=1.0),
                ]
            ),
            "panel 'p' must have one scale",
        ),
        (
            lambda: wrong(
                measures=[
                    Measure("m", ("run:x",), panel="p", line="h"),
                    Measure("n", ("run:y",), panel="p", line="h"),
                ]
            ),
            "Two lines of the panel 'p'",
        ),
        (lambda: wrong(evaluations={"run": {}}), "'run': its folder is"),
        (lambda: wrong(evaluations={"../x": {}}), "its folder is"),
        (lambda: wrong(evaluations={"cell.json": {}}), "its folder is"),
        (lambda: wrong(evaluations={"e": 7}), "must be a dict of options"),
        (
            lambda: Setting({"a": 1}, evaluations={"e": 7}),
            "must be a dict of options",
        ),
    ],
)
def test_a_study_that_cannot_be_is_none(make, words):
    with pytest.raises(ValueError, match=words):
        make()


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ({"no_such": 1}, "no_such=1, which is no option"),
        ({"seed": 1}, "seed=1, which is told to a cell"),
        ({"model_dir": "x"}, "model_dir='x', which is told"),
        ({"eval_split": None}, "eval_split=None, which cannot be typed"),
        ({"train_steps": 0.5}, "train_steps must be a whole number"),
        ({"train_mode": "pretrian"}, "train_mode must be one of pretrain, "),
    ],
)
def test_what_a_study_cannot_say_costs_a_line(said, words):
    cases = [
        wrong(base=said),
        wrong(settings=[Setting({"a": 1, "b": 2}, flags=said)]),
        wrong(settings=[Setting({"a": 1, "b": 2}, base=said)]),
    ]
    for study in cases:
        with pytest.raises(UserError, match=words):
            cells_of(study, typed={}, seeds=1)


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (
            {"protocol": "knn", "checkpoint": "x"},
            "checkpoint='x', which is told",
        ),
        ({"protocol": "linear"}, "protocol must be one of probe, logistic, "),
    ],
)
def test_what_a_study_cannot_say_of_an_evaluation(said, words):
    with pytest.raises(UserError, match=words):
        cells_of(wrong(evaluations={"it": said}), typed={}, seeds=1)


def test_cells_of_one_folder_are_refused():
    """Equal options, and words that begin alike."""
    same = [Setting({"a": "x" * 60 + end, "b": 2}) for end in "yz"]
    with pytest.raises(UserError, match="ask for the same"):
        cells_of(wrong(settings=same), typed={}, seeds=1)


def test_levels_of_numpy_are_python_s():
    levels = Setting({"a": np.int64(3), "b": np.float32(0.5)}).levels
    assert json.dumps(levels) == '{"a": 3, "b": 0.5}'


@pytest.mark.parametrize("name", [None, "no_such_study"])
def test_the_names_are_told(name):
    with pytest.raises(UserError, match="augment_pairs"):
        catalog.find(name, size="quick")
