"""Batched draws are TensorFlow's own, bit for bit."""

import numpy as np
import pytest
import tensorflow as tf

from simclr_tf.augment import philox

EXTREMES = (0, 1, -1, 2**31 - 1, -(2**31))


def _seeds(rng, dtype):
    info = np.iinfo(dtype)
    drawn = rng.integers(info.min, info.max, (20, 2), dtype, endpoint=True)
    return np.concatenate([drawn, [[a, b] for a in EXTREMES for b in EXTREMES]])


@pytest.mark.parametrize("dtype", [np.int32, np.int64])
@pytest.mark.parametrize("count", [1, 4, 9])
def test_uniform(rng, dtype, count):
    seeds = _seeds(rng, dtype).astype(dtype)
    numbers = philox.uniform(seeds, count)
    assert numbers.shape == (len(seeds), count)
    for seed, got in zip(seeds, numbers, strict=True):
        expected = tf.random.stateless_uniform([count], seed, alg="philox")
        np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize("seed_type", [np.int32, np.int64])
@pytest.mark.parametrize("data_type", [np.int32, np.int64])
def test_fold_in(rng, seed_type, data_type):
    seeds = _seeds(rng, seed_type).astype(seed_type)
    data = _seeds(rng, data_type)[:, 0].astype(data_type)
    folded = philox.fold_in(seeds, data)
    assert folded.dtype == data_type
    for seed, datum, got in zip(seeds, data, folded, strict=True):
        expected = tf.random.experimental.stateless_fold_in(
            seed, datum, "philox"
        )
        np.testing.assert_array_equal(got, expected)


def test_shapes_in_a_graph(rng):
    seeds = tf.constant(_seeds(rng, np.int32)[:24].reshape(4, 6, 2), tf.int32)

    @tf.function(input_signature=[tf.TensorSpec([None, 6, 2], tf.int32)])
    def draw(seeds):
        folded = philox.fold_in(seeds, 3)
        assert folded.shape.as_list() == [None, 6, 2]
        numbers = philox.uniform(folded, 5)
        assert numbers.shape.as_list() == [None, 6, 5]
        return numbers

    numbers = draw(seeds)
    alone = philox.uniform(philox.fold_in(seeds[2, 1], 3), 5)
    np.testing.assert_array_equal(numbers[2, 1], alone)
    np.testing.assert_array_equal(
        philox.fold_in(seeds[0, 0], tf.range(4))[2],
        philox.fold_in(seeds[0, 0], 2),
    )
