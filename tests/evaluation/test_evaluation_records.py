"""Records: whole, true to their predictions, and side by side."""

import dataclasses
import json

import numpy as np
import pytest
from scipy import stats

from simclr_tf.errors import UserError
from simclr_tf.evaluation import metrics, records
from simclr_tf.evaluation.__main__ import main
from simclr_tf.reports import paper_numbers, tables

FACTS = records.split_facts("train", 1000, "abc")
RESNET_50 = {"resnet_depth": 50, "width_multiplier": 1, "sk_ratio": 0.0}


def scored(seed, num_examples=200, skill=1.0):
    rng = np.random.default_rng([seed])
    labels = np.random.default_rng(0).integers(0, 6, num_examples)
    scores = rng.normal(size=(num_examples, 6)) + skill * np.eye(6)[labels]
    return scores, labels


def record_of(scores, labels, **changes):
    fields = {
        "protocol": "logistic",
        "scored": "logistic regression",
        "choices": {"l2": 1.0},
        "encoder": "runs/one/ckpt-5, step 5",
        "encoder_kind": "checkpoint",
        "encoder_frozen": True,
        "encoder_sha256_before": "ab12",
        "encoder_sha256_after": "ab12",
        "dataset": "cifar10",
        "splits": {
            "train": FACTS,
            "test": records.split_facts("test", len(labels), "def"),
        },
        "class_names": ["ant", "bee", "cat", "dog", "eel", "fox"],
        "overlap": 0,
        "label_subset": None,
        "num_unreadable": 0,
        "config": {"job": {"seed": 0}, "model": RESNET_50},
        "seed": 0,
        "metric": "top_1",
        "metrics": metrics.evaluate(scores, labels),
    }
    return records.Record(**{**fields, **changes})


def write(path, seed=1, skill=1.0, **changes):
    scores, labels = scored(seed, skill=skill)
    record = record_of(scores, labels, **changes)
    order = np.random.default_rng(seed).permutation(len(labels))
    records.write(
        str(path),
        record,
        ids=100 + order,
        labels=labels[order],
        predictions=scores.argmax(1)[order],
    )
    return record


def test_a_record_comes_back_as_it_was(tmp_path):
    record = write(tmp_path / "one")
    assert records.read(str(tmp_path / "one.json")) == record
    assert records.read(str(tmp_path / "one")).estimate.low < 1
    written = json.loads((tmp_path / "one.json").read_text())
    assert set(written["metrics"]["top_1"]) == {"value", "low", "high"}
    assert written["versions"]["tensorflow"].startswith("2.20")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["one.json", "one.npz"]


@pytest.mark.parametrize(
    "name",
    [
        field.name
        for field in dataclasses.fields(records.Record)
        if field.name not in ("versions", "created")
    ],
)
def test_no_record_without(name):
    fields = record_of(*scored(1)).__dict__
    with pytest.raises(TypeError, match=name):
        records.Record(**{k: v for k, v in fields.items() if k != name})


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"protocol": "guess"}, "protocol"),
        ({"encoder_kind": "good"}, "encoder_kind"),
        ({"encoder": ""}, "encoder"),
        ({"splits": {"train": FACTS}}, "splits"),
        ({"splits": {"train": FACTS, "test": {"split": "test"}}}, "test"),
        ({"metric": "top_9"}, "metric"),
        ({"metrics": {"top_1": (0.5, 0.4, float("nan"))}}, "metrics"),
        ({"label_subset": {"kind": "per_class"}}, "label_subset"),
        ({"class_names": "ant"}, "class_names"),
        ({"overlap": -1}, "overlap"),
        ({"scored": ""}, "scored"),
    ],
    ids=str,
)
def test_no_record_with_nonsense(change, words):
    with pytest.raises(ValueError, match=words):
        record_of(*scored(1), **change)


def test_a_frozen_encoder_that_changed_makes_no_record():
    with pytest.raises(ValueError, match="frozen, and its variables changed"):
        record_of(*scored(1), encoder_sha256_after="cd34")
    record_of(
        *scored(1),
        protocol="finetune",
        encoder_frozen=False,
        encoder_sha256_after="cd34",
    )


def changed(name, value):
    def spoil(text):
        return json.dumps({**json.loads(text), name: value})

    return spoil


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda text: text[:-9], "damaged"),
        (lambda text: text.replace('"dataset"', '"data"'), "lacks dataset"),
        (lambda text: "[1, 2]", "damaged"),
        (lambda text: "null", "damaged"),
        (lambda text: "", "damaged"),
        (lambda text: text.replace("logistic", "l\udce9"), "damaged"),
        (changed("encoder", 3), "encoder"),
        (changed("protocol", ["knn"]), "not the record"),
        (changed("protocol", "guess"), "protocol"),
        (changed("metrics", [1]), "not the record"),
        (changed("metrics", {"top_1": 0.5}), "not the record"),
        (changed("metrics", {"top_1": {"value": 0.5}}), "not the record"),
        (changed("splits", "train"), "splits"),
        (changed("splits", {"train": 1, "test": 2}), "splits"),
        (changed("config", None), "config"),
        (changed("label_subset", 7), "label_subset"),
        (changed("label_subset", {"kind": 1, "asked": 1, "ids": 0}), "subset"),
        (changed("class_names", [1, 2]), "class_names"),
        (changed("extra", 1), "extra too many"),
    ],
)
def test_a_spoilt_or_foreign_record_is_named(tmp_path, spoil, words):
    write(tmp_path / "one")
    path = tmp_path / "one.json"
    text = spoil(path.read_text())
    path.write_text(text, errors="surrogateescape")
    with pytest.raises(UserError, match=rf"one\.json .*{words}") as error:
        records.read(str(path))
    assert "\n" not in str(error.value)


def test_a_record_of_before_is_read(tmp_path):
    """Of commit 8a74197, which had neither of three fields."""
    record = write(tmp_path / "one", protocol="probe")
    path = tmp_path / "one.json"
    content = json.loads(path.read_text())
    for name in ("class_names", "overlap", "scored"):
        del content[name]
    path.write_text(json.dumps(content))
    found = records.read(str(path))
    assert found == dataclasses.replace(
        record, class_names=[], overlap=None, scored="linear probe"
    )


@pytest.mark.parametrize("spoil", ["gone", "foreign", "cut"])
def test_spoilt_predictions_are_named(tmp_path, spoil):
    write(tmp_path / "one")
    path = tmp_path / "one.npz"
    if spoil == "gone":
        path.unlink()
    elif spoil == "foreign":
        np.savez(path, a=np.ones(3))
    else:
        path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(UserError, match=r"one\.npz"):
        records.compare(str(tmp_path / "one"), str(tmp_path / "one"))


def test_predictions_are_of_the_same_examples(tmp_path):
    scores, labels = scored(1)
    with pytest.raises(ValueError, match="same examples"):
        records.write(
            str(tmp_path / "one"), record_of(scores, labels),
            ids=np.arange(3), labels=labels, predictions=labels,
        )  # fmt: skip


def test_comparison_of_records_is_mcnemars(tmp_path):
    """Whatever the order that the examples were written in."""
    (first, labels), (second, _) = scored(1), scored(2, skill=0.7)
    write(tmp_path / "one", 1)
    write(tmp_path / "two", 2, skill=0.7)
    right = [s.argmax(1) == labels for s in (first, second)]
    only_first = (right[0] & ~right[1]).sum()
    only_second = (right[1] & ~right[0]).sum()
    found = records.compare(str(tmp_path / "one"), str(tmp_path / "two.json"))
    exact = stats.binomtest(only_first, only_first + only_second).pvalue
    assert found.p_value == pytest.approx(exact, abs=0.007)
    assert found.difference == pytest.approx((only_first - only_second) / 200)


def test_records_of_other_examples_are_not_compared(tmp_path):
    write(tmp_path / "one")
    scores, labels = scored(1, num_examples=150)
    records.write(
        str(tmp_path / "two"), record_of(scores, labels),
        ids=np.arange(150), labels=labels, predictions=labels,
    )  # fmt: skip
    with pytest.raises(ValueError, match="not of the same test examples"):
        records.compare(str(tmp_path / "one"), str(tmp_path / "two"))


def test_equal_labels_do_not_make_the_same_examples(tmp_path):
    scores, labels = scored(1)
    for name, first_id in [("one", 0), ("two", 1)]:
        records.write(
            str(tmp_path / name), record_of(scores, labels),
            ids=first_id + np.arange(200), labels=labels, predictions=labels,
        )  # fmt: skip
    with pytest.raises(ValueError, match="their ids differ"):
        records.compare(str(tmp_path / "one"), str(tmp_path / "two"))


def test_a_record_is_json_for_everyone(tmp_path):
    """NaN is not JSON; nothing is left behind of a record that has one."""
    scores, labels = scored(1)
    record = record_of(scores, labels, choices={"loss": float("nan")})
    with pytest.raises(ValueError, match="not JSON compliant"):
        records.write(
            str(tmp_path / "one"), record,
            ids=np.arange(200), labels=labels, predictions=labels,
        )  # fmt: skip
    assert not list(tmp_path.iterdir())


def test_table_has_a_line_for_each_and_the_papers_number(tmp_path, capsys):
    write(tmp_path / "b", protocol="probe")
    write(tmp_path / "a", encoder_kind="pixels", encoder="raw pixels")
    (tmp_path / "config.json").write_text("{}")  # not beside predictions
    assert main([str(tmp_path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 4
    assert "raw pixels" in lines[2] and "(B.9)" not in lines[2]
    value, low, high = (100 * x for x in records.read(f"{tmp_path}/b").estimate)
    assert f"{value:.1f} [{low:.1f}, {high:.1f}]" in lines[3]
    assert "94.0 (B.9)" in lines[3]
    assert main([str(tmp_path), "--all_metrics"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 2 + 2 * 3


def test_overlap_and_classes_are_printed(tmp_path, capsys):
    write(tmp_path / "a", overlap=7)
    write(tmp_path / "b", overlap=None, encoder="evil\x1b[31m\nerror: x")
    assert main([str(tmp_path)]) == 0
    table = capsys.readouterr().out
    assert "a.json: 7 of the 200 test images were trained on." in table
    assert table.count("NOTE") == 1
    assert "\x1b" not in table and len(table.splitlines()) == 2 + 2 + 1
    assert main([str(tmp_path), "--details"]) == 0
    details = capsys.readouterr().out
    assert "classes: 0 ant, 1 bee, 2 cat" in details
    assert "scored: logistic regression" in details
    assert "trained on, too: not known" in details and "\x1b" not in details


def test_what_the_paper_does_not_know_fails_no_table(tmp_path):
    write(tmp_path / "a", dataset="imagenet2012_subset")
    write(tmp_path / "b", config={"model": None}, dataset="x/y/z:1")
    write(tmp_path / "c", protocol="probe")
    lines = tables.table(records.read_all([str(tmp_path)])).splitlines()
    assert len(lines) == 5 and "94.0 (B.9)" in lines[4]


def test_averages_are_over_draws_of_labels_only(tmp_path):
    values = []
    for draw in range(3):
        subset = {"kind": "per_class", "asked": 5, "ids": [1] * 30}
        config = {"job": {"seed": draw, "label": 1}, "model": {}}
        record = write(
            tmp_path / f"draw{draw}", draw, label_subset=subset, config=config
        )
        values.append(100 * record.estimate.value)
    write(tmp_path / "other", 9)
    found = records.read_all([str(tmp_path)])
    lines = tables.table(found, average=True).splitlines()
    assert len(lines) == 2 + 2
    mean, deviation = np.mean(values), np.std(values, ddof=1)
    assert f"{mean:.1f} +- {deviation:.1f} (of 3)" in lines[2]
    assert " 30 " in lines[2] and "all 1000" in lines[3]
    assert len(tables.table(found).splitlines()) == 2 + 4


def test_command_line_says_what_is_wrong(tmp_path, capsys):
    write(tmp_path / "one")
    for arguments, words in [
        ([str(tmp_path / "none.json")], "does not exist"),
        ([str(tmp_path / "one"), "--compare"], "two records"),
    ]:
        assert main(arguments) == 2
        assert words in capsys.readouterr().err
    assert main([str(tmp_path / "one")] * 2 + ["--compare"]) == 0
    assert "p = 1.0" in capsys.readouterr().out


def find(**asked):
    fields = {
        "dataset": "imagenet2012", "protocol": "probe", "metric": "top_1",
        "encoder_kind": "checkpoint", "model": RESNET_50,
    }  # fmt: skip
    found = paper_numbers.find(**{**fields, **asked})
    return found and found.percent


@pytest.mark.parametrize(
    ("asked", "percent"),
    [
        ({}, 69.3),
        ({"metric": "top_5"}, 89.0),
        ({"model": {**RESNET_50, "width_multiplier": 4}}, 76.5),
        ({"model": {**RESNET_50, "resnet_depth": 18}}, None),
        ({"model": {**RESNET_50, "sk_ratio": 0.0625}}, None),
        ({"encoder_kind": "random"}, None),
        ({"protocol": "knn"}, None),
        ({"protocol": "finetune", "dataset": "imagenet2012_subset/1pct"}, 48.3),
        ({"protocol": "finetune", "percent_of_labels": 10.0}, 65.6),
        ({"protocol": "finetune", "percent_of_labels": 3.0}, None),
        ({"protocol": "transfer_linear", "dataset": "cars196:2.1.0"}, 50.3),
        ({"protocol": "transfer_linear", "dataset": "voc/2007"}, None),
        ({"protocol": "transfer_linear", "dataset": "voc/2007",
          "metric": "voc_map"}, 80.5),
        ({"protocol": "transfer_finetune", "dataset": "cifar10",
          "encoder_kind": "random"}, 95.9),
        ({"protocol": "supervised", "dataset": "cifar10",
          "encoder_kind": "random"}, 95.1),
        ({"dataset": "fashion_mnist"}, None),
        ({"dataset": "imagenet2012:5.1.0"}, 69.3),
        ({"dataset": "imagenet2012_real"}, None),
        ({"dataset": "imagenet2012_corrupted/gaussian_noise_1"}, None),
        ({"dataset": "imagenet2012_subset"}, None),
        ({"protocol": "finetune", "dataset": "imagenet2012_subset"}, None),
        ({"protocol": "finetune",
          "dataset": "imagenet2012_subset/10pct:5.0.0"}, 65.6),
        ({"protocol": "finetune", "dataset": "imagenet2012_subset/xx"}, None),
        ({"dataset": "imagenet2012/other"}, None),
        ({"test_split": "validation[:10%]"}, None),
        ({"protocol": "transfer_linear", "dataset": "voc/2012",
          "metric": "voc_map"}, None),
        ({"protocol": "transfer_linear", "dataset": "cars196",
          "percent_of_labels": 10.0}, None),
        ({"dataset": "cifar10_1"}, None),
        ({"dataset": "", "metric": "", "protocol": ""}, None),
    ],
    ids=str,
)  # fmt: skip
def test_the_papers_numbers_are_found_where_they_fit(asked, percent):
    assert find(**asked) == percent
