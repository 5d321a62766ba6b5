"""From a configuration to splits: what is there, what must be, what counts."""

import numpy as np
import pytest

from simclr_tf.build import splits
from simclr_tf.config import resolve
from simclr_tf.data import from_arrays, subset
from simclr_tf.errors import UserError
from tests import image_files
from tests.tiny_datasets import write_tfds


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Prepared data, and a folder; the test of either has 8 images."""
    place = tmp_path_factory.mktemp("splits")
    write_tfds("cifar10", place, splits={"train": 20, "test": 8})
    write_tfds("bare", place, splits={"train": 4, "test": 4}, num_classes=None)
    for split, count in (("train", 20), ("test", 8), ("more", 3)):
        for number in range(count):
            name = f"folder/{split}/{'ab'[number % 2]}/{number}.png"
            image_files.write(place / name, number)
    image_files.write_folder(place / "flat" / "train", 3)
    image_files.write_folder(place / "flat" / "test", 2)
    return place


def config(place, dataset="cifar10", folder="", **given):
    given = {"dataset": dataset, "data_dir": str(place / folder)} | given
    return resolve.resolve(given, defaults="paper").config


@pytest.mark.parametrize("required", [True, False])
@pytest.mark.parametrize(
    ("split", "size"),
    [("test", 8), ("test[:50%]", 4), ("train[:10%]+test", 10)],
)
@pytest.mark.parametrize("kind", [("cifar10", ""), ("folder", "folder")])
def test_every_form_of_split_is_evaluated(place, kind, split, size, required):
    chosen = config(place, *kind, eval_split=split)
    source = splits.open_evaluation(chosen, required=required)
    assert (source.split, source.num_examples) == (split, size)


def test_any_folder_is_a_split(place):
    chosen = config(place, "folder", "folder", eval_split="more")
    for required in (True, False):
        source = splits.open_evaluation(chosen, required=required)
        assert source.num_examples == 3


@pytest.mark.parametrize("split", ["tset", "tset[:3]", "train+tset"])
@pytest.mark.parametrize("kind", [("cifar10", ""), ("folder", "folder")])
def test_a_misspelt_split_is_refused_where_the_user_named_it(
    place, kind, split
):
    chosen = config(place, *kind, eval_split=split)
    with pytest.raises(UserError, match=r"'tset.*not exist.*has test, train"):
        splits.open_evaluation(chosen, required=True)
    # Of a recipe, or of the official code, whose "validation" CIFAR lacks.
    assert splits.open_evaluation(chosen, required=False).split == "test"


def test_where_no_split_is_to_be_found_none_is_evaluated(place):
    place = place / "folder" / "more"
    chosen = config(place, "folder", eval_split="val")
    assert splits.open_evaluation(chosen, required=False) is None


def test_a_slice_that_gives_nothing_is_refused_whoever_named_it(place):
    chosen = config(place, eval_split="test[50%:10%]")
    for required in (True, False):
        with pytest.raises(UserError, match="is empty"):
            splits.open_evaluation(chosen, required=required)


def test_what_nobody_names_is_looked_for(place):
    for kind in (("folder", "folder"), ("bare", "")):
        chosen = config(place, *kind)
        assert chosen.data.eval_split is None
        source = splits.open_evaluation(chosen, required=True, labelled=False)
        assert source.split == "test"


@pytest.mark.parametrize("kind", [("bare", ""), ("folder", "flat")])
def test_missing_and_unlabelled_can_be_told_apart(place, kind):
    chosen = config(place, *kind, eval_split="test")
    assert splits.open_evaluation(chosen, required=True) is None
    found = splits.open_evaluation(chosen, required=True, labelled=False)
    assert found.num_examples
    assert not found.has_labels


@pytest.mark.parametrize(
    ("kind", "given", "lacking"),
    [
        (("folder", "folder/more"), {}, "and it has none. Name one"),
        (("bare", ""), {"eval_split": "test"}, "--eval_split=test has none"),
    ],
)
def test_who_has_nothing_to_test_on_is_told_how_to_come_by_it(
    place, kind, given, lacking
):
    """It says what was typed, and nothing that was not."""
    with pytest.raises(UserError, match=lacking) as refused:
        splits.require_evaluation(
            config(place, *kind, **given), asker="--mode=evaluate"
        )
    assert "--eval_split='train[80%:]'" in str(refused.value)
    assert "None" not in str(refused.value)


@pytest.mark.parametrize(
    ("given", "flag"),
    [
        ({"train_mode": "supervised"}, "--train_mode=supervised"),
        ({"mode": "evaluate", "checkpoint": "run"}, "--mode=evaluate"),
    ],
)
def test_labels_that_are_needed_are_asked_for(place, given, flag):
    chosen = config(place, "bare", **given)
    with pytest.raises(UserError, match=f"{flag} needs labels") as error:
        splits.open_training(chosen)
    assert "\n" not in str(error.value)


def test_a_classifier_trains_on_what_has_a_label(place, monkeypatch):
    """Labels of -1 are no examples of a classifier, and none of a choice."""
    labels = np.where(np.arange(20) < 5, -1, np.arange(20) % 10)
    source = from_arrays(np.zeros((20, 8, 8, 3), np.uint8), labels)
    monkeypatch.setattr(splits, "open_split", lambda *_: source)
    everything, _ = splits.open_training(config(place))
    assert everything.num_examples == 20
    part, chosen = splits.open_training(
        config(place, train_mode="supervised", train_batch_size=4)
    )
    assert (part.num_examples, chosen) == (15, None)
    part, chosen = splits.open_training(
        config(place, train_mode="supervised", labels_per_class=1)
    )
    assert len(chosen.indices) == 10
    assert subset.labels_of(part).min() == 0
    assert part.num_examples == 10
