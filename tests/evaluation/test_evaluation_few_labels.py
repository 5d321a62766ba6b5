"""Draws of labels, and the classifiers fitted on them."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from simclr_tf.evaluation import few_labels
from simclr_tf.evaluation.features import Features


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


def test_separable_is_perfect_and_noise_is_chance(rng, labels):
    easy = features(clusters(rng, labels, 1e-3), labels)
    assert few_labels.score(
        easy, easy, num_labels=25, num_classes=5, num_draws=2, seed=0
    ) == (
        1.0,
        0.0,
    )
    noise = features(
        rng.normal(size=(200, 8)).astype(np.float32), rng.permutation(labels)
    )
    score = few_labels.score(
        noise, noise, num_labels=5, num_classes=5, num_draws=4, seed=0
    )
    assert 0.1 < score.mean < 0.35
