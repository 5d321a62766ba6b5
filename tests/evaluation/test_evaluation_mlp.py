"""A small MLP on frozen features: what it can tell, and what it cannot."""

import numpy as np
import pytest
import tensorflow as tf

from simclr_tf.augment.transformations import TRANSFORMATIONS
from simclr_tf.data import digits
from simclr_tf.evaluation.fitted import mlp


def accuracy(scores, labels):
    return (scores.argmax(axis=1) == labels).mean()


def test_it_tells_what_no_linear_classifier_can(rng):
    values = rng.normal(size=(600, 2)).astype(np.float32)
    labels = ((values[:, 0] > 0) ^ (values[:, 1] > 0)).astype(np.int64)
    train, test = (values[:400], labels[:400]), (values[400:], labels[400:])
    found, epochs = mlp.scores(train, test[0], num_classes=2, seed=0)
    assert accuracy(found, test[1]) > 0.9
    assert 1 <= epochs <= mlp.MAX_UPDATES
    np.testing.assert_allclose(found.sum(axis=1), 1, atol=1e-5)
    again, _ = mlp.scores(train, test[0], num_classes=2, seed=0)
    np.testing.assert_array_equal(found, again)


def test_constant_features_give_chance(rng):
    values = np.full((300, 5), 0.1, np.float32)
    labels = (rng.random(300) < 0.2).astype(np.int64)
    found, _ = mlp.scores((values, labels), values, num_classes=2, seed=0)
    chance = mlp.majority(labels, 300, num_classes=2)
    np.testing.assert_array_equal(found.argmax(1), chance.argmax(1))
    assert accuracy(chance, labels) == max(labels.mean(), 1 - labels.mean())


@pytest.mark.parametrize("labels", [[2] * 9, [0] * 8 + [2]])
def test_classes_that_hardly_are_there_are_no_error(rng, labels):
    values = rng.normal(size=(9, 3))
    found, _ = mlp.scores(
        (values, np.array(labels)), values[:4], num_classes=3, seed=0
    )
    assert found.shape == (4, 3)
    assert not found[:, 1].any()


def test_pixels_tell_colour_from_grey():
    """Of strokes in the colours of color_digits."""
    background, ink = (c[:, None, None] for c in digits.colors(1500))
    shares = np.linspace(0, 1, 16).reshape(4, 4, 1)
    images = np.round(255 * (background + (ink - background) * shares))
    found, labels = TRANSFORMATIONS[0].apply(
        tf.constant(images, tf.uint8),
        tf.range(1500, dtype=tf.int64),
        seed=0,
        part=0,
    )
    values = found.numpy().reshape(1500, -1).astype(np.float32)
    labels = labels.numpy()
    scores, _ = mlp.scores(
        (values[:1000], labels[:1000]), values[1000:], num_classes=2, seed=0
    )
    assert accuracy(scores, labels[1000:]) > 0.97
