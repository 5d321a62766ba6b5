"""Views of any number of channels: what works band by band, and what cannot."""

import numpy as np
import pytest
import tensorflow as tf

from simclr_tf.augment import color, draw
from simclr_tf.augment.operators import OPERATORS
from simclr_tf.augment.policy import Policy
from simclr_tf.config import operator_list

S, N = 24, 4
BY_BAND = [n for n in operator_list.NAMES if n not in operator_list.IN_RGB]


def views(policy, images):
    seeds = draw.sample_seed(0, 0, tf.range(N, dtype=tf.int64), 0)
    drawn = policy.draw(seeds)
    cropped = [
        policy.host_view(image, {k: v[i] for k, v in drawn.items()})
        for i, image in enumerate(images)
    ]
    return policy.color_view(tf.stack(cropped), drawn["parameters"]).numpy()


@pytest.fixture
def images(rng):
    return rng.integers(0, 256, (N, 30, 35, 7), dtype=np.uint8)


@pytest.mark.parametrize("name", BY_BAND)
def test_an_operator_of_bands_does_to_three_what_it_does_to_rgb(name, images):
    """Noise is another number for each channel of each pixel."""
    policy = Policy(S, operators=("crop", (name, 1.0)))
    seven = views(policy, images)
    assert seven.shape == (N, S, S, 7)
    if name == "noise":
        assert np.abs(seven[..., :3] - seven[..., 3:6]).mean() > 0.01
        return
    for first in (0, 4):
        three = views(policy, images[..., first : first + 3])
        # Products of matrices of another width round otherwise.
        np.testing.assert_allclose(
            seven[..., first : first + 3], three, atol=1e-5
        )


@pytest.mark.parametrize("channels", [1, 2, 5])
def test_the_pipeline_without_colours(channels, images):
    plain = Policy(S, color=False)
    few = images[..., :channels]
    found = views(plain, few)
    three = views(plain, np.repeat(few[..., :1], 3, axis=-1))
    np.testing.assert_allclose(found[..., 0], three[..., 0], atol=1e-5)
    in_turn = plain.color_view_in_turn(
        tf.zeros([2, S, S, channels], tf.uint8),
        tf.zeros([2, plain.num_parameters]),
    )
    assert in_turn.shape == (2, S, S, channels)


@pytest.mark.parametrize("name", ["color", "color_jitter", "color_drop"])
def test_colours_of_bands_are_an_error(name, images):
    policy = Policy(S, operators=((name, 1.0),))
    with pytest.raises(ValueError, match="in RGB, got images of 7 channels"):
        views(policy, images)


def test_the_configuration_knows_which_operators_need_rgb():
    assert {*operator_list.IN_RGB} < {*OPERATORS}
    with pytest.raises(ValueError, match="channels"):
        color.gray(tf.zeros([1, 4, 4, 1]))
