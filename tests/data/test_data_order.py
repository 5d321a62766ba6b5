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
def test_every_place_shows_every_example_equally_often(num_examples):
    epochs = 600
    _, index = indexes(num_examples, seed=9, count=num_examples * epochs)
    table = index.reshape(epochs, num_examples)
    expected = epochs / num_examples
    for place in range(min(num_examples, 8)):
        counts = np.bincount(table[:, place], minlength=num_examples)
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


def test_mix_is_splitmix64():
    """Its first outputs for seed 0 are published with the generator."""

    def oracle(words):
        mask, state = 2**64 - 1, 0x9E3779B97F4A7C15
        for word in words:
            state = ((state + 0x9E3779B97F4A7C15) & mask) ^ (word & mask)
            state = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & mask
            state = ((state ^ (state >> 27)) * 0x94D049BB133111EB) & mask
            state = state ^ (state >> 31)
        return state

    for words in ((0,), (1, 2, 3), (-5, 2**62), (2**63 - 1, -(2**63))):
        assert int(order.mix(*words)) % 2**64 == oracle(words)
        tensors = [tf.constant(word, tf.int64) for word in words]
        assert int(order.mix(*tensors)) % 2**64 == oracle(words)
        assert int(order.mix(words[0], *tensors[1:])) % 2**64 == oracle(words)
    # splitmix64 seeded with 0 gives this as its second number.
    assert int(order.mix(0)) % 2**64 == 0x6E789E6AA1B965F4


def test_mix_depends_on_the_order_and_number_of_its_words():
    values = {
        int(order.mix(*words))
        for words in ((0,), (0, 0), (0, 0, 0), (0, 1), (1, 0), (1,), (1, 1))
    }
    assert len(values) == 7
