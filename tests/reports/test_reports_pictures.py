"""Pictures: captions, maps and near-duplicates, checked by their pixels."""

import matplotlib
import numpy as np
import pytest

from simclr_tf.reports import (
    embedding_map,
    near_duplicates,
    next_steps,
    pictures,
)


def test_captions_stand_above_the_images():
    images = np.zeros((2, 3, 100, 100, 3), np.uint8)
    plain = pictures.grid(images)
    captioned = pictures.grid(images, ("image", "view 1", "view 2"))
    margin = 4  # above, where there are no captions
    head = len(captioned) - len(plain) + margin
    assert head > 10
    np.testing.assert_array_equal(captioned[head:], plain[margin:])
    for column in range(3):
        part = captioned[:head, column * 104 : (column + 1) * 104]
        assert (part < 128).any(), "something is written"
        assert (part > 200).mean() > 0.5, "on white"


@pytest.mark.parametrize(("count", "method"), [(2, "PCA"), (60, "t-SNE")])
def test_a_map_puts_what_is_alike_side_by_side(count, method):
    rng = np.random.default_rng(0)
    group = np.arange(count) % 2
    features = np.eye(2, 16)[group] + 0.05 * rng.normal(size=(count, 16))
    where, named = embedding_map.places(features.astype(np.float32), seed=0)
    assert named == method
    assert where.shape == (count, 2)
    assert where.min() >= 0 and where.max() <= 1
    middles = [where[group == one].mean(axis=0) for one in (0, 1)]
    spread = max(where[group == one].std() for one in (0, 1))
    assert np.linalg.norm(middles[0] - middles[1]) > spread


def test_captions_that_are_wider_than_an_image_take_more_lines():
    images = np.zeros((1, 2, 32, 32, 3), np.uint8)
    short = pictures.grid(images, ("image", "view 1"))
    note = pictures.note_of(5)
    long = pictures.grid(images, [f"{c} ({note})" for c in ("image", "view")])
    assert long.shape[1] == short.shape[1] and len(long) > len(short)
    # Between the captions and beside them, nothing is written.
    head = long[: len(long) - 100]
    for column in (1, 101, 201):
        assert (head[:, column] > 200).all()


def test_a_map_shows_the_images_at_their_places():
    images = np.zeros((2, 32, 32, 3), np.uint8)
    images[0, ..., 0] = images[1, ..., 1] = 255
    drawn = embedding_map.picture(
        np.array([[0.0, 0.0], [1.0, 1.0]]), images, method="PCA"
    )
    red, green = (
        np.argwhere((drawn == color).all(axis=2))
        for color in ((255, 0, 0), (0, 255, 0))
    )
    # 128 pixels a side, in opposite corners, with a margin all around.
    margin = red[:, 1].min()
    for found in (red, green):
        np.testing.assert_array_equal(np.ptp(found, axis=0), [127, 127])
    assert margin > 10 and red[:, 0].min() > margin  # the line is above
    np.testing.assert_array_equal(
        np.array(drawn.shape[:2]) - green.max(axis=0), [margin + 1] * 2
    )
    assert (drawn[:, : margin - 1] == 255).all()
    # Of two that cover each other, the first is shown, and the line is longer.
    both = embedding_map.picture(
        np.array([[0.0, 0.0], [0.02, 0.1], [1, 1]]),
        images[[0, 1, 1]],
        method="PCA",
    )
    assert (both == (255, 0, 0)).all(axis=2).sum() == 128**2
    assert (both == (0, 255, 0)).all(axis=2).sum() == 128**2
    with pytest.raises(ValueError, match="a place for each image"):
        embedding_map.picture(np.zeros((3, 2)), images, method="PCA")


def of_color(picture, color):
    return (picture == color).all(axis=2)


def test_frames_on_a_map_say_the_class_and_the_legend_whose_they_are():
    images = np.zeros((4, 32, 32, 3), np.uint8)
    where = np.array([[0.0, 0.0], [1, 0], [0, 1], [1, 1]])
    names = [f"class_{i}" for i in range(12)]
    plain = embedding_map.picture(where, images, method="PCA")
    labels = np.array([0, 0, 11, -1])
    drawn = embedding_map.picture(
        where, images, method="PCA", labels=labels, class_names=names
    )
    assert len(drawn) > len(plain) and drawn.shape[1] == plain.shape[1]
    first, last = (31, 119, 180), (158, 218, 229)  # of tab20: 0 and 19
    tab20 = [
        tuple(np.round(np.multiply(255, c)).astype(int))
        for c in matplotlib.colormaps["tab20"].colors
    ]
    assert tab20[0] == first and tab20[19] == last
    frame, square = 134**2 - 128**2, 21**2
    assert of_color(drawn, tab20[0]).sum() == 2 * frame + square
    assert of_color(drawn, tab20[11]).sum() == frame + square
    for other in range(1, 11):
        assert of_color(drawn, tab20[other]).sum() == square
    # No image is covered: the unlabelled one has the thin frame of all others.
    assert of_color(drawn, (0, 0, 0)).sum() >= 4 * 128**2
    for of, few in [
        (np.array([-1, 0, 1, 0]), ["only one"]),
        (np.array([-1, 0, 1, 0]), [str(i) for i in range(21)]),
        (np.ones((4, 3), int), names[:3]),
    ]:
        same = embedding_map.picture(
            where, images, method="PCA", labels=of, class_names=few
        )
        np.testing.assert_array_equal(same, plain)


def test_names_that_are_wider_than_a_map_are_cut():
    images = np.zeros((2, 8, 8, 3), np.uint8)
    drawn = embedding_map.picture(
        np.eye(2),
        images,
        method="PCA",
        labels=np.array([0, 1]),
        class_names=["a" * 500, "\x1b[31mred"],
    )
    assert (drawn[:, -20:] == 255).all()


def test_near_duplicates_are_alike_to_the_encoder_and_to_the_eye():
    rng = np.random.default_rng(0)
    features = rng.normal(size=(6, 32)).astype(np.float32)
    images = rng.integers(0, 256, (6, 8, 8, 3)).astype(np.uint8)
    features[4], images[4] = features[1] + 0.01, images[1]
    images[4, 0, 0] ^= 3
    features[5] = features[2]  # alike to the encoder only
    found = near_duplicates.pairs(features, lambda rows: images[rows])
    assert [(i, j) for _, i, j in found] == [(1, 4)]
    assert 0 < found[0][0] < 1
    assert not near_duplicates.pairs(features[:1], lambda rows: images[rows])


@pytest.mark.parametrize(
    ("has_labels", "is_folder", "number"),
    [(True, True, 3), (True, False, 3), (False, True, 1), (False, False, 2)],
)
def test_next_steps_are_commands_that_parse(has_labels, is_folder, number):
    import shlex

    from flags import definitions

    text = next_steps.after_pretraining(
        "runs/my photos",
        views="runs/my photos/views.png",
        scored=False,
        has_labels=has_labels,
        sliceable=True,
        is_folder=is_folder,
    )
    commands = [
        line.strip() for line in text.splitlines() if "python run.py" in line
    ]
    assert len(commands) == number
    assert ("folders" in text) == (is_folder and not has_labels)
    for command in commands:
        given = definitions.parse(shlex.split(command)[1:]).given
        assert given["checkpoint"] == "runs/my photos"
