"""The permutation test against exact McNemar and against its definition."""

import itertools

import numpy as np
import pytest
from scipy import stats

from simclr_tf.evaluation import metrics, statistics


def outcomes_with(only_first, only_second, both=100, neither=50):
    """Outcomes of two models, by who is right."""
    first = np.repeat([1.0, 0, 1, 0], [only_first, only_second, both, neither])
    second = np.repeat([0.0, 1, 1, 0], [only_first, only_second, both, neither])
    return first, second


@pytest.mark.parametrize(
    ("first", "second"), [(9, 3), (30, 12), (20, 20), (5, 0), (400, 340)]
)
def test_on_top_1_it_is_exact_mcnemar(first, second):
    found = statistics.compare(*outcomes_with(first, second), seed=2)
    exact = stats.binomtest(first, first + second, 0.5).pvalue
    error = np.sqrt(exact * (1 - exact) / 100_000)
    assert found.p_value == pytest.approx(exact, abs=4.5 * error + 2e-5)
    total = first + second + 150
    assert found.difference == pytest.approx((first - second) / total)
    assert found.num_different == first + second
    assert found.num_samples == 100_000


def test_of_unequal_outcomes_it_is_the_mean_over_all_exchanges(rng):
    """Eleven examples have 2048 ways to be exchanged; take them all."""
    first = rng.integers(0, 4, 11) / 3
    second = rng.integers(0, 4, 11) / 3 * 0.8
    differences = first - second
    signs = np.array(list(itertools.product([-1, 1], repeat=11)))
    exact = (abs(signs @ differences) >= abs(differences.sum()) - 1e-9).mean()
    found = statistics.compare(first, second, seed=1)
    assert 0.01 < exact < 0.99
    assert found.p_value == pytest.approx(exact, abs=0.007)


def test_equal_models_do_not_differ():
    ones = np.ones(10)
    assert statistics.compare(ones, ones) == (0.0, 1.0, 0, 100_000)


def test_no_p_value_is_zero():
    found = statistics.compare(*outcomes_with(5000, 0))
    assert found.p_value == 1 / 100_001


def test_it_is_a_function_of_the_seed():
    sides = outcomes_with(30, 15)
    assert statistics.compare(*sides, seed=1) == statistics.compare(
        *sides, seed=1
    )
    assert statistics.compare(*sides, seed=1) != statistics.compare(
        *sides, seed=2
    )


def test_outcomes_average_to_their_metric(rng):
    labels = np.minimum(rng.integers(0, 6, 200), rng.integers(0, 6, 200))
    scores = rng.normal(size=(200, 6)) + 2 * np.eye(6)[labels]
    for name in ("top_1", "mean_per_class"):
        each = metrics.outcomes(name, scores.argmax(1), labels)
        assert each.mean() == pytest.approx(metrics.value(name, scores, labels))


def test_outcomes_of_several_labels_leave_out_what_does_not_count():
    labels = np.array([[1, 0, -1, 0], [-1, -1, 1, 1]])
    predictions = np.array([[1, 1, 1, 0], [0, 0, 1, 0]])
    np.testing.assert_allclose(
        metrics.outcomes("voc_map", predictions, labels), [2 / 3, 1 / 2]
    )


def test_outcomes_without_a_label_do_not_count():
    labels = np.array([0, -1, 1, 1])
    predictions = np.array([0, 1, 1, 0])
    for name, expected in [
        ("top_1", [1, 1, 0]),
        ("mean_per_class", [1.5, 0.75, 0]),
    ]:
        found = metrics.outcomes(name, predictions, labels)
        np.testing.assert_allclose(found, expected)


def test_what_cannot_be_compared_says_so():
    with pytest.raises(ValueError, match="same examples"):
        statistics.compare(np.ones(3), np.ones(4))
    with pytest.raises(ValueError, match="top_5"):
        metrics.outcomes("top_5", np.zeros(3, int), np.zeros(3, int))
    with pytest.raises(ValueError, match="voc_map"):
        metrics.outcomes("voc_map", np.zeros(3, int), np.zeros(3, int))
