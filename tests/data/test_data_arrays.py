"""Arrays as a source: what a notebook has."""

import numpy as np
import pytest
import tensorflow as tf

from simclr_tf.data import from_arrays, pipeline, subset


def images(count=5, shape=(6, 8, 3), seed=0):
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (count, *shape), np.uint8)


def read(source, index):
    image, label = source.examples.read({}, tf.constant(index, tf.int64))
    return image.numpy(), int(label)


def test_a_source_without_labels():
    source = from_arrays(images())
    assert (source.num_examples, source.num_classes) == (5, None)
    assert source.class_names == ()
    assert not source.has_labels
    assert source.random_access
    assert not source.order_depends_on_hosts
    np.testing.assert_array_equal(read(source, 3)[0], images()[3])
    np.testing.assert_array_equal(subset.ids_of(source), np.arange(5))


@pytest.mark.parametrize("convert", [np.asarray, tf.constant, list])
@pytest.mark.parametrize("channels", [1, 3])
def test_arrays_tensors_and_lists(convert, channels):
    pixels = images(shape=(6, 8, channels))
    source = from_arrays(convert(pixels), [2, 0, 1, -1, 2])
    assert source.class_names == ("0", "1", "2")
    for index, label in enumerate([2, 0, 1, -1, 2]):
        image, found = read(source, index)
        np.testing.assert_array_equal(
            image, np.broadcast_to(pixels[index], (6, 8, 3))
        )
        assert found == label


def test_images_of_many_sizes():
    each = [images(1, (4 + i, 9 - i, 1 + 2 * (i % 2)))[0] for i in range(4)]
    source = from_arrays(each, np.arange(4, dtype=np.uint8))
    for index, expected in enumerate(each):
        image, label = read(source, index)
        assert image.shape == (*expected.shape[:2], 3)
        np.testing.assert_array_equal(image[..., :1], expected[..., :1])
        assert label == index


@pytest.mark.parametrize("convert", [list, np.array, tf.constant])
def test_strings_are_classes(convert):
    source = from_arrays(images(3), convert(["dog", "cat", "dog"]))
    assert source.class_names == ("cat", "dog")
    np.testing.assert_array_equal(subset.labels_of(source), [1, 0, 1])
    named = from_arrays(
        images(3), convert(["dog", "cat", "dog"]), ["dog", "cow", "cat"]
    )
    assert named.class_names == ("dog", "cow", "cat")
    np.testing.assert_array_equal(subset.labels_of(named), [0, 2, 0])


def test_fingerprints_are_of_images_and_labels():
    one = from_arrays(images(), [0, 1, 0, 1, 0])
    same = from_arrays(tf.constant(images()), [0, 1, 0, 1, 0], split="test")
    assert one.fingerprint == same.fingerprint
    labels = from_arrays(images(), [1, 0, 0, 1, 0])
    assert labels.image_fingerprint == one.image_fingerprint
    assert labels.fingerprint != one.fingerprint
    names = from_arrays(images(), [0, 1, 0, 1, 0], ["a", "b"])
    assert names.fingerprint != one.fingerprint
    other = from_arrays(images(seed=1), [0, 1, 0, 1, 0])
    assert other.image_fingerprint != one.image_fingerprint


def test_what_two_share():
    pixels = images(10)
    one, other = from_arrays(pixels[:6]), from_arrays(pixels[4:], split="test")
    assert subset.overlap(one, other) == 2


def test_batches_of_arrays():
    batches = pipeline.training_batches(
        from_arrays(images(), [0, 1, 2, 3, 4]),
        seed=0,
        start_step=0,
        global_batch_size=5,
        per_replica_batch_size=5,
        draw=lambda epoch, sample_id, number: sample_id,
        view=lambda image, drawn: {"images": tf.ensure_shape(image, [6, 8, 3])},
    )
    batch = next(batches.as_numpy_iterator())
    np.testing.assert_array_equal(batch["label"], batch["id"])
    np.testing.assert_array_equal(batch["images_1"], images()[batch["id"]])


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"images": images() / 255}, TypeError, "uint8.*Received: float64"),
        ({"images": [images(1)[0] / 255]}, TypeError, "uint8"),
        ({"images": images()[..., 0]}, ValueError, r"uint8\[n, H, W, 3 or 1\]"),
        ({"images": images(shape=(4, 4, 4))}, ValueError, "3 or 1"),
        ({"images": images()[:0]}, ValueError, "must not be empty"),
        ({"images": []}, ValueError, "at least one"),
        ({"labels": [0, 1]}, ValueError, r"each of 5.*\(2,\)"),
        ({"labels": np.zeros((5, 2), int)}, ValueError, "each of 5"),
        ({"labels": np.zeros(5)}, TypeError, "whole numbers or strings"),
        ({"labels": [0, 1, 2, 3, -2]}, ValueError, "or -1 for none"),
        ({"labels": [0, 1, 2, 0, 10**12]}, ValueError, "at most 1000000"),
        (
            {"labels": [0, 1, 2, 0, 0], "class_names": ["a", "b"]},
            ValueError,
            r"labels must be in 0\.\.1",
        ),
        (
            {"labels": list("abcab"), "class_names": ["a", "b"]},
            ValueError,
            "not among class_names: c",
        ),
        ({"labels": [None] * 5}, TypeError, "whole numbers or strings"),
    ],
)
def test_what_is_wrong_is_said(options, error, message):
    with pytest.raises(error, match=message):
        from_arrays(**{"images": images(), **options})
