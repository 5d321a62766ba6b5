"""Which examples keep their labels."""

import json

import numpy as np
import pytest

from simclr_tf.errors import UserError
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
    (label_subsets.fraction, {"share": 0.1}, [4, 8, 12, 16, 20]),
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


def test_a_share_is_of_each_class_and_of_all(labels):
    """3 % of 40, 80, ...: 1.2, 2.4, 3.6, 4.8 and 6, of 600: 18."""
    subset = draw(label_subsets.fraction, labels, share=0.03)
    np.testing.assert_array_equal(subset.counts, [1, 2, 4, 5, 6])


def test_shares_of_equal_classes_are_those_that_were_published():
    """Drawn by the class-balanced rule of before, commit 8a74197."""
    order = np.random.default_rng(7).permutation(np.repeat(np.arange(5), 40))
    for share, counts, first, total in [
        (0.1, [4] * 5, [1007, 1139, 1000, 1134], 231780),
        (0.03, [1, 2, 1, 1, 1], [1159, 1183, 1121, 1030], 23296),
        (0.05, [2] * 5, [1031, 1133, 1189, 1126], 61179),
        (1.0, [40] * 5, [1082, 1161, 1120, 1006], 22137210),
    ]:
        subset = draw(
            label_subsets.fraction, order, share=share, seed=3, draw=1
        )
        assert subset.counts.tolist() == counts
        assert subset.ids[:4].tolist() == first
        assert (subset.ids * np.arange(1, len(subset.ids) + 1)).sum() == total


def test_shares_that_are_not_whole_go_to_classes_that_are_drawn():
    """As the paper's 12.8 images per class: 12 of some, and 13 of others."""
    equal = np.repeat(np.arange(5), 64)
    found = {
        tuple(draw(label_subsets.fraction, equal, share=0.2, seed=s).counts)
        for s in range(9)
    }
    assert len(found) > 1
    assert {tuple(sorted(counts)) for counts in found} == {(12, 13, 13, 13, 13)}


def test_small_classes_keep_one():
    """Of 150, 30 and 3 images."""
    labels = np.repeat([0, 1, 2], [150, 30, 3])
    counts = {
        share: label_subsets.fraction(
            labels, labels, share=share, num_classes=3, seed=0
        ).counts.tolist()
        for share in (0.01, 0.1, 0.5)
    }
    assert counts == {0.01: [2, 1, 1], 0.1: [15, 3, 1], 0.5: [75, 15, 2]}


def test_a_class_without_labels_gives_none(labels):
    subset = label_subsets.fraction(
        labels, labels, share=0.5, num_classes=7, seed=0
    )
    np.testing.assert_array_equal(subset.counts, [20, 40, 60, 80, 100, 0, 0])


def test_everything_is_a_share(labels):
    subset = draw(label_subsets.fraction, labels, share=1.0)
    np.testing.assert_array_equal(
        np.sort(subset.indices), np.flatnonzero(labels >= 0)
    )


def test_what_is_held_out_is_a_share_of_each_class(labels):
    fitted, held = label_subsets.hold_out(labels, share=0.25, seed=0)
    np.testing.assert_array_equal(
        np.bincount(labels[held]), [10, 20, 30, 40, 50]
    )
    both = np.sort(np.concatenate([fitted, held]))
    np.testing.assert_array_equal(both, np.flatnonzero(labels >= 0))


def test_of_several_labels_any_share_can_be_held_out(rng):
    labels = (rng.random((40, 3)) < 0.3).astype(int)
    labels[:4] = -1
    fitted, held = label_subsets.hold_out(labels, share=0.25, seed=0)
    assert sorted([*fitted, *held]) == list(range(4, 40))
    assert len(held) == 9


def test_too_little_to_hold_out_names_the_flag():
    with pytest.raises(UserError, match="--holdout_fraction"):
        label_subsets.hold_out(np.array([0, 0, 0, 1]), share=0.1, seed=0)


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
        (label_subsets.fraction, {"share": 0.0}, r"\(0, 1\]"),
        (label_subsets.fraction, {"share": 1.5}, r"\(0, 1\]"),
    ],
)
def test_impossible_subsets_say_so(labels, make, asked, words):
    with pytest.raises(ValueError, match=words):
        draw(make, labels, **asked)


def test_a_class_nobody_has_says_so(labels):
    with pytest.raises(ValueError, match="Class 5 has 0"):
        label_subsets.per_class(labels, labels, number=1, num_classes=6, seed=0)
    with pytest.raises(ValueError, match="no labels"):
        label_subsets.fraction(
            np.full(9, -1), np.arange(9), share=0.5, num_classes=6, seed=0
        )
    with pytest.raises(ValueError, match="labels up to 4 and 3 classes"):
        label_subsets.per_class(labels, labels, number=1, num_classes=3, seed=0)


@pytest.mark.parametrize(("make", "asked", "counts"), ALL)
def test_rows_of_labels_say_so(labels, make, asked, counts):
    with pytest.raises(ValueError, match="one label"):
        draw(make, np.stack([labels, labels], axis=1), **asked)
