"""AutoAugment against that of tf-models-official, its dice loaded."""

import numpy as np
import pytest
import scipy.stats
import tensorflow as tf
from official.vision.ops import augment

from simclr_tf.augment import auto_augment, draw
from simclr_tf.augment.policy import Policy

SIZE = 33


@pytest.mark.parametrize("sign", [-1.0, 1.0])
def test_every_pair_is_what_the_official_class_does(rng, monkeypatch, sign):
    monkeypatch.setattr(augment, "_randomly_negate_tensor", lambda x: sign * x)
    policies = auto_augment.policy()
    assert len(policies) == 25
    images = rng.integers(0, 256, (25, SIZE, SIZE, 3), dtype=np.uint8)
    coins = rng.integers(0, 2, (25, 2))
    drawn = np.column_stack([np.arange(25), coins, np.full((25, 2), sign)])
    found = auto_augment.auto_augment(
        tf.constant(images / np.float32(255)), tf.constant(drawn, tf.float32)
    ).numpy()
    for i, pair in enumerate(policies):
        certain = [
            (name, float(coin), level)
            for (name, _, level), coin in zip(pair, coins[i], strict=True)
        ]
        official = augment.AutoAugment(
            policies=[certain], translate_const=SIZE * auto_augment.FARTHEST
        )
        expected = official.distort(tf.constant(images[i]))
        np.testing.assert_array_equal(
            np.round(255 * found[i]), expected, err_msg=str(certain)
        )


def test_what_is_drawn_is_as_likely_as_it_should_be():
    seeds = draw.sample_seed(0, 0, tf.range(20_000, dtype=tf.int64), 0)
    drawn = auto_augment.draw_operators(seeds).numpy()
    chosen, counts = np.unique(drawn[:, 0], return_counts=True)
    np.testing.assert_array_equal(chosen, np.arange(25))
    assert scipy.stats.chisquare(counts).pvalue > 1e-3
    for number, pair in enumerate(auto_augment.policy()):
        mine = drawn[drawn[:, 0] == number]
        for place, (_, probability, _) in enumerate(pair):
            spread = np.sqrt(probability * (1 - probability) / len(mine))
            rate = mine[:, 1 + place].mean()
            assert abs(rate - probability) <= 4 * spread
    for signs in drawn[:, 3:].T:
        assert set(signs) == {-1, 1}
        assert abs(signs.mean()) < 4 / np.sqrt(len(signs))


@pytest.mark.slow
def test_it_is_an_operator_of_lists_on_the_host(rng):
    policy = Policy(32, operators=("crop", "autoaugment"))
    assert not policy.compiles and Policy(32).compiles
    images = rng.integers(0, 256, (4, 32, 32, 3), dtype=np.uint8)
    ids = tf.range(4, dtype=tf.int64)
    drawn = policy.draw(draw.sample_seed(0, 0, ids, 0))
    batches = tf.data.Dataset.from_tensors((images, drawn["parameters"]))
    (found,) = batches.map(policy.color_view)
    assert found.shape == (4, 32, 32, 3)
    in_turn = policy.color_view_in_turn(images, drawn["parameters"])
    np.testing.assert_allclose(found, in_turn, atol=1e-6)
