"""The order: permutations, all different, a function of (seed, position)."""

import math

import numpy as np
import pytest
import tensorflow as tf

from simclr_tf.data import order


def indexes(num_examples, *, seed, start=0, count=None):
    position = tf.range(start, start + (count or num_examples), dtype=tf.int64)
    epoch, index = order.epoch_and_index(
        position, num_examples=num_examples, seed=seed
    )
    return epoch.numpy(), index.numpy()


@pytest.mark.parametrize("num_examples", [1, 2, 3, 10, 257, 1437, 70_000])
def test_an_epoch_has_every_example_once(num_examples):
    epoch, index = indexes(num_examples, seed=3, start=2 * num_examples)
    np.testing.assert_array_equal(np.sort(index), np.arange(num_examples))
    np.testing.assert_array_equal(epoch, 2)


def test_an_imagenet_epoch_has_every_example_once():
    num_examples = 1_281_167
    _, index = indexes(num_examples, seed=0, start=num_examples * 999)
    np.testing.assert_array_equal(np.bincount(index), 1)
    assert len(index) == num_examples


def test_a_piece_of_the_order_is_the_piece_of_the_whole():
    epoch, index = indexes(50, seed=1, count=175)
    for start, count in ((0, 1), (49, 3), (120, 55)):
        part_epoch, part = indexes(50, seed=1, start=start, count=count)
        np.testing.assert_array_equal(part, index[start : start + count])
        np.testing.assert_array_equal(part_epoch, epoch[start : start + count])
    one_epoch, one = order.epoch_and_index(
        tf.constant(77, tf.int64), num_examples=50, seed=1
    )
    assert (one_epoch, one) == (1, index[77])


def test_no_two_epochs_or_seeds_share_a_permutation():
    """index_shuffle alone repeats itself every 256 seeds, for small data."""
    seen = {}
    for seed in (0, 256, 2**32):
        _, index = indexes(100, seed=seed, count=100 * 300)
        for epoch, permutation in enumerate(index.reshape(300, 100)):
            key = permutation.tobytes()
            assert key not in seen, (seed, epoch, seen[key])
            seen[key] = (seed, epoch)


@pytest.mark.parametrize("num_examples", [4, 37])
def test_every_position_shows_every_example_equally_often(num_examples):
    epochs = 600
    _, index = indexes(num_examples, seed=9, count=num_examples * epochs)
    table = index.reshape(epochs, num_examples)
    expected = epochs / num_examples
    for position in range(min(num_examples, 8)):
        counts = np.bincount(table[:, position], minlength=num_examples)
        chi_squared = ((counts - expected) ** 2 / expected).sum()
        freedom = num_examples - 1
        assert abs(chi_squared - freedom) < 5 * math.sqrt(2 * freedom)
    # A random permutation has one fixed point in the mean, variance 1.
    fixed = (table == np.arange(num_examples)).sum(axis=1).mean()
    assert abs(fixed - 1) < 5 / math.sqrt(epochs)


def test_neighbours_in_one_epoch_are_not_neighbours_in_the_next():
    _, index = indexes(1000, seed=0, count=50_000)
    table = index.reshape(50, 1000)
    correlations = [
        np.corrcoef(table[i], table[i + 1])[0, 1] for i in range(49)
    ]
    assert abs(np.mean(correlations)) < 5 / math.sqrt(49 * 1000)
    steps = np.abs(np.diff(table, axis=1)) == 1  # 2/n of the pairs
    assert abs(steps.mean() - 2 / 1000) < 5 * math.sqrt(0.002 / steps.size)


def test_the_order_is_pinned():
    """A change here changes the order of every run there is."""
    position = tf.constant([0, 1, 2, 1436, 1437, 10**9], tf.int64)
    epoch, index = order.epoch_and_index(position, num_examples=1437, seed=7)
    np.testing.assert_array_equal(epoch, [0, 0, 0, 0, 1, 695894])
    np.testing.assert_array_equal(index, [703, 1361, 906, 878, 0, 973])
    scanned = order.permute(
        tf.range(5, dtype=tf.int64), size=5, key=(order.SCAN, 1)
    )
    np.testing.assert_array_equal(scanned, [4, 0, 3, 1, 2])
