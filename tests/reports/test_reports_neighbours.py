"""Pictures of neighbours: every image is where it should be."""

import numpy as np
import pytest

from simclr_tf.reports import neighbours


def drawn(images, similarity, names=None):
    """The picture without its head, and the height of a row."""
    picture = neighbours.picture(images, similarity, names)
    twice = None if names is None else names * 2
    taller = neighbours.picture(
        images.repeat(2, axis=0), similarity.repeat(2, axis=0), twice
    )
    step = (len(taller) - len(picture)) // len(images)
    return picture[len(picture) - len(images) * step :], step


@pytest.mark.parametrize("side", [16, 100])
def test_every_image_is_there_in_order(rng, side):
    colours = rng.integers(1, 255, (2, 4, 1, 1, 3), dtype=np.uint8)
    images = np.broadcast_to(colours, (2, 4, side, side, 3))
    picture, height = drawn(images, np.full((2, 3), 0.5))
    assert picture.dtype == np.uint8
    shown = -(-96 // side) * side
    for row in range(2):
        line = picture[row * height + 10]
        seen = [tuple(c) for c in line if set(c) - {0} - {255}]
        want = [tuple(c) for c in colours[row, :, 0, 0]]
        assert list(dict.fromkeys(seen)) == want
        assert len(seen) == 4 * shown


def ink_below(similarity, names=None):
    """Of one query and two neighbours, the ink below each image."""
    images = np.full((1, 3, 96, 96, 3), 255, np.uint8)
    picture, _ = drawn(images, similarity, names)
    ink = (picture[96:] < 128).all(axis=2)
    # Of a column, the image's own width and the gap beside it, which stays
    # white: no caption is wider than its image.
    columns = [(6, 102), (120, 216), (222, 318)]
    outside = ink.copy()
    for left, right in columns:
        outside[:, left:right] = False
    assert not outside.any()
    return [ink[:, left:right] for left, right in columns]


def test_numbers_differ_and_the_query_has_none():
    query, first, second = ink_below(np.array([[0.87, -0.13]]))
    assert not query.any()
    assert first.any() and second.any()
    assert (first != second).any()


def test_names_stand_below_every_image():
    similarity = np.array([[0.5, 0.5]])
    plain = ink_below(similarity)
    named = ink_below(
        similarity, [["a/one.jpg", "b/two.jpg", "a\x1b[31m/" + 50 * "long"]]
    )
    for before, after in zip(plain, named, strict=True):
        assert after.sum() > before.sum()
    whole = ink_below(similarity, [["one.jpg", "c/d/two.jpg", 50 * "long"]])
    for one, other in zip(named, whole, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("count", [1, 2, 7])
def test_the_head_says_what_is_shown_and_is_not_cut_off(count):
    images = np.full((1, count + 1, 96, 96, 3), 255, np.uint8)
    similarity = np.full((1, count), 0.5)
    picture = neighbours.picture(images, similarity)
    rows, _ = drawn(images, similarity)
    head = (picture[: len(picture) - len(rows)] < 128).all(axis=2)
    assert head[:, 6:102].any() and head[:, 120:].any()
    assert not head[:, -3:].any() and not head[-3:].any()
    noted = neighbours.picture(images, similarity, note="bands 1, 2, 3 of 5")
    added = (noted[:-100] < 128).all(axis=2).sum()
    assert added > (picture[:-100] < 128).all(axis=2).sum()


def test_shapes_that_do_not_fit_say_so():
    with pytest.raises(ValueError, match="Received"):
        neighbours.picture(np.zeros((1, 3, 8, 8, 3), np.uint8), np.ones((1, 3)))
    with pytest.raises(ValueError, match="names"):
        neighbours.picture(
            np.zeros((1, 3, 8, 8, 3), np.uint8), np.ones((1, 2)), [["a", "b"]]
        )


def test_the_rows_are_drawn_best_and_worst():
    """A pair that is alike, an image that is like none, and twenty others."""
    rng = np.random.default_rng(0)
    features = np.eye(24, 64) + 0.3 * rng.normal(size=(24, 64)) / 8
    features += 0.5 * np.eye(64)[40]  # all somewhat alike
    features[7] = features[3] + 1e-3
    features[11] = -np.eye(64)[40]
    found = neighbours.chosen(features.astype(np.float32), k=1, count=8, seed=5)
    assert found.rows.shape == (8, 2) and found.similarity.shape == (8, 1)
    assert list(found.parts) == [0, 4, 6]
    assert "of 24 images" in found.parts[4]
    assert sorted(found.rows[4:6].tolist()) == [[3, 7], [7, 3]]
    assert found.rows[6, 0] == 11, "the worst comes first"
    assert len(set(found.rows[:, 0])) == 8
    assert (np.diff(found.similarity[4:6, 0]) <= 0).all()
    assert (np.diff(found.similarity[6:, 0]) >= 0).all()
    other = neighbours.chosen(features.astype(np.float32), k=1, count=8, seed=6)
    assert set(other.rows[:4, 0]) != set(found.rows[:4, 0])


@pytest.mark.parametrize(("n", "count"), [(2, 8), (3, 3), (5, 4), (40, 600)])
def test_few_images_are_shown_once_each(n, count):
    features = np.random.default_rng(0).normal(size=(n, 8)).astype(np.float32)
    found = neighbours.chosen(features, k=1, count=count, seed=0)
    shown = found.rows[:, 0]
    assert len(set(shown)) == len(shown) == min(n, count)
    assert bool(found.parts) == (min(n, count) >= 4)


def test_a_line_above_a_row_moves_what_is_below():
    images = np.zeros((3, 2, 96, 96, 3), np.uint8)
    similarity = np.ones((3, 1))
    plain = neighbours.picture(images, similarity)
    parts = {0: "first", 2: "then"}
    told = neighbours.picture(images, similarity, parts=parts)
    line = (len(told) - len(plain)) / 2
    assert line == int(line) > 10
    assert (told == 0).all(axis=2).sum() > (plain == 0).all(axis=2).sum()
    np.testing.assert_array_equal(told[-96:], plain[-96:])
