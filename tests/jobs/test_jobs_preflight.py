"""What a preflight knows of data and paths without devices."""

import json

import pytest

from simclr_tf.config import resolve
from simclr_tf.errors import NotHere, UserError
from simclr_tf.jobs.preflight import job as preflight
from tests import image_files


def config(**given):
    return resolve.resolve({"mode": "preflight", **given}).config


def test_data_that_is_here_is_asked():
    facts = preflight.data_facts(config(num_examples=5))
    assert (facts.num_examples, facts.num_classes) == (1437, 10)
    assert facts.missing is None


def test_imagenet_need_not_be_here(tmp_path):
    options = config(dataset="imagenet2012", data_dir=str(tmp_path))
    facts = preflight.data_facts(options)
    assert (facts.num_examples, facts.num_classes) == (1_281_167, 1000)
    [(level, text), *_] = preflight.findings(options, facts, num_hosts=1)
    assert level == "warning"
    assert "1281167" in text


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"train_split": "nothing"}, "split 'nothing'"),
        ({"train_split": "train[:0]"}, "is empty"),
        ({"image_key": "nothing"}, "--image_key=nothing"),
        ({"train_mode": "supervised", "label_key": "nothing"}, "--label_key"),
        ({"eval_split": "nothing"}, "split 'nothing'"),
    ],
)
def test_of_data_that_is_here_a_run_would_say_the_same(given, said):
    """It would be a verdict on another job."""
    told = {"num_examples": 9, "num_classes": 2}
    with pytest.raises(UserError, match=said) as refused:
        preflight.data_facts(
            config(**given, **told), dict.fromkeys(given, "flag")
        )
    assert "preflight" not in str(refused.value)


@pytest.mark.parametrize(
    "named",
    ["empty", "listed.txt", "pictures --labels", "tfds", "nowhere"],
)
def test_data_that_is_elsewhere_is_described(tmp_path, named):
    """A mount point, a list of what is not here, a folder that is copied."""
    for name in ("empty", "tfds/imagenet2012"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "listed.txt").write_text("one\ntwo\n")
    image_files.write_folder(tmp_path / "pictures", 3)
    place, _, labels = named.partition(" ")
    given = {"dataset": "folder", "data_dir": f"{tmp_path}/{place}"}
    if labels:
        given["labels"] = f"{tmp_path}/nowhere.csv"
    if place == "tfds":
        given["dataset"] = "imagenet2012"
    facts = preflight.data_facts(config(**given, num_examples=9))
    assert facts.num_examples == 9
    assert facts.missing


def test_an_unknown_kind_of_place_is_not_data_elsewhere():
    with pytest.raises(UserError, match="gs://") as refused:
        preflight.data_facts(config(dataset="cifar10", data_dir="s4://b/d"))
    assert not isinstance(refused.value, NotHere)


def test_unknown_data_must_be_described(tmp_path):
    missing = {"dataset": "mine", "data_dir": str(tmp_path)}
    with pytest.raises(ValueError, match="--num_examples"):
        preflight.data_facts(config(**missing))
    facts = preflight.data_facts(config(**missing, num_examples=9))
    assert (facts.num_examples, facts.num_classes) == (9, None)


@pytest.mark.parametrize(
    ("path", "num_hosts", "level"),
    [("gs://b/r", 4, "ok"), ("runs/r", 4, "warning"), ("runs/r", 1, "ok")],
)
def test_several_hosts_need_a_shared_path(path, num_hosts, level):
    options = config(model_dir=path)
    facts = preflight.DataFacts(100, 10)
    found = preflight.findings(options, facts, num_hosts=num_hosts)
    assert [(lv, t.split(":")[0]) for lv, t in found[1:]] == [
        (level, f"--model_dir={path.split(':')[0]}")
    ]


@pytest.mark.parametrize(
    ("changes", "color_on_host", "expected"),
    [
        ({}, False, (400.0, 2)),
        ({}, True, (100.0, 2)),
        ({"color_on_host": False}, True, None),
        ({"image_size": 64}, False, None),
    ],
)
def test_what_the_input_was_measured_to_give(
    tmp_path, changes, color_on_host, expected
):
    options = config(model_dir=str(tmp_path))
    measured = options.to_dict()
    measured["data"]["image_size"] = changes.get(
        "image_size", options.data.image_size
    )
    report = {
        "stages": [
            {"name": "crop, resize, flip", "images_per_second": 400.0},
            {"name": "colour", "images_per_second": 100.0},
        ],
        "color_on_host": changes.get("color_on_host", True),
        "cores": 2,
        "config": measured,
    }
    assert preflight.measured_input(options, color_on_host=False) is None
    (tmp_path / "benchmark_input.json").write_text(json.dumps(report))
    found = preflight.measured_input(options, color_on_host=color_on_host)
    assert found == expected
