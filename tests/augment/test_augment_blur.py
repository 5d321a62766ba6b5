"""Blur against SciPy's Gaussian filter and closed forms at the border."""

import numpy as np
import pytest
import scipy.ndimage
import tensorflow as tf

from simclr_tf.augment import blur


@pytest.mark.parametrize(
    ("image_size", "taps"),
    [(224, 23), (192, 19), (96, 9), (64, 7), (32, 3), (20, 3), (19, 1), (8, 1)],
)
def test_kernel_size_is_the_official_one(image_size, taps):
    assert blur.kernel_size(image_size) == taps


@pytest.mark.parametrize("shape", [(40, 40), (24, 33), (5, 50)])
def test_blur_equals_scipy_with_a_sigma_per_image(rng, shape):
    images = rng.random((5, *shape, 3), np.float32)
    sigma = np.float32([0.1, 0.4, 1.0, 1.7, 2.0])
    blurred = blur.gaussian_blur(images, sigma, kernel_size=9)
    for image, s, result in zip(images, sigma, blurred, strict=True):
        expected = scipy.ndimage.gaussian_filter(
            image.astype(np.float64),
            (s, s, 0),
            mode="constant",
            cval=0.0,
            radius=(4, 4, 0),
        )
        np.testing.assert_allclose(result, expected, atol=1e-6)


@pytest.mark.parametrize("jit_compile", [False, True])
@pytest.mark.parametrize("taps", [1, 3, 9, 23])
def test_tap_by_tap_equals_banded_matrices(rng, taps, jit_compile):
    images = rng.random((5, 24, 33, 3), np.float32)
    sigma = np.float32([0.0, 0.1, 0.7, 1.3, 2.0])
    expected = blur.gaussian_blur(images, sigma, kernel_size=taps)
    one = tf.function(
        lambda image, s: blur.gaussian_blur_one(image, s, kernel_size=taps),
        jit_compile=jit_compile,
    )
    for i in range(5):
        result = one(tf.constant(images[i]), tf.constant(sigma[i]))
        np.testing.assert_allclose(result, expected[i], atol=1e-6)
    result = one(tf.constant(images[0]), tf.constant(sigma[0]))
    np.testing.assert_array_equal(result, images[0])


def test_borders_darken_as_in_the_official_code():
    """Constant image, sigma 2, 23 taps: corner 0.36, edge 0.60, inside 1."""
    blurred = blur.gaussian_blur(
        tf.ones([1, 224, 224, 3]), tf.constant([2.0]), kernel_size=23
    )[0, :, :, 0].numpy()
    half = np.exp(-(np.arange(12.0) ** 2) / 8)
    edge = half.sum() / (2 * half.sum() - 1)
    assert edge == pytest.approx(0.60, abs=5e-3)
    assert blurred[0, 112] == pytest.approx(edge, abs=1e-6)
    assert blurred[112, 223] == pytest.approx(edge, abs=1e-6)
    assert blurred[0, 0] == pytest.approx(edge**2, abs=1e-6)
    assert edge**2 == pytest.approx(0.36, abs=5e-3)
    assert blurred[112, 112] == pytest.approx(1.0, abs=1e-6)


def test_sigma_zero_leaves_the_bits_alone(rng):
    images = rng.random((3, 12, 12, 3), np.float32)
    blurred = blur.gaussian_blur(
        images, tf.constant([0.0, 1.0, 0.0]), kernel_size=3
    ).numpy()
    np.testing.assert_array_equal(blurred[[0, 2]], images[[0, 2]])
    assert np.abs(blurred[1] - images[1]).max() > 0.1


def test_one_tap_is_no_blur(rng):
    images = rng.random((2, 8, 8, 3), np.float32)
    blurred = blur.gaussian_blur(images, tf.fill([2], 2.0), kernel_size=1)
    np.testing.assert_array_equal(blurred, images)


def test_equal_images_blur_by_their_own_sigmas(rng):
    """The official code blurs a whole batch by one sigma."""
    images = np.repeat(rng.random((1, 32, 32, 3), np.float32), 8, axis=0)
    sigma = tf.linspace(0.2, 2.0, 8)
    blurred = blur.gaussian_blur(images, sigma, kernel_size=3).numpy()
    spread = blurred[:, 4:-4, 4:-4].std(axis=(1, 2, 3))
    assert (np.diff(spread) < 0).all()


@pytest.mark.parametrize("jit_compile", [False, True])
def test_an_image_blurs_the_same_alone_and_in_a_batch(rng, jit_compile):
    images = rng.random((6, 32, 32, 3), np.float32)
    sigma = rng.uniform(0, 2, 6).astype(np.float32)
    run = tf.function(
        lambda x, s: blur.gaussian_blur(x, s, kernel_size=3),
        jit_compile=jit_compile,
    )
    batched = run(images, sigma)
    alone = tf.concat(
        [run(images[i : i + 1], sigma[i : i + 1]) for i in range(6)], 0
    )
    np.testing.assert_array_equal(batched, alone)


@pytest.mark.parametrize("kernel_size", [0, -3, 4])
def test_kernel_size_must_be_odd(kernel_size):
    with pytest.raises(
        ValueError, match=f"odd and at least 1, got {kernel_size}"
    ):
        blur.gaussian_blur(
            tf.zeros([1, 8, 8, 3]), tf.ones([1]), kernel_size=kernel_size
        )
