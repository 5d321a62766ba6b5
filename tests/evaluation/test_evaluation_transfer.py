"""The twelve data sets: as TFDS has them, and through the whole protocol."""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds

from simclr_tf.augment import geometry
from simclr_tf.data import pipeline, sources
from simclr_tf.evaluation import (
    features,
    fine_tuning_grid,
    metrics,
    transfer,
)
from simclr_tf.evaluation.fitted import l2_selection, logistic
from simclr_tf.reports import paper_numbers
from tests import tiny_transfer

NAMES = list(transfer.TRANSFER_SETS)
PARTS = ("train", "validation", "test", "train_and_validation")


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    place = tmp_path_factory.mktemp("twelve")
    for name in NAMES:
        tiny_transfer.write(name, place)
    return place


def test_they_are_the_papers_twelve_in_its_order():
    assert tuple(NAMES) == paper_numbers.TRANSFER_SETS
    metrics_used = [one.metric for one in transfer.TRANSFER_SETS.values()]
    assert metrics_used.count("mean_per_class") == 4
    assert metrics_used.count("voc_map") == 1


@pytest.mark.parametrize("name", list(tiny_transfer.SPLITS))
def test_features_are_those_of_the_installed_tfds(name, tmp_path):
    one = transfer.TRANSFER_SETS[name]
    known = tfds.builder(one.dataset, data_dir=str(tmp_path)).info.features
    assert isinstance(known[one.image_key], tfds.features.Image)
    label = known[one.label_key]
    if one.several_labels:
        assert isinstance(label, tfds.features.Sequence)
        label = label.feature
    assert label.num_classes == one.num_classes


@pytest.mark.parametrize("name", NAMES)
def test_splits_are_apart_and_sum_up(data_dir, name):
    one = transfer.TRANSFER_SETS[name]
    opened = {
        part: sources.open_source(**one.source(part, data_dir=str(data_dir)))
        for part in PARTS
    }
    size = {part: source.num_examples for part, source in opened.items()}
    if one.validation_by == "creators":
        assert size["train"] == size["validation"] == 30
    else:
        assert (size["train"], size["validation"]) == (24, 6)
    assert size["train_and_validation"] == size["train"] + size["validation"]
    assert len({source.fingerprint for source in opened.values()}) == 4
    if one.validation_by == "held out":
        ids = [set(opened[part].examples.ids.numpy()) for part in PARTS]
        assert not ids[0] & ids[1]
        assert ids[0] | ids[1] == ids[3]


def extract(source):
    """Pixels at 8 px, prepared as for the regression."""
    batches = pipeline.eval_batches(
        source,
        global_batch_size=16,
        per_replica_batch_size=16,
        view=lambda image: geometry.eval_view(
            image, size=8, crop_proportion=transfer.LINEAR_CROP_PROPORTION
        ),
    )
    encode = features.raw_pixels
    return features.extract(
        encode, batches, strategy=tf.distribute.get_strategy()
    )


# One of each kind fast: TFDS of one size and of any, rows of labels, folders.
QUICK = ("cifar10", "oxford_iiit_pet", "voc", "fgvc_aircraft")
QUICK_AND_SLOW = [
    pytest.param(name, marks=() if name in QUICK else pytest.mark.slow)
    for name in NAMES
]


@pytest.mark.parametrize("name", QUICK_AND_SLOW)
def test_the_linear_protocol_runs_on_each(data_dir, name):
    one = transfer.TRANSFER_SETS[name]
    opened = [
        sources.open_source(**one.source(part, data_dir=str(data_dir)))
        for part in PARTS[:3]
    ]
    train, validation, test = map(extract, opened)
    num_classes = opened[0].num_classes
    outcome = l2_selection.linear_transfer(
        (train.values, train.labels),
        (validation.values, validation.labels),
        test.values,
        num_classes=num_classes,
        metric=one.metric,
        choices=logistic.Choices(l2_values=(1.0, 100.0), max_iterations=50),
    )
    assert outcome.scores.shape == (30, num_classes)
    found = metrics.evaluate(outcome.scores, test.labels)[one.metric]
    assert found.low <= found.value <= found.high
    assert found.value > 0.9  # three colours, told apart
    if one.several_labels:
        predictions = (outcome.scores > 0).astype(int)
    else:
        predictions = outcome.scores.argmax(1)
    right = metrics.outcomes(one.metric, predictions, test.labels)
    assert right.mean() > 0.9


@pytest.mark.parametrize("limit", [0, 100], ids=["stream", "memory"])
def test_vocs_labels_are_rows(data_dir, limit):
    """1 present, 0 absent, -1 difficult only; and -1 for padding."""
    one = transfer.TRANSFER_SETS["voc"]
    source = sources.open_source(
        **one.source("test", data_dir=str(data_dir)), in_memory_limit_mb=limit
    )
    assert source.several_labels
    found = extract(source)
    assert found.labels.shape == (30, 20)
    builder = tfds.builder("voc/2007", data_dir=str(data_dir))
    examples = tfds.as_numpy(builder.as_dataset(split="test"))
    for row, example in zip(found.labels, examples, strict=True):
        want = np.zeros(20, int)
        want[
            example["objects"]["label"][example["objects"]["is_difficult"]]
        ] = -1
        want[
            example["objects"]["label"][~example["objects"]["is_difficult"]]
        ] = 1
        np.testing.assert_array_equal(row, want)
    assert (found.labels == -1).any() and (found.labels == 1).any()
    found.labels[3] = -1
    kept = features.labelled(found)
    np.testing.assert_array_equal(kept.ids, np.delete(found.ids, 3))
    assert kept.labels.shape == (29, 20)


def test_lists_of_classes_are_read_only_where_asked(data_dir):
    plain = {"dataset": "voc/2007", "split": "train", "data_dir": str(data_dir)}
    assert not sources.open_source(**plain).has_labels
    with pytest.raises(ValueError, match="--label_key=labels is not among"):
        sources.open_source(**plain, label_key="labels")
    with pytest.raises(ValueError, match="labels_no_difficult"):
        sources.open_source(**plain, several_labels=True)
    with pytest.raises(ValueError, match="no feature that lists classes"):
        sources.open_source(
            dataset="dtd", split="train", data_dir=str(data_dir),
            several_labels=True,
        )  # fmt: skip


@pytest.mark.parametrize(
    ("dataset", "name"),
    [
        ("voc", "voc"), ("voc/2007", "voc"), ("voc/2007:5.0.0", "voc"),
        ("voc/2012", None), ("cifar10:3.0.2", "cifar10"), ("svhn", None),
        ("sun397/standard-part1-120k", "sun397"), ("sun397/tfds", None),
        ("fgvc_aircraft", "fgvc_aircraft"),
    ],
)  # fmt: skip
def test_sets_are_found_by_name(dataset, name):
    found = transfer.transfer_set(dataset)
    assert (found and found.name) == name


@pytest.mark.parametrize("given", ["voc:5.0.0", "voc/2007:5.0.0"])
def test_a_version_that_is_given_is_read(given):
    source = transfer.transfer_set(given).source("train", data_dir=None)
    assert source["dataset"] == "voc/2007:5.0.0"
    assert transfer.transfer_set(given).name == "voc"


def test_other_sets_follow_the_same_rules():
    held_out = transfer.other_set("svhn", ["test", "train"])
    assert (held_out.train, held_out.validation) == (
        "train[:80%]",
        "train[80%:]",
    )
    assert held_out.test == "test"
    given = transfer.other_set("x", ["test", "train", "val"])
    assert (given.validation, given.test) == ("val", "test")
    assert given.train_and_validation == "train+val"
    tested = transfer.other_set("imagenette", ["train", "validation"])
    assert (tested.test, tested.validation) == ("validation", "train[80%:]")
    with pytest.raises(ValueError, match="unlabelled"):
        transfer.other_set("y", ["train", "unlabelled"])


def test_grid_is_the_papers():
    points = fine_tuning_grid.PRETRAINED.points()
    assert len(points) == 56
    assert fine_tuning_grid.PRETRAINED.train_steps == 20_000
    rates = sorted({point.learning_rate for point in points})
    np.testing.assert_allclose(np.log10(rates), np.linspace(-4, -1, 7))
    decays = sorted({point.grid_weight_decay for point in points})
    assert decays[0] == 0
    np.testing.assert_allclose(np.log10(decays[1:]), np.linspace(-6, -3, 7))
    for number, point in enumerate(points):
        assert point.number == number
        assert point.weight_decay * point.learning_rate == pytest.approx(
            point.grid_weight_decay
        )
    scratch = fine_tuning_grid.FROM_SCRATCH
    assert (len(scratch.points()), scratch.train_steps) == (56, 40_000)
    np.testing.assert_allclose(
        np.log10(scratch.weight_decays), np.linspace(-5, -1.5, 8)
    )


@pytest.mark.parametrize(
    ("num_examples", "momentum"),
    [(75_750, 1 - 10 / (75_750 / 256)), (2_040, 0.9), (25_600, 0.9)],
)
def test_batch_norm_momentum_is_the_papers(num_examples, momentum):
    found = fine_tuning_grid.batch_norm_momentum(num_examples)
    assert found == pytest.approx(momentum)
