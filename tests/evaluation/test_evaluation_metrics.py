"""Metrics against scikit-learn and by hand; intervals against their laws."""

import numpy as np
import pytest
import tensorflow as tf
from scipy import stats
from sklearn import metrics as oracle

from simclr_tf.evaluation import metrics, statistics


def scored(rng, num_examples=300, num_classes=7, ties=False):
    """Scores that know something, and classes of unequal sizes."""
    labels = rng.integers(0, num_classes, num_examples)
    labels = np.minimum(labels, rng.integers(0, num_classes, num_examples))
    scores = rng.normal(size=(num_examples, num_classes))
    scores[np.arange(num_examples), labels] += 1.0
    return (np.round(scores) if ties else scores), labels


def test_single_label_metrics_equal_scikit_learns(rng):
    scores, labels = scored(rng)
    found = metrics.evaluate(scores, labels)
    guesses = scores.argmax(axis=1)
    assert found["top_1"].value == oracle.accuracy_score(labels, guesses)
    assert found["top_5"].value == oracle.top_k_accuracy_score(
        labels, scores, k=5
    )
    np.testing.assert_allclose(
        found["mean_per_class"].value,
        oracle.balanced_accuracy_score(labels, guesses),
        rtol=1e-12,
    )
    for name, estimate in found.items():
        assert estimate.low < estimate.value < estimate.high
        np.testing.assert_allclose(
            metrics.value(name, scores, labels), estimate.value, rtol=1e-12
        )


@pytest.mark.parametrize("k", [1, 2, 7, 9])
def test_ties_go_as_in_tensorflow(rng, k):
    scores, labels = scored(rng, ties=True)
    inside = tf.math.top_k(scores, min(k, 7)).indices.numpy()
    np.testing.assert_array_equal(
        metrics.top_k_correct(scores, labels, k=k),
        (inside == labels[:, np.newaxis]).any(axis=1),
    )


def test_classes_without_examples_are_left_out(rng):
    scores, labels = scored(rng)
    wider = np.hstack([scores, np.full((len(scores), 3), -9.0)])
    assert metrics.mean_per_class(wider, labels).value == pytest.approx(
        metrics.mean_per_class(scores, labels).value
    )


def multi_label(rng, num_examples=200, num_classes=4, digits=9):
    labels = (rng.random((num_examples, num_classes)) < 0.2).astype(int)
    labels[rng.random(labels.shape) < 0.1] = -1
    scores = np.round(labels + rng.normal(size=labels.shape), digits)
    return scores, labels


def slow_average_precision(scores, labels):
    """The definition: retrieve what reaches a threshold, for every one."""
    counted = labels >= 0
    scores, present = scores[counted], labels[counted] == 1
    recalls, precisions = [], []
    for threshold in np.unique(scores):
        retrieved = scores >= threshold
        recalls.append((present & retrieved).sum() / present.sum())
        precisions.append((present & retrieved).sum() / retrieved.sum())
    recalls, precisions = np.array(recalls), np.array(precisions)
    points = [
        max(precisions[recalls >= r - 1e-12], default=0)
        for r in np.arange(11) / 10
    ]
    return np.mean(points)


def test_average_precision_by_hand():
    """Ranks 1, 3, 4 and 7 of 7 show the class; one at rank 2 is difficult.

    Without it: precision 1/1, 2/2, 3/3 until recall 3/4, then 4/6. Recalls
    0 .. 0.7 are eight points of 1, and 0.8 .. 1 three of 2/3.
    """
    scores = np.array([[7.0, 6, 5, 4, 3, 2, 1]]).T
    labels = np.array([[1, -1, 1, 1, 0, 0, 1]]).T
    np.testing.assert_allclose(
        metrics.average_precisions(scores, labels), [(8 + 3 * 2 / 3) / 11]
    )
    # Counted as absent, it would cost: 1, then 2/3 and 3/4, then 4/7.
    np.testing.assert_allclose(
        metrics.average_precisions(scores, np.where(labels == -1, 0, labels)),
        [(3 * 1 + 5 * 3 / 4 + 3 * 4 / 7) / 11],
    )


@pytest.mark.parametrize("digits", [9, 0], ids=["no ties", "ties"])
def test_map_is_its_definition(rng, digits):
    scores, labels = multi_label(rng, digits=digits)
    slow = [
        slow_average_precision(scores[:, c], labels[:, c]) for c in range(4)
    ]
    np.testing.assert_allclose(
        metrics.average_precisions(scores, labels), slow, rtol=1e-12
    )
    found = metrics.evaluate(scores, labels)["voc_map"]
    assert found.value == pytest.approx(np.mean(slow), rel=1e-12)
    assert found.low < found.value < found.high
    order = rng.permutation(len(scores))
    assert metrics.evaluate(scores[order], labels[order])["voc_map"].value == (
        pytest.approx(found.value, rel=1e-12)
    )


def test_points_of_map_are_scikit_learns_curve(rng):
    scores, labels = multi_label(rng)
    for c in range(4):
        counted = labels[:, c] >= 0
        precision, recall, _ = oracle.precision_recall_curve(
            labels[counted, c] == 1, scores[counted, c]
        )
        # Its last point, precision 1 at recall 0, is no measurement.
        precision, recall = precision[:-1], recall[:-1]
        points = [precision[recall >= r / 10 - 1e-12].max() for r in range(11)]
        np.testing.assert_allclose(
            metrics.average_precisions(scores, labels)[c], np.mean(points)
        )


def test_resampled_map_counts_an_image_as_often_as_it_was_drawn(rng):
    scores, labels = multi_label(rng, num_examples=60)
    seen = []
    real = statistics.bootstrap

    def spy(statistic, sizes, *, seed):
        counts = rng.multinomial(60, np.full(60, 1 / 60), 5)
        for row, got in zip(counts, statistic(counts), strict=True):
            repeated = np.repeat(np.arange(60), row)
            want = metrics.average_precisions(
                scores[repeated], labels[repeated]
            )
            np.testing.assert_allclose(got, np.nanmean(want), rtol=1e-12)
            seen.append(got)
        return real(statistic, sizes, seed=seed)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(metrics, "bootstrap", spy)
        metrics.voc_map(scores, labels)
    assert len(seen) == 5


def test_interval_of_a_share_is_the_binomials():
    """Resampled, a share is a binomial: its quantiles are known exactly."""
    right, wrong = 400, 100
    scores = np.eye(2)[[0] * right + [1] * wrong]
    found = metrics.top_k(scores, np.zeros(500, int), k=1, seed=1)
    exact = stats.binom(500, 0.8).ppf([0.025, 0.975]) / 500
    assert found.value == 0.8
    np.testing.assert_allclose([found.low, found.high], exact, atol=0.0035)


def test_cells_and_single_examples_have_one_distribution():
    """The bootstrap of cells is that of examples, told apart."""
    labels = np.repeat([0, 1, 2], [10, 60, 130])
    scores = np.eye(3)[np.where(np.arange(200) % 4, labels, 0)]
    cells = metrics.mean_per_class(scores, labels, seed=0)
    correct = metrics.top_k_correct(scores, labels, k=1)
    one_hot = np.eye(3)[labels]

    def of_examples(counts):
        return np.mean(
            (counts @ (one_hot * correct[:, None])) / (counts @ one_hot), axis=1
        )

    singly = statistics.bootstrap(of_examples, np.ones(200, int), seed=1)
    assert singly.value == pytest.approx(cells.value)
    np.testing.assert_allclose(singly, cells, atol=0.01)


def test_intervals_hold_the_truth_as_often_as_they_say(rng):
    """Of 300 samples of a coin, about 95 % have its bias in their interval."""
    held = 0
    for trial in range(300):
        heads = rng.binomial(200, 0.7)
        found = statistics.bootstrap(
            lambda counts: counts[:, 1] / counts.sum(1),
            [200 - heads, heads],
            seed=trial,
            num_resamples=500,
        )
        held += found.low <= 0.7 <= found.high
    assert 0.90 < held / 300 < 0.985


def test_intervals_are_a_function_of_the_seed(rng):
    scores, labels = scored(rng)
    first = metrics.evaluate(scores, labels, seed=3)
    assert first == metrics.evaluate(scores, labels, seed=3)
    assert first != metrics.evaluate(scores, labels, seed=4)


@pytest.mark.parametrize("name", metrics.METRICS)
def test_a_label_of_minus_1_counts_nowhere(rng, name):
    """Neither in the value nor in the interval, whatever its score."""
    several = metrics.METRICS[name].several_labels
    shape = (60, 7) if several else (60,)
    labels = rng.integers(0, 2, shape)
    scores = rng.normal(size=(60, 7))
    dropped = rng.random(60) < 0.5
    holes = labels.copy()
    holes[dropped] = -1
    kept = scores[~dropped], labels[~dropped]
    assert metrics.value(name, scores, holes) == metrics.value(name, *kept)
    wanted = metrics.evaluate(*kept, metrics=[name], seed=3)
    assert metrics.evaluate(scores, holes, metrics=[name], seed=3) == wanted


@pytest.mark.parametrize(
    ("scores", "labels", "words"),
    [
        (np.zeros((0, 3)), np.zeros(0, int), "no examples"),
        (np.zeros((2, 3)), np.array([0, 3]), r"0\.\.2"),
        (np.zeros((2, 3)), np.array([-1, -1]), "label counts"),
        (np.zeros((2, 3)), np.full((2, 3), -1), "label counts"),
        (np.full((2, 3), np.nan), np.array([0, 1]), "not finite"),
        (np.zeros((2, 3)), np.zeros(3, int), "Received"),
        (np.zeros((2, 3)), np.zeros((2, 3), int), "No image"),
        (np.zeros((2, 3)), np.full((2, 3), 2), r"-1\.\.1"),
    ],
)
def test_what_cannot_be_scored_says_so(scores, labels, words):
    with pytest.raises(ValueError, match=words):
        metrics.evaluate(scores, labels)


def test_a_metric_for_other_labels_says_so(rng):
    scores, labels = scored(rng)
    with pytest.raises(ValueError, match="voc_map"):
        metrics.evaluate(scores, labels, metrics=["voc_map"])
