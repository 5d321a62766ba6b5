"""Which examples keep their labels."""

import json

import numpy as np
import pytest

from simclr_tf.evaluation import label_subsets


@pytest.fixture
def labels(rng):
    """Five classes of 40, 80, 120, 160 and 200, and 20 without a label."""
    sizes = [40, 80, 120, 160, 200]
    return rng.permutation(np.r_[np.repeat(np.arange(5), sizes), [-1] * 20])


def draw(make, labels, **asked):
    ids = 1000 + np.arange(len(labels))
    return make(labels, ids, num_classes=5, **{"seed": 0, **asked})


ALL = [
    (label_subsets.per_class, {"number": 7}, [7] * 5),
    (label_subsets.balanced_fraction, {"fraction": 0.1}, [12] * 5),
    (
        label_subsets.proportional_fraction,
        {"fraction": 0.1},
        [4, 8, 12, 16, 20],
    ),
]


@pytest.mark.parametrize(("make", "asked", "counts"), ALL)
def test_subsets_have_their_sizes_and_a_seed(labels, make, asked, counts):
    subset = draw(make, labels, **asked)
    np.testing.assert_array_equal(np.bincount(labels[subset.indices]), counts)
    np.testing.assert_array_equal(subset.counts, counts)
    assert len(set(subset.indices)) == sum(counts)
    np.testing.assert_array_equal(subset.ids, subset.indices + 1000)
    np.testing.assert_array_equal(subset.ids, draw(make, labels, **asked).ids)
    for other in ({"seed": 1}, {"draw": 1}):
        assert set(subset.ids) != set(draw(make, labels, **asked, **other).ids)


def test_every_example_of_a_class_is_drawn_equally_often(labels):
    times = np.zeros(len(labels))
    for number in range(400):
        chosen = draw(label_subsets.per_class, labels, number=10, draw=number)
        times[chosen.indices] += 1
    assert times[labels == -1].sum() == 0
    for c, size in enumerate([40, 80, 120, 160, 200]):
        expected = 400 * 10 / size
        deviation = np.sqrt(expected * (1 - 10 / size))
        assert abs(times[labels == c] - expected).max() < 4.5 * deviation


def test_a_fraction_that_is_not_whole_is_shared_as_evenly_as_can_be(labels):
    """0.01 of 600 and the like: 12.8 per class means 12 or 13."""
    subset = draw(label_subsets.balanced_fraction, labels, fraction=0.03)
    assert subset.counts.sum() == 18
    assert sorted(subset.counts) == [3, 3, 4, 4, 4]
    others = [
        draw(label_subsets.balanced_fraction, labels, fraction=0.03, seed=s)
        for s in range(9)
    ]
    assert len({tuple(other.counts) for other in others}) > 1


def test_small_classes_keep_one(labels):
    subset = draw(label_subsets.proportional_fraction, labels, fraction=0.01)
    np.testing.assert_array_equal(subset.counts, [1, 1, 1, 2, 2])


def test_everything_is_a_fraction(labels):
    subset = draw(label_subsets.proportional_fraction, labels, fraction=1.0)
    np.testing.assert_array_equal(
        np.sort(subset.indices), np.flatnonzero(labels >= 0)
    )


def test_record_lists_the_ids_as_json(labels):
    subset = draw(label_subsets.per_class, labels, number=2, draw=3)
    record = json.loads(json.dumps(subset.to_record()))
    assert record["ids"] == sorted(subset.ids)
    assert record["num_examples"] == 10
    assert record["counts"] == [2] * 5
    assert (record["kind"], record["asked"]) == ("per_class", 2)
    assert (record["seed"], record["draw"]) == (0, 3)


@pytest.mark.parametrize(
    ("make", "asked", "words"),
    [
        (label_subsets.per_class, {"number": 41}, "Class 0 has 40"),
        (label_subsets.per_class, {"number": 0}, "at least 1"),
        (label_subsets.balanced_fraction, {"fraction": 0.5}, "Class 0 has 40"),
        (label_subsets.balanced_fraction, {"fraction": 0.005}, "fewer"),
        (label_subsets.balanced_fraction, {"fraction": 0.0}, r"\(0, 1\]"),
        (label_subsets.proportional_fraction, {"fraction": 1.5}, r"\(0, 1\]"),
    ],
)
def test_impossible_subsets_say_so(labels, make, asked, words):
    with pytest.raises(ValueError, match=words):
        draw(make, labels, **asked)


def test_a_class_nobody_has_says_so(labels):
    with pytest.raises(ValueError, match="Class 5 has 0"):
        label_subsets.proportional_fraction(
            labels, labels, fraction=0.5, num_classes=6, seed=0
        )
    with pytest.raises(ValueError, match="labels up to 4 and 3 classes"):
        label_subsets.per_class(labels, labels, number=1, num_classes=3, seed=0)


@pytest.mark.parametrize(("make", "asked", "counts"), ALL)
def test_rows_of_labels_say_so(labels, make, asked, counts):
    with pytest.raises(ValueError, match="one label"):
        draw(make, np.stack([labels, labels], axis=1), **asked)
