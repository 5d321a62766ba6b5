"""The digits in colour: the digits they are, and colours of their own."""

import hashlib

import numpy as np
import pytest
import scipy.spatial
from PIL import Image
from sklearn import datasets as sklearn_datasets

from simclr_tf.data import digits
from simclr_tf.data.sources import open_source
from tests.bench import color_folder

# sha256 of the images with their labels, sorted; train first.
PINNED = "6c49b5b24ac16b22e433939342aece3027ea6ab303705c2384f391da6d8f7205"


@pytest.fixture(scope="module")
def splits(tmp_path_factory):
    """Images uint8[n, 8, 8, 3], labels and split of both data sets."""
    place = tmp_path_factory.mktemp("digits")
    found = {}
    for name in digits.BUILDERS:
        for split in ("train", "test"):
            source = open_source(dataset=name, split=split, data_dir=str(place))
            found[name, split] = (
                source.examples.payload.numpy(),
                source.examples.labels.numpy(),
            )
    assert {path.name for path in place.iterdir()} == set(digits.BUILDERS)
    return found


def test_they_are_pinned(splits):
    """Every study on them is about these bytes."""
    seen = hashlib.sha256()
    for split in ("train", "test"):
        images, labels = splits["color_digits", split]
        rows = zip(images, labels, strict=True)
        for row in sorted(i.tobytes() + bytes([label]) for i, label in rows):
            seen.update(row)
    assert seen.hexdigest() == PINNED


def test_labels_and_splits_are_those_of_the_digits(splits):
    for split in ("train", "test"):
        images, labels = splits["color_digits", split]
        assert images.shape[1:] == (8, 8, 3)
        np.testing.assert_array_equal(labels, splits["digits", split][1])


def test_a_folder_of_five_classes_has_the_same_pictures(splits, tmp_path):
    """Of tests/bench/color_folder.py, for studies of a folder."""
    assert color_folder.write(str(tmp_path)) == 901
    for split in ("train", "test"):
        images, labels = splits["color_digits", split]
        files = sorted((tmp_path / split).rglob("*.png"))
        found = sorted(
            np.asarray(Image.open(file)).tobytes() + file.parent.name.encode()
            for file in files
        )
        expected = sorted(
            image.tobytes() + str(label).encode()
            for image, label in zip(images, labels, strict=True)
            if label < 5
        )
        assert found == expected


def test_a_digit_is_a_mixture_of_its_two_colours():
    images = sklearn_datasets.load_digits().images / 16
    painted = digits.ColorDigits._painted(None, images)
    background, ink = digits.colors(len(images))
    for i in (0, 7, 1796):
        expected = [
            [(1 - share) * background[i] + share * ink[i] for share in row]
            for row in images[i]
        ]
        np.testing.assert_allclose(painted[i], expected, atol=1e-15)


def test_the_shape_is_all_there(splits):
    """Along the line between its two colours, a digit is the grey digit."""
    for split in ("train", "test"):
        grey = splits["digits", split][0].reshape(-1, 64) / 255
        images = splits["color_digits", split][0].reshape(-1, 64, 3) / 255
        # The pixels that are most ink and most background.
        rows = np.arange(len(grey))
        least, most = grey.argmin(axis=1), grey.argmax(axis=1)
        start, end = images[rows, least], images[rows, most]
        line = end - start
        share = np.einsum("npc,nc->np", images - start[:, None], line)
        share /= np.sum(line**2, axis=1)[:, None]
        low, high = grey[rows, least], grey[rows, most]
        share = low[:, None] + share * (high - low)[:, None]
        assert np.abs(share - grey).max() < 0.02  # two roundings to 1/255


def test_colours_are_apart_uniform_and_each_digits_own():
    background, ink = digits.colors(1797)
    distance = np.linalg.norm(background - ink, axis=1)
    assert distance.min() >= digits.LEAST_COLOR_DISTANCE
    every = np.concatenate([background, ink])
    assert every.min() >= 0 and every.max() < 1
    assert len(np.unique(every, axis=0)) == len(every)
    # A colour far from another is a little more often near a corner: 0.31
    # and not sqrt(1/12) = 0.29.
    np.testing.assert_allclose(every.mean(axis=0), 0.5, atol=0.02)
    np.testing.assert_allclose(every.std(axis=0), 0.30, atol=0.02)


def test_colours_say_nothing_of_the_class():
    """Their nearest neighbour has the label no more often than by chance."""
    labels = sklearn_datasets.load_digits().target
    pairs = np.concatenate(digits.colors(1797), axis=1)
    _, nearest = scipy.spatial.KDTree(pairs).query(pairs, k=2)
    hits = np.mean(labels[nearest[:, 1]] == labels)
    assert hits == pytest.approx(0.1, abs=0.03)  # 4 standard deviations
