"""Draws of labels, and the classifiers fitted on them."""

import numpy as np
import pytest
import tensorflow as tf
from sklearn.linear_model import LogisticRegression

from simclr_tf.errors import UserError
from simclr_tf.evaluation import few_labels
from simclr_tf.evaluation.features import Features, raw_pixels
from simclr_tf.evaluation.few_labels import Encoded


@pytest.fixture
def labels(rng):
    return rng.permutation(np.repeat(np.arange(5), 40))


def test_draws_are_balanced_distinct_and_a_function_of_the_seed(labels):
    def draw(seed, index):
        return few_labels.balanced_draw(
            labels, num_labels=50, num_classes=5, seed=seed, draw=index
        )

    chosen = draw(0, 0)
    assert len(set(chosen)) == 50
    np.testing.assert_array_equal(np.bincount(labels[chosen]), [10] * 5)
    np.testing.assert_array_equal(chosen, draw(0, 0))
    assert set(chosen) != set(draw(0, 1))
    assert set(chosen) != set(draw(1, 0))


def test_draws_are_those_that_were_published():
    """Of commit 8a74197."""
    labels = np.random.default_rng(7).permutation(np.repeat(np.arange(5), 40))
    chosen = few_labels.balanced_draw(
        labels, num_labels=10, num_classes=5, seed=3, draw=1
    )
    assert chosen.tolist() == [31, 133, 189, 126, 66, 155, 15, 181, 32, 171]


def test_unlabelled_examples_are_never_drawn(labels):
    labels = labels.copy()
    labels[:100] = -1
    chosen = few_labels.balanced_draw(
        labels, num_labels=25, num_classes=5, seed=0, draw=0
    )
    assert (labels[chosen] >= 0).all()


@pytest.mark.parametrize("num_labels", [7, 0, -10, 500])
def test_impossible_draws_name_the_flag(labels, num_labels):
    with pytest.raises(ValueError, match="--linear_eval_labels"):
        few_labels.balanced_draw(
            labels, num_labels=num_labels, num_classes=5, seed=0, draw=0
        )


def test_a_class_nobody_has_names_the_flag(labels):
    with pytest.raises(ValueError, match="labels=6: Class 5 has 0"):
        few_labels.balanced_draw(
            labels, num_labels=6, num_classes=6, seed=0, draw=0
        )


LABELS = "--linear_eval_labels="


@pytest.mark.parametrize(
    ("budgets", "counts", "num_classes", "words"),
    [
        ((20,), [150, 30, 3, 40, 50], 5, "class 2 has 3.* At most 15"),
        ((5, 25), [5, 4, 9, 9, 9], 5, "25 needs 5 .*class 1 has 4"),
        ((7,), [40] * 5, 5, "multiples of the 5 classes"),
        ((5, 0), [40] * 5, 5, "multiples"),
        ((5,), None, None, "needs labels, and --train_split=train has none"),
        ((5,), [0] * 5, 5, "needs labels"),
        ((5,), [9, 9, 0, 9, 9], 5, "class 2 has 0. Leave it out"),
        ((5,), [90], 1, "two classes"),
        ((7,), None, 5, "multiples"),
    ],
)
def test_labels_that_cannot_be_drawn_are_found_before_training(
    budgets, counts, num_classes, words
):
    counts = None if counts is None else np.array(counts)
    with pytest.raises(UserError, match=words) as error:
        few_labels.check_budgets(budgets, counts, num_classes, "train")
    assert LABELS in str(error.value).replace("labels must", "labels=")
    assert "\n" not in str(error.value)


def test_what_can_be_drawn_passes_the_check():
    few_labels.check_budgets((), np.zeros(5), None, "train")
    few_labels.check_budgets((5, 10), np.array([2, 3, 2, 9, 9]), 5, "train")
    few_labels.check_budgets((5, 10), None, 5, "train")  # a stream


def test_several_labels_are_refused():
    with pytest.raises(UserError, match="one label an image"):
        few_labels.check_budgets((5,), None, 5, "train", several_labels=True)


def test_pool_is_as_before_where_classes_are_even():
    assert few_labels.pool_size((100,)) == 10_000
    assert few_labels.pool_size((100, 5000), np.full(10, 6000)) == 20_000


def test_pool_holds_enough_of_a_rare_class(rng):
    counts = np.array([90_000, 900, 9_100])
    size = few_labels.pool_size((60,), counts)
    assert 10_000 <= size < 100_000
    for total in (100_000, 200_000):  # all labelled; every other one
        size = few_labels.pool_size((60,), counts, total)
        rare = rng.hypergeometric(900, total - 900, size, 20_000)
        assert rare.min() >= 20
    assert few_labels.pool_size((60,), np.array([99_980, 20, 0])) == 100_000


def clusters(rng, labels, spread):
    centres = rng.normal(size=(5, 8))
    values = centres[labels] + spread * rng.normal(size=(len(labels), 8))
    return values.astype(np.float32)


def features(values, labels):
    return Features(values, labels, np.arange(len(labels)))


def test_score_is_the_mean_over_draws_of_scikit_learns_accuracy(rng, labels):
    train, test = (features(clusters(rng, labels, 1.0), labels) for _ in "ab")
    found = few_labels.score(
        train, test, num_labels=25, num_classes=5, num_draws=3, seed=4
    )
    mean, deviation = train.values.mean(0), train.values.std(0)
    scaled = [(f.values - mean) / deviation for f in (train, test)]
    accuracies = []
    for draw in range(3):
        chosen = few_labels.balanced_draw(
            labels, num_labels=25, num_classes=5, seed=4, draw=draw
        )
        model = LogisticRegression(max_iter=1000)
        model.fit(scaled[0][chosen], labels[chosen])
        accuracies.append((model.predict(scaled[1]) == labels).mean())
    assert found.mean == pytest.approx(np.mean(accuracies), abs=0.006)
    assert found.deviation == pytest.approx(
        np.std(accuracies, ddof=1), abs=0.006
    )


def test_the_interval_is_that_of_the_test_images(rng, labels):
    """Of one draw, whose accuracy is a share: the binomial's, about."""
    train, test = (features(clusters(rng, labels, 1.5), labels) for _ in "ab")
    settings = {"num_labels": 25, "num_classes": 5, "seed": 4}
    one = few_labels.score(train, test, num_draws=1, **settings)
    half = 1.96 * np.sqrt(one.mean * (1 - one.mean) / len(labels))
    assert one.low == pytest.approx(one.mean - half, abs=0.015)
    assert one.high == pytest.approx(one.mean + half, abs=0.015)
    # Draws that agree on most images make it no narrower than they differ.
    many = few_labels.score(train, test, num_draws=4, **settings)
    assert many.low < many.mean < many.high
    assert many.high - many.low < one.high - one.low


def test_test_examples_without_a_label_do_not_count(rng, labels):
    train, test = (features(clusters(rng, labels, 1.0), labels) for _ in "ab")
    settings = {
        "num_labels": 25, "num_classes": 5, "num_draws": 2, "seed": 4,
    }  # fmt: skip
    half = features(test.values[::2], labels[::2])
    holes = labels.copy()
    holes[1::2] = -1
    with_holes = features(test.values, holes)
    found = few_labels.score(train, with_holes, **settings)
    assert found == few_labels.score(train, half, **settings)
    with pytest.raises(UserError, match="none of the 200 images"):
        few_labels.score(
            train, features(test.values, np.full(200, -1)), **settings
        )


def split_of(labels, rng):
    """Images whose colour is their class."""
    images = rng.integers(0, 40, (len(labels), 2, 2, 3), np.uint8)
    images[..., 0] += (45 * np.maximum(labels, 0)).astype(np.uint8)[
        :, None, None
    ]
    batch = {
        "images": images,
        "label": np.asarray(labels, np.int64),
        "id": np.arange(len(labels), dtype=np.int64),
        "mask": np.ones(len(labels), bool),
    }
    return lambda: tf.data.Dataset.from_tensors(batch)


def test_a_budget_that_fails_late_costs_no_other(rng, labels):
    """As of a stream, whose labels nobody knew before."""
    said = []
    labels = np.r_[labels, np.full(30, -1)]
    found = few_labels.results(
        [
            Encoded(raw_pixels, {"": slice(None), "_projections": slice(6)}),
            Encoded(raw_pixels, {"_raw_pixels": slice(None)}),
        ],
        train=split_of(labels, rng),
        test=split_of(labels, rng),
        strategy=tf.distribute.get_strategy(),
        budgets=(25, 500, 50),
        num_classes=5,
        num_draws=2,
        seed=0,
        say=said.append,
    )
    assert {key.split("/")[0] for key in found} == {
        "linear_25_labels",
        "linear_50_labels",
    }
    assert len(found) == 2 * 3 * 3
    # Of one pass over the images, each as if it had its own.
    for end in ("", "_deviation", "_interval"):
        of_both = found[f"linear_50_labels/top_1{end}"]
        assert found[f"linear_50_labels/top_1_raw_pixels{end}"] == of_both
    assert found["linear_50_labels/top_1"] > 0.4
    assert len(said) == 1 and "--linear_eval_labels=500" in said[0]


def test_separable_is_perfect_and_noise_is_chance(rng, labels):
    easy = features(clusters(rng, labels, 1e-3), labels)
    assert few_labels.score(
        easy, easy, num_labels=25, num_classes=5, num_draws=2, seed=0
    ) == (1.0, 0.0, 1.0, 1.0)
    noise = features(
        rng.normal(size=(200, 8)).astype(np.float32), rng.permutation(labels)
    )
    score = few_labels.score(
        noise, noise, num_labels=5, num_classes=5, num_draws=4, seed=0
    )
    assert 0.1 < score.mean < 0.35
