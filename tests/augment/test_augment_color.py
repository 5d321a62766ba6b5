"""Colour distortion against tf.image, colorsys and Pillow."""

import colorsys

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from simclr_tf.augment import color, draw
from simclr_tf.augment.draw import Column
from tests import color_oracle

HUES = np.float32([-0.25, -0.2, -0.07, 0.0, 0.13, 0.2, 0.25])
FACTORS = np.float32([0.0, 0.2, 0.6, 1.0, 1.3, 1.8, 2.0])


def _images(rng, num_images=7, side=12):
    """Noise in [0, 1] and, in the first row, the corners of every case."""
    images = rng.random((num_images, side, side, 3), np.float32)
    corners = np.array(np.meshgrid([0, 0.5, 1], [0, 0.5, 1], [0, 0.5, 1]))
    corners = corners.reshape(3, -1).T.astype(np.float32)  # black to white
    for i in range(0, len(corners), side):
        rows = corners[i : i + side]
        images[:, i // side, : len(rows)] = rows
    return images


def _parameters(num_images, jitter_impl="simclrv1", **columns):
    """Rows that change nothing but for the columns named."""
    rows = np.zeros((num_images, draw.NUM_PARAMETERS), np.float32)
    rows[:, [Column.CONTRAST, Column.SATURATION]] = 1.0
    rows[:, Column.BRIGHTNESS] = {"simclrv1": 0.0, "simclrv2": 1.0}[jitter_impl]
    for name, values in columns.items():
        rows[:, Column[name]] = values
    return rows


def _drawn(num_images, jitter_impl="simclrv1", **changes):
    ids = tf.range(num_images, dtype=tf.int64)
    return draw.color_parameters(
        draw.sample_seed(0, 0, ids, 0),
        strength=1.0,
        jitter_impl=jitter_impl,
        jitter_order="random",
        **changes,
    ).numpy()


def _one_by_one(operator, images, values):
    """tf.image takes one scalar at a time."""
    return np.stack(
        [operator(i, float(v)) for i, v in zip(images, values, strict=True)]
    )


def _with_one_operator(images, jitter_impl="simclrv1", **column):
    """`distort` where all parameters but one change nothing.

    Each operator is tried in the first and in the last place: in the first
    order, the fixed one, and in the last, which is that reversed.
    """
    results = [
        color.distort(
            images,
            _parameters(len(images), jitter_impl, JITTER=1, ORDER=o, **column),
            jitter_impl=jitter_impl,
        ).numpy()
        for o in (0, 23)
    ]
    np.testing.assert_allclose(*results, atol=2e-6)
    return results[0]


def test_brightness_adds_or_multiplies(rng):
    images = _images(rng)
    added = _with_one_operator(images, BRIGHTNESS=HUES)
    expected = _one_by_one(tf.image.adjust_brightness, images, HUES)
    np.testing.assert_allclose(added, np.clip(expected, 0, 1), atol=1e-6)
    multiplied = _with_one_operator(images, "simclrv2", BRIGHTNESS=FACTORS)
    expected = images * FACTORS[:, None, None, None]
    np.testing.assert_allclose(multiplied, np.clip(expected, 0, 1), atol=1e-6)


def test_contrast_equals_tf_image(rng):
    images = _images(rng)
    expected = _one_by_one(tf.image.adjust_contrast, images, FACTORS)
    result = _with_one_operator(images, CONTRAST=FACTORS)
    np.testing.assert_allclose(result, np.clip(expected, 0, 1), atol=1e-6)


def test_contrast_zero_is_the_mean_of_each_channel(rng):
    images = _images(rng, 2)
    result = _with_one_operator(images, CONTRAST=0.0)
    means = images.mean(axis=(1, 2), keepdims=True)
    np.testing.assert_allclose(result, means + 0 * images, atol=1e-6)


def test_saturation_equals_tf_image(rng):
    images = _images(rng)
    expected = _one_by_one(tf.image.adjust_saturation, images, FACTORS)
    result = _with_one_operator(images, SATURATION=FACTORS)
    np.testing.assert_allclose(result, expected, atol=1e-6)


def test_hue_equals_tf_image(rng):
    images = _images(rng)
    expected = _one_by_one(tf.image.adjust_hue, images, HUES)
    result = _with_one_operator(images, HUE=HUES)
    np.testing.assert_allclose(result, expected, atol=2e-6)


def test_hue_and_saturation_equal_colorsys(rng):
    images = _images(rng, len(HUES), side=6).astype(np.float64)
    turned = _with_one_operator(images.astype(np.float32), HUE=HUES)
    scaled = _with_one_operator(images.astype(np.float32), SATURATION=FACTORS)
    for i, y, x in np.ndindex(images.shape[:3]):
        h, s, v = colorsys.rgb_to_hsv(*images[i, y, x])
        expected = colorsys.hsv_to_rgb((h + HUES[i]) % 1, s, v)
        np.testing.assert_allclose(turned[i, y, x], expected, atol=2e-6)
        expected = colorsys.hsv_to_rgb(h, min(s * FACTORS[i], 1), v)
        np.testing.assert_allclose(scaled[i, y, x], expected, atol=2e-6)


def test_a_third_of_a_turn_rotates_the_channels(rng):
    images = _images(rng, 2)
    result = _with_one_operator(images, HUE=[1 / 3, -2 / 3])
    np.testing.assert_allclose(result, np.roll(images, 1, -1), atol=1e-6)


def test_colour_drop_equals_pillow_and_tf_image(rng):
    levels = rng.integers(0, 256, (2, 9, 7, 3), dtype=np.uint8)
    images = levels.astype(np.float32) / 255
    rows = _parameters(2, DROP=1)
    gray = color.distort(images, rows, jitter_impl="simclrv1").numpy()
    expected = tf.image.rgb_to_grayscale(images).numpy()
    np.testing.assert_allclose(gray, np.repeat(expected, 3, -1), atol=1e-6)
    np.testing.assert_array_equal(gray[..., 0], gray[..., 1])
    np.testing.assert_array_equal(gray[..., 0], gray[..., 2])
    for level, result in zip(levels, gray[..., 0] * 255, strict=True):
        pillow = np.asarray(Image.fromarray(level).convert("L"), np.float32)
        np.testing.assert_allclose(result, pillow, atol=0.6)  # a rounding


@pytest.mark.parametrize("jitter_impl", draw.JITTER_IMPLS)
def test_distort_is_the_operators_in_each_images_own_order(rng, jitter_impl):
    """All 24 orders in one batch, the coins too, against tf.image."""
    images = _images(rng, 96)
    rows = _drawn(96, jitter_impl)
    rows[:, Column.ORDER] = np.arange(96) % 24
    assert len(np.unique(rows[:, [Column.JITTER, Column.DROP]], axis=0)) == 4
    result = color.distort(images, rows, jitter_impl=jitter_impl).numpy()
    expected = np.stack(
        [
            color_oracle.distorted(image, row, jitter_impl)
            for image, row in zip(images, rows, strict=True)
        ]
    )
    np.testing.assert_allclose(result, expected, atol=5e-6)
    assert result.min() >= 0
    assert result.max() <= 1


def test_every_order_counts_but_that_of_hue_and_saturation(rng):
    """They are neighbours in 12 of the 24 orders, so 18 results differ."""
    images = np.repeat(_images(rng, 1), 24, axis=0)
    rows = _parameters(
        24,
        BRIGHTNESS=0.3,
        CONTRAST=1.6,
        SATURATION=1.5,
        HUE=0.15,
        JITTER=1,
        ORDER=np.arange(24),
    )
    result = color.distort(images, rows, jitter_impl="simclrv1").numpy()
    distances = np.abs(result[:, None] - result[None]).mean(axis=(2, 3, 4))
    first, second = np.nonzero(np.triu(distances < 1e-4, 1))
    assert len(first) == 6
    swapped = {Column.HUE: Column.SATURATION, Column.SATURATION: Column.HUE}
    for i, j in zip(first, second, strict=True):
        order = [swapped.get(operator, operator) for operator in draw.ORDERS[i]]
        assert tuple(order) == draw.ORDERS[j]


@pytest.mark.parametrize(
    "name", ["BRIGHTNESS", "CONTRAST", "SATURATION", "HUE"]
)
def test_in_the_fixed_order_a_neutral_operator_is_skipped(rng, name):
    """Official color_jitter_nonrand applies hue in the place of one of 0."""
    values = {"BRIGHTNESS": 0.2, "CONTRAST": 1.5, "SATURATION": 0.5, "HUE": 0.2}
    images = _images(rng, 1)
    rows = _parameters(1, **{name: values[name]}, JITTER=1)
    result = color.distort(images, rows, jitter_impl="simclrv1")
    expected = color_oracle.distorted(images[0], rows[0])
    np.testing.assert_allclose(result[0], expected, atol=2e-6)
    assert np.abs(result[0] - images[0]).max() > 0.1


def test_sixteen_percent_keep_their_colours_and_a_fifth_are_gray(rng):
    num_images = 4000
    images = np.repeat(rng.random((1, 4, 4, 3), np.float32), num_images, axis=0)
    rows = _drawn(num_images)
    result = color.distort(images, rows, jitter_impl="simclrv1").numpy()
    unchanged = np.all(result == images, axis=(1, 2, 3))
    assert unchanged.mean() == pytest.approx(0.16, abs=0.02)
    gray = np.all(result == result[..., :1], axis=(1, 2, 3))
    assert gray.mean() == pytest.approx(0.20, abs=0.02)


def test_without_coins_the_bits_are_left_alone(rng):
    images = _images(rng, 4)
    rows = _drawn(4)
    rows[:, [Column.JITTER, Column.DROP]] = 0
    result = color.distort(images, rows, jitter_impl="simclrv1")
    np.testing.assert_array_equal(result, images)


@pytest.mark.parametrize("jit_compile", [False, True])
def test_an_image_is_distorted_the_same_alone_and_in_a_batch(rng, jit_compile):
    images, rows = _images(rng, 7, side=16), _drawn(7)
    run = tf.function(
        lambda x, p: color.distort(x, p, jitter_impl="simclrv1"),
        jit_compile=jit_compile,
    )
    batched = run(images, rows)
    alone = [run(images[i : i + 1], rows[i : i + 1]) for i in range(7)]
    np.testing.assert_array_equal(batched, tf.concat(alone, axis=0))


def test_gray_has_no_hue_to_turn():
    """Black, gray and white: nothing may divide by their chroma of 0."""
    images = np.stack(
        [np.full((2, 2, 3), v, np.float32) for v in (0.0, 0.5, 1.0)]
    )
    rows = _parameters(3, SATURATION=2.0, HUE=0.2, JITTER=1)
    result = color.distort(images, rows, jitter_impl="simclrv1")
    np.testing.assert_allclose(result, images, atol=1e-6)


def test_an_unknown_impl_makes_no_image():
    images, rows = tf.zeros([1, 2, 2, 3]), _parameters(1)
    with pytest.raises(KeyError):
        color.distort(images, rows, jitter_impl="v3")
