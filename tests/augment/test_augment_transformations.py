"""What was done to an image is what its label says."""

import numpy as np
import pytest
import scipy.ndimage
import tensorflow as tf

from simclr_tf.augment.transformations import TRANSFORMATIONS

N, S = 400, 8
BY_NAME = {t.name: t for t in TRANSFORMATIONS}
CHANCE = {"color": 0.2, "noise": 0.5, "sobel": 0.5}


@pytest.fixture(scope="module")
def images():
    rng = np.random.default_rng(0)
    return rng.integers(30, 226, (N, S, S, 3), np.uint8)


def done(name, images, ids=None, part=0):
    ids = np.arange(len(images)) if ids is None else ids
    found, labels = BY_NAME[name].apply(
        tf.constant(images), tf.constant(ids, tf.int64), seed=5, part=part
    )
    assert found.dtype == tf.uint8 and labels.dtype == tf.int64
    return found.numpy(), labels.numpy()


@pytest.mark.parametrize("name", CHANCE)
def test_untouched_is_untouched_and_the_others_are_not(images, name):
    found, labels = done(name, images)
    same = (found == images).all(axis=(1, 2, 3))
    np.testing.assert_array_equal(same, labels == 0)
    share = CHANCE[name]
    assert labels.mean() == pytest.approx(share, abs=4 * 0.5 / N**0.5)


def test_grey_is_grey(images):
    found, labels = done("color", images)
    grey = found[labels == 1]
    assert (grey == grey[..., :1]).all()


def test_turns_are_numpys(images):
    found, labels = done("rotation", images)
    assert np.bincount(labels, minlength=4) == pytest.approx(N / 4, abs=40)
    for image, mine, turns in zip(images, found, labels, strict=True):
        np.testing.assert_array_equal(mine, np.rot90(image, turns))


def test_sobel_is_scipys(images):
    found, labels = done("sobel", images)
    number = int(np.flatnonzero(labels)[0])
    plane = images[number, ..., 1] / 255
    steep = np.hypot(
        *(scipy.ndimage.sobel(plane, axis, mode="reflect") for axis in (0, 1))
    )
    expected = np.minimum(steep / 4, 1) * 255
    np.testing.assert_allclose(found[number, ..., 1], expected, atol=1)


@pytest.mark.parametrize("name", BY_NAME)
def test_it_is_a_function_of_the_sample_and_the_part(images, name):
    found, labels = done(name, images)
    order = np.random.default_rng(1).permutation(N)[:50]
    again, labels_again = done(name, images[order], ids=order)
    np.testing.assert_array_equal(again, found[order])
    np.testing.assert_array_equal(labels_again, labels[order])
    assert (done(name, images, part=1)[1] != labels).any()
    assert len(BY_NAME[name].classes) == labels.max() + 1
