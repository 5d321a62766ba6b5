"""Pictures of neighbours: every image is where it should be."""

import numpy as np
import pytest

from simclr_tf.reports import neighbours


@pytest.mark.parametrize("side", [16, 100])
def test_every_image_is_there_in_order(rng, side):
    colours = rng.integers(1, 255, (2, 4, 1, 1, 3), dtype=np.uint8)
    images = np.broadcast_to(colours, (2, 4, side, side, 3))
    picture = neighbours.picture(images, np.full((2, 3), 0.5))
    assert picture.dtype == np.uint8
    shown = max(side, -(-64 // side) * side)
    height = picture.shape[0] // 2
    for row in range(2):
        line = picture[row * height + 10]
        seen = [tuple(c) for c in line if set(c) - {0} - {255}]
        want = [tuple(c) for c in colours[row, :, 0, 0]]
        assert list(dict.fromkeys(seen)) == want
        assert len(seen) == 4 * shown


def test_numbers_differ_and_the_query_has_none():
    images = np.zeros((1, 3, 64, 64, 3), np.uint8)
    picture = neighbours.picture(images, np.array([[0.87, -0.13]]))
    captions = picture[70:-4]
    ink = (captions == 0).all(axis=2)
    query, first, second = ink[:, 4:68], ink[:, 80:144], ink[:, 148:212]
    assert not query.any()
    assert first.any() and second.any()
    assert (first != second).any()


def test_shapes_that_do_not_fit_say_so():
    with pytest.raises(ValueError, match="Received"):
        neighbours.picture(np.zeros((1, 3, 8, 8, 3), np.uint8), np.ones((1, 3)))
