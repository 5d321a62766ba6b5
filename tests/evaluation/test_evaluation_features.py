"""Features of arrays, as a notebook has them."""

import numpy as np
import pytest
import tensorflow as tf

from simclr_tf.errors import UserError
from simclr_tf.evaluation import features
from simclr_tf.models.resnet import resnet
from simclr_tf.models.simclr import build_simclr


@pytest.fixture(scope="module")
def model():
    encoder = resnet(image_size=8, depth=10, width=0.125)
    return build_simclr(encoder, num_classes=3)


@pytest.fixture
def pixels(rng):
    return rng.integers(0, 256, (10, 8, 8, 3), np.uint8)


def test_they_are_the_models_h_in_inference_mode(model, pixels):
    images = tf.image.convert_image_dtype(pixels, tf.float32)
    wanted = model(images, training=False).features.numpy()
    before = [v.numpy() for v in model.variables]
    for given in (pixels, tf.constant(pixels), images, images.numpy()):
        found = features.of(model, given, batch_size=4)
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(
        features.of(model.encoder, images.numpy().astype(np.float64)),
        wanted,
        rtol=1e-4,
        atol=1e-5,
    )
    for variable, value in zip(model.variables, before, strict=True):
        np.testing.assert_array_equal(variable.numpy(), value)


def test_a_replica_may_have_the_rows_of_all(mesh, pixels):
    """As on several hosts, where each reads a part."""
    batch = {
        "images": tf.constant(pixels[:2]),
        "label": tf.constant([3, -1], tf.int64),
        "id": tf.constant([5, 6], tf.int64),
        "mask": tf.constant([True, False]),
    }

    @tf.function
    def step():
        return mesh.run(
            lambda: features.on_replica(
                features.raw_pixels, batch, gathers=True
            )
        )

    values, *columns = (mesh.experimental_local_results(c)[0] for c in step())
    assert values.shape == (8, 8 * 8 * 3)
    for column, expected in zip(
        columns, ([3, -1] * 4, [5, 6] * 4, [1, 0] * 4), strict=True
    ):
        assert column.numpy().tolist() == expected


def test_any_callable_will_do(pixels):
    def mean(images):
        return tf.reduce_mean(images, axis=[1, 2])

    np.testing.assert_allclose(
        features.of(mean, pixels), pixels.mean((1, 2)) / 255, rtol=1e-5
    )
    with_mode = features.of(lambda x, training: mean(x) + training, pixels)
    np.testing.assert_allclose(with_mode, features.of(mean, pixels))
    half = features.of(lambda x: tf.cast(mean(x), tf.float16), pixels)
    assert half.dtype == np.float32


@pytest.mark.parametrize(
    ("images", "words"),
    [
        (np.full((2, 8, 8, 3), 1.5, np.float32), r"in \[0, 1\]"),
        (np.full((2, 8, 8, 3), -0.1, np.float32), r"in \[0, 1\]"),
        (np.full((2, 8, 8, 3), np.nan, np.float32), r"in \[0, 1\]"),
        (np.zeros((2, 8, 8, 3), np.int64), "int64"),
        (np.zeros((8, 8, 3), np.uint8), r"\[8, 8, 3\]"),
        (np.zeros((2, 8, 8, 1), np.uint8), r"\[2, 8, 8, 1\]"),
        (np.zeros((0, 8, 8, 3), np.uint8), r"\[0, 8, 8, 3\]"),
        ([np.zeros((8, 8, 3)), np.zeros((9, 8, 3))], "of one size"),
    ],
)
def test_what_are_no_images_says_so(images, words):
    with pytest.raises(ValueError, match=words):
        features.of(features.raw_pixels, images)


def test_a_batch_of_none_says_so(pixels):
    with pytest.raises(ValueError, match="batch_size must be at least 1"):
        features.of(features.raw_pixels, pixels, batch_size=0)


def test_what_is_not_finite_is_no_feature(pixels):
    """No score of them would be one."""
    batch = {
        "images": tf.constant(pixels),
        "label": tf.zeros(10, tf.int64),
        "id": tf.range(10, dtype=tf.int64),
        "mask": tf.range(10) < 8,  # what is only filled up counts for nothing
    }

    def extracted(threshold):
        def encode(images):
            mean = tf.reduce_mean(images, axis=[1, 2])
            sums = tf.range(10, dtype=tf.float32)[:, None] + 0 * mean
            return tf.where(sums > threshold, np.inf, mean)

        return features.extract(
            encode, [batch], strategy=tf.distribute.get_strategy()
        )

    assert len(extracted(7.5).values) == 8
    with pytest.raises(UserError, match="of 2 of 8 images are not finite"):
        extracted(5.5)
