"""Crop, resize and flip against Pillow and a plain NumPy bicubic."""

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from simclr_tf.augment import geometry


def _image(rng, height, width):
    return rng.integers(0, 256, (height, width, 3), dtype=np.uint8)


def _keys(x):
    """Keys' cubic kernel with a = -1/2, the interpolating one."""
    x = abs(x)
    if x < 1:
        return 1.5 * x**3 - 2.5 * x**2 + 1
    if x < 2:
        return -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2
    return 0.0


def _bicubic_matrix(size, length):
    """float[size, length]: four taps a row, renormalised at the border."""
    matrix = np.zeros((size, length))
    for i in range(size):
        center = (i + 0.5) * length / size - 0.5
        for j in range(int(np.floor(center)) - 1, int(np.floor(center)) + 3):
            if 0 <= j < length:
                matrix[i, j] = _keys(center - j)
    return matrix / matrix.sum(axis=1, keepdims=True)


def _resize_oracle(image, size):
    rows = _bicubic_matrix(size, image.shape[0])
    columns = _bicubic_matrix(size, image.shape[1])
    resized = np.einsum(
        "yi,xj,ijc->yxc", rows, columns, image.astype(float), optimize=True
    )
    return np.clip(np.round(resized), 0, 255)


def _assert_levels_close(actual, expected):
    """At most one level of 256 apart, and rarely.

    TensorFlow reads the cubic from a table of 1,024 steps: a twentieth of a
    level off, which sometimes rounds the other way.
    """
    difference = np.abs(np.asarray(actual, int) - np.asarray(expected, int))
    assert difference.max() <= 1
    assert np.mean(difference > 0) <= 0.05


def test_enlarging_equals_pillow(rng):
    """Pillow filters when it shrinks, so it is an oracle for enlarging only."""
    image = _image(rng, 30, 40)
    view = geometry.crop_resize(image, [3, 5, 20, 31], size=48)
    expected = [
        Image.fromarray(channel).resize((48, 48), Image.Resampling.BICUBIC)
        for channel in image[3:23, 5:36].transpose(2, 0, 1).astype(np.float32)
    ]
    expected = np.clip(np.round(np.stack(expected, axis=-1)), 0, 255)
    _assert_levels_close(view, expected)


@pytest.mark.parametrize(
    "box", [(0, 0, 60, 80), (10, 3, 33, 70), (59, 79, 1, 1), (0, 5, 50, 1)]
)
def test_crop_and_resize_equal_numpy(rng, box):
    image = _image(rng, 60, 80)
    y, x, height, width = box
    view = geometry.crop_resize(image, box, size=24)
    assert view.dtype == tf.uint8
    expected = _resize_oracle(image[y : y + height, x : x + width], 24)
    _assert_levels_close(view, expected)


def test_overshoot_is_clipped():
    """Next to an edge the cubic leaves 0..255: it must not wrap around."""
    edge = np.zeros((8, 8, 3), np.uint8)
    edge[:, 4:] = 255
    view = geometry.crop_resize(edge, [0, 0, 8, 8], size=32).numpy()
    assert (np.diff(view[0, :, 0].astype(int)) >= 0).all()
    assert (view[0, 0, 0], view[0, -1, 0]) == (0, 255)


def test_same_size_is_the_same_image(rng):
    image = _image(rng, 32, 32)
    for view in (
        geometry.crop_resize(image, [0, 0, 32, 32], size=32),
        geometry.eval_view(image, size=32),
    ):
        np.testing.assert_array_equal(view, image)


def test_flip_mirrors_columns(rng):
    image = _image(rng, 5, 8)
    np.testing.assert_array_equal(geometry.flip(image, True), image[:, ::-1])
    np.testing.assert_array_equal(geometry.flip(image, False), image)


def test_geometry_is_the_same_in_a_dataset(rng):
    image = _image(rng, 50, 70)
    box = [4, 6, 30, 41]

    def host(coin):
        view = geometry.flip(geometry.crop_resize(image, box, size=16), coin)
        return view, geometry.eval_view(image, size=40)

    views = tf.data.Dataset.from_tensor_slices([False, True]).map(host)
    assert views.element_spec[0].shape == (16, 16, 3)
    assert views.element_spec[1].shape == (40, 40, 3)
    for coin, (view, evaluated) in zip([False, True], views, strict=True):
        expected_view, expected_evaluated = host(tf.constant(coin))
        np.testing.assert_array_equal(view, expected_view)
        np.testing.assert_array_equal(evaluated, expected_evaluated)


@pytest.mark.parametrize(
    ("shape", "box"),
    [
        # The official arithmetic, by hand: 0.875 of the shorter side, half to
        # even (0.875 * 12 = 10.5 -> 10), offset rounded up.
        ((375, 500), (24, 86, 328, 328)),
        ((500, 375), (86, 24, 328, 328)),
        ((224, 224), (14, 14, 196, 196)),
        ((12, 30), (1, 10, 10, 10)),
        ((1, 1), (0, 0, 1, 1)),
        ((1, 9), (0, 4, 1, 1)),
    ],
)
def test_central_box_is_the_official_one(shape, box):
    result = geometry.central_box((*shape, 3), proportion=0.875)
    assert tuple(result.numpy()) == box


def test_central_box_of_a_tiny_proportion_keeps_a_pixel():
    box = geometry.central_box((3, 3, 3), proportion=0.1)
    assert tuple(box.numpy()) == (1, 1, 1, 1)


def test_eval_view_crops_then_resizes(rng):
    image = _image(rng, 375, 500)
    expected = _resize_oracle(image[24:352, 86:414], 224)
    _assert_levels_close(geometry.eval_view(image, size=224), expected)


def test_eval_view_without_a_crop_keeps_the_shorter_side(rng):
    image = _image(rng, 60, 100)
    expected = _resize_oracle(image[:, 20:80], 48)
    view = geometry.eval_view(image, size=48, crop=False)
    _assert_levels_close(view, expected)


@pytest.mark.parametrize("side", [8, 28, 96])
def test_eval_view_at_32_px_resizes_what_is_of_another_size(rng, side):
    """The official code stops there: peers' STL-10 and MNIST reports."""
    image = _image(rng, side, side)
    view = geometry.eval_view(image, size=32)
    _assert_levels_close(view, _resize_oracle(image, 32))


def test_eval_view_crops_from_33_px_on(rng):
    image = _image(rng, 64, 64)
    expected = _resize_oracle(image[4:60, 4:60], 33)
    _assert_levels_close(geometry.eval_view(image, size=33), expected)
