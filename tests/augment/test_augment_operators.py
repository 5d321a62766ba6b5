"""The study's operators against Pillow, SciPy and NumPy, image by image."""

import math

import numpy as np
import pytest
import scipy.ndimage
import scipy.stats
import tensorflow as tf
from PIL import Image, ImageOps

from simclr_tf.augment import (
    color,
    corruption,
    draw,
    motion_blur,
    resampling,
    tones,
)

N, S = 6, 24
MANY = 4000
LEAST_P_VALUE = 1e-3  # seeds are fixed: a test passes always or never


@pytest.fixture
def images(rng):
    """Levels of 1/255, smooth enough to have edges: float32[N, S, S, 3]."""
    noise = scipy.ndimage.gaussian_filter(
        rng.normal(size=(N, S, S, 3)), (0, 1, 1, 0)
    )
    return np.float32(np.round(255 * scipy.stats.norm.cdf(3 * noise)) / 255)


@pytest.fixture(scope="module")
def seeds():
    return draw.sample_seed(0, 0, tf.range(MANY, dtype=tf.int64), 0)


def is_uniform(numbers, low, high):
    uniform = scipy.stats.uniform(low, high - low)
    return scipy.stats.kstest(numbers, uniform.cdf).pvalue > LEAST_P_VALUE


def both_ways(function, *arguments):
    """What a function gives, having compared its compilation with it."""
    arguments = [tf.convert_to_tensor(a, tf.float32) for a in arguments]
    plain = function(*arguments).numpy()
    compiled = tf.function(function, jit_compile=True)(*arguments)
    np.testing.assert_allclose(compiled, plain, atol=1e-5)
    return plain


def test_crop_is_pillows(images, rng):
    """Bicubic with an a of -1/2, from a box between pixels."""
    boxes = resampling.draw_boxes(
        draw.sample_seed(0, 0, tf.range(N, dtype=tf.int64), 0), min_area=0.08
    ).numpy()
    found = both_ways(resampling.crop, images, boxes)
    for image, (y, x, height, width), mine in zip(
        images, boxes * S, found, strict=True
    ):
        for channel in range(3):
            expected = Image.fromarray(image[..., channel]).resize(
                (S, S),
                Image.Resampling.BICUBIC,
                box=(x, y, x + width, y + height),
            )
            expected = np.clip(np.asarray(expected), 0, 1)
            np.testing.assert_allclose(mine[..., channel], expected, atol=1e-5)


def test_the_box_of_everything_is_the_image(images):
    whole = np.tile(np.float32([0, 0, 1, 1]), (N, 1))
    found = resampling.crop(tf.constant(images), whole)
    np.testing.assert_allclose(found, images, atol=1e-6)


def test_boxes_are_inside_and_as_they_are_said_to_be(seeds):
    boxes = resampling.draw_boxes(seeds, min_area=0.08).numpy()
    y, x, height, width = boxes.T
    assert boxes.min() >= 0 and max(height.max(), width.max()) <= 1
    assert max((y + height).max(), (x + width).max()) <= 1 + 1e-6
    area, aspect = height * width, width / height
    assert area.min() >= 0.08 - 1e-6
    assert aspect.min() > 3 / 4 - 1e-4 and aspect.max() < 4 / 3 + 1e-4
    # Below 3/4 of the area no side can be longer than the image's.
    assert is_uniform(area[area < 0.75], 0.08, 0.75)
    small = np.log(aspect[area < 0.75])
    assert is_uniform(small, math.log(3 / 4), math.log(4 / 3))
    free = (height < 0.99) & (width < 0.99)
    assert is_uniform(y[free] / (1 - height[free]), 0, 1)
    assert is_uniform(x[free] / (1 - width[free]), 0, 1)


def test_rotation_and_mirror_are_numpys(images):
    turns = np.float32([0, 1, 2, 3, 1, 2])[:, None]
    found = both_ways(resampling.rotate, images, turns)
    for image, (count,), mine in zip(images, turns, found, strict=True):
        np.testing.assert_array_equal(mine, np.rot90(image, int(count)))
    np.testing.assert_array_equal(
        both_ways(resampling.mirror, images), images[:, :, ::-1]
    )


def test_turns_are_uniform_over_the_four(seeds):
    values, counts = np.unique(resampling.draw_turns(seeds), return_counts=True)
    np.testing.assert_array_equal(values, [0, 1, 2, 3])
    assert scipy.stats.chisquare(counts).pvalue > LEAST_P_VALUE


@pytest.mark.parametrize("side", [16, 24, 33])
def test_cutout_covers_a_square_around_its_centre(side):
    images = np.ones((4, side, side, 3), np.float32)
    centers = np.float32([[0.5, 0.5], [0, 0], [0.999, 0.999], [0.2, 0.9]])
    found = both_ways(corruption.cutout, images, centers)
    length = round(0.5 * side)
    for (y, x), mine in zip(centers, found, strict=True):
        top, left = (int(c * side) - length // 2 for c in (y, x))
        expected = np.ones((side, side, 3))
        expected[max(top, 0) : top + length, max(left, 0) : left + length] = 0.5
        np.testing.assert_array_equal(mine, expected)


def test_centres_of_cutout_are_uniform(seeds):
    for numbers in corruption.draw_centers(seeds).numpy().T:
        assert is_uniform(numbers, 0, 1)


def test_noise_is_normal_and_of_the_deviation_drawn(seeds):
    drawn = corruption.draw_noise(seeds[:40]).numpy()
    gray = np.full((40, S, S, 3), 0.5, np.float32)
    drawn[:, 0] = 0.08  # far from the clip: 6 deviations
    found = both_ways(corruption.gaussian_noise, gray, drawn)
    normal = (found - 0.5) / 0.08
    assert scipy.stats.kstest(normal.ravel(), "norm").pvalue > LEAST_P_VALUE
    # Neither between channels and neighbours, nor between images.
    for one, other in (
        (normal[..., 0], normal[..., 1]),
        (normal[:, :, 1:], normal[:, :, :-1]),
        (normal[:, 1:], normal[:, :-1]),
        (normal[1:], normal[:-1]),
    ):
        correlation = np.corrcoef(one.ravel(), other.ravel())[0, 1]
        assert abs(correlation) < 4 / math.sqrt(one.size)


def test_noise_is_drawn_and_clipped(seeds):
    drawn = corruption.draw_noise(seeds).numpy()
    assert is_uniform(drawn[:, 0], 0.05, 0.2)
    for numbers in drawn[:, 1:].T:
        assert is_uniform(numbers / 2**24, 0, 1)
        np.testing.assert_array_equal(numbers, np.round(numbers))
    white = np.ones((4, S, S, 3), np.float32)
    found = corruption.gaussian_noise(tf.constant(white), drawn[:4]).numpy()
    assert found.max() == 1.0 and found.min() < 1.0
    alone = corruption.gaussian_noise(tf.constant(white[:1]), drawn[2:3])
    np.testing.assert_allclose(alone[0], found[2], atol=1e-6)


def test_sobel_is_scipys(images):
    found = both_ways(corruption.sobel, images)
    # SciPy smooths along all other axes: one channel of an image at a time.
    for i in range(N):
        for channel in range(3):
            plane = images[i, ..., channel].astype(np.float64)
            gradients = [
                scipy.ndimage.sobel(plane, axis, mode="reflect")
                for axis in (0, 1)
            ]
            expected = np.minimum(np.hypot(*gradients) / 4, 1)
            np.testing.assert_allclose(
                found[i, ..., channel], expected, atol=1e-5
            )


def test_a_step_from_black_to_white_is_white():
    image = np.zeros((1, 8, 8, 3), np.float32)
    image[:, :, 4:] = 1
    found = corruption.sobel(tf.constant(image)).numpy()[0, ..., 0]
    expected = np.zeros((8, 8))
    expected[:, 3:5] = 1
    np.testing.assert_array_equal(found, expected)


def test_equalize_is_pillows(images):
    """One with few tones and one of a single tone among them."""
    images[1] = np.round(images[1] * 3) / 3
    images[2] = 0.4
    images = np.float32(np.round(images * 255) / 255)
    found = both_ways(tones.equalize, images)
    for image, mine in zip(images, found, strict=True):
        levels = Image.fromarray(np.uint8(np.round(255 * image)))
        expected = np.asarray(ImageOps.equalize(levels))
        np.testing.assert_array_equal(np.round(255 * mine), expected)


def test_solarize_is_pillows(images):
    thresholds = np.float32([0, 50, 100, 128, 200, 255])
    # Between two levels, so that the rounding of 1/255 is no matter.
    found = both_ways(tones.solarize, images, (thresholds[:, None] - 0.5) / 255)
    for image, threshold, mine in zip(images, thresholds, found, strict=True):
        levels = Image.fromarray(np.uint8(np.round(255 * image)))
        expected = ImageOps.solarize(levels, int(threshold))
        np.testing.assert_allclose(255 * mine, np.asarray(expected), atol=1e-3)


def test_thresholds_and_directions_are_uniform(seeds):
    assert is_uniform(tones.draw_threshold(seeds)[:, 0], 0.25, 1.0)
    assert is_uniform(motion_blur.draw_direction(seeds)[:, 0], 0, math.pi)


@pytest.mark.parametrize("length", [3, 7])
def test_motion_blur_is_scipys_correlation(images, length):
    angles = np.float32([0, 0.4, math.pi / 4, math.pi / 2, 2.2, 3.1])
    kernels = motion_blur.kernels(tf.constant(angles), length).numpy()
    found = both_ways(
        lambda x, a: motion_blur.motion_blur(x, a, length=length),
        images,
        angles[:, None],
    )
    for image, kernel, mine in zip(images, kernels, found, strict=True):
        expected = scipy.ndimage.correlate(
            image.astype(np.float64), kernel[..., None], mode="reflect"
        )
        np.testing.assert_allclose(mine, expected, atol=1e-5)


def test_the_kernel_of_motion_is_a_path():
    """Sum 1; along the axes one row or column, on the diagonal the diagonal;
    shared as SciPy splats a path of points."""
    angles = np.float32([0, math.pi / 2, math.pi / 4, 1.0])
    kernels = motion_blur.kernels(tf.constant(angles), 5).numpy()
    np.testing.assert_allclose(kernels.sum(axis=(1, 2)), 1, rtol=1e-5)
    np.testing.assert_allclose(kernels[0, 2].sum(), 1, rtol=1e-5)
    np.testing.assert_allclose(kernels[1], kernels[0].T, atol=1e-5)
    np.testing.assert_allclose(kernels[2], kernels[2].T, atol=1e-6)
    times = np.linspace(-0.5, 0.5, 21) * 4
    expected = np.zeros((5, 5))
    for t in times:
        y, x = t * math.sin(1.0) + 2, t * math.cos(1.0) + 2
        i, j = int(y), int(x)
        for row, of_row in ((i, 1 - y + i), (i + 1, y - i)):
            for column, of_column in ((j, 1 - x + j), (j + 1, x - j)):
                if of_row * of_column > 1e-9:
                    expected[row, column] += of_row * of_column / len(times)
    np.testing.assert_allclose(kernels[3], expected, atol=1e-6)


def test_gray_is_tensorflows(images):
    expected = np.repeat(tf.image.rgb_to_grayscale(images), 3, axis=-1)
    np.testing.assert_allclose(
        both_ways(color.gray, images), expected, atol=1e-6
    )
