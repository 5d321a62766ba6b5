"""Ordered lists of operators as a policy: on host and device, for one view or
both, and the paper's pipeline as one of them."""

import numpy as np
import pytest
import tensorflow as tf

from simclr_tf.augment import draw
from simclr_tf.augment.operators import OPERATORS
from simclr_tf.augment.policy import Policy

NUM_IMAGES, SIZE = 24, 32
PIPELINE = ("crop", "flip", "color", "blur")


@pytest.fixture
def images(rng):
    return rng.integers(0, 256, (NUM_IMAGES, 40, 52, 3), dtype=np.uint8)


def batch(policy, images, view=0):
    """Views uint8[N, S, S, 3] and parameters float32[N, P]."""
    ids = np.arange(len(images), dtype=np.int64)
    drawn = policy.draw(draw.sample_seed(0, 0, ids, view), view)
    views = [
        policy.host_view(image, {name: v[i] for name, v in drawn.items()})
        for i, image in enumerate(images)
    ]
    return tf.stack(views), drawn["parameters"]


def seen(policy, images, view=0):
    return policy.color_view(*batch(policy, images, view)).numpy()


@pytest.mark.parametrize("changes", [{}, {"blur_sigma_per": "batch"}], ids=str)
@pytest.mark.parametrize("strength", [1.0, 0.0])
def test_the_papers_pipeline_is_a_list(images, changes, strength):
    """Bit for bit: the same numbers are drawn, and the same is done."""
    changes = {**changes, "color_jitter_strength": strength}
    for view in (0, 1):
        np.testing.assert_array_equal(
            seen(Policy(SIZE, operators=PIPELINE, **changes), images, view),
            seen(Policy(SIZE, **changes), images, view),
        )


@pytest.mark.parametrize("name", [n for n in OPERATORS if n[:4] != "auto"])
def test_every_operator_changes_views_the_same_in_graph_and_compiled(
    images, name
):
    """As on host and device; and twice is a view, too."""
    repeat = 1 if name.startswith("color") else 2
    policy = Policy(SIZE, operators=("crop", *repeat * [(name, 1.0)]))
    views, parameters = batch(policy, images[:6])
    assert parameters.shape == (6, policy.num_parameters)
    plain = policy.color_view(views, parameters).numpy()
    for jit_compile in (False, True):
        way = tf.function(policy.color_view, jit_compile=jit_compile)
        close = np.abs(way(views, parameters) - plain) < 2e-5
        # A rounding moves a tone of an equalised image to the next level.
        assert close.mean() > (0.99 if name == "equalize" else 0.999999)
    without = views.numpy() / np.float32(255)
    assert np.abs(plain - without).max() > 0.01
    assert plain.min() >= 0 and plain.max() <= 1


@pytest.mark.parametrize("sigma_per", ["image", "batch"])
def test_in_turn_equals_the_batch(images, sigma_per):
    slow = ("color", "equal", "auto")  # to compile, or to a rounding
    names = [n for n in OPERATORS if not n.startswith(slow)]
    policy = Policy(SIZE, operators=tuple(names), blur_sigma_per=sigma_per)
    views, parameters = batch(policy, images[:6])
    np.testing.assert_allclose(
        policy.color_view_in_turn(views, parameters),
        policy.color_view(views, parameters),
        atol=2e-5,
    )


def test_coins_are_as_likely_as_they_are_said_to_be():
    seeds = draw.sample_seed(0, 0, tf.range(4000, dtype=tf.int64), 0)
    names = [name for name in OPERATORS if name != "crop"]
    for asked in (None, 0.3):
        rates = dict.fromkeys(names, asked)
        policy = Policy(SIZE, operators=tuple(rates.items()))
        row, place = policy.draw(seeds)["parameters"].numpy(), 0
        for name in names:
            rate = OPERATORS[name].probability if asked is None else asked
            coins = row[:, place]
            assert set(np.unique(coins)) <= {0, 1}
            deviation = np.sqrt(rate * (1 - rate) / len(coins))
            assert abs(coins.mean() - rate) <= 3.5 * deviation, name
            place += 1 + OPERATORS[name].width
        assert place == policy.num_parameters


def test_an_image_is_changed_where_its_coin_says_so(images):
    policy = Policy(SIZE, operators=("crop", ("sobel", 0.5)))
    views, parameters = batch(policy, images)
    changed = policy.color_view(views, parameters).numpy()
    plain = views.numpy() / np.float32(255)
    differs = np.any(np.abs(changed - plain) > 1e-6, axis=(1, 2, 3))
    np.testing.assert_array_equal(differs, parameters[:, 0])
    assert 0 < differs.sum() < NUM_IMAGES


def test_the_order_is_the_lists(images):
    one = seen(Policy(SIZE, operators=("crop", "cutout", "sobel")), images)
    other = seen(Policy(SIZE, operators=("crop", "sobel", "cutout")), images)
    # What is cut out last is gray all over; first, it has edges.
    gray = np.mean(np.all(other == 0.5, axis=-1), axis=(1, 2))
    assert np.all(gray > 0.05) and np.all(one <= 1)
    assert np.mean(one == 0.5) < 0.01


def test_operators_of_one_view_leave_the_other_alone(images):
    """The heat map's: the first has the pair, the second is the crop."""
    pair = Policy(
        SIZE,
        operators=("crop", "color", "sobel"),
        second_operators=("crop",),
    )
    both = Policy(SIZE, operators=("crop", "color", "sobel"))
    np.testing.assert_array_equal(seen(pair, images), seen(both, images))
    crop = Policy(SIZE, operators=("crop",))
    second = seen(pair, images, 1)
    np.testing.assert_array_equal(second, seen(crop, images, 1))
    shapes = {batch(pair, images[:2], view)[1].shape for view in (0, 1)}
    assert shapes == {(2, pair.num_parameters)}


def test_each_view_may_have_a_list_of_its_own(images):
    policy = Policy(
        SIZE,
        operators=("crop", "flip", "noise"),
        second_operators=("crop", "rotate", "noise"),
    )
    for view, operators in enumerate(
        (policy.operators, policy.second_operators)
    ):
        alone = Policy(SIZE, operators=operators)
        np.testing.assert_array_equal(
            seen(policy, images, view), seen(alone, images, view)
        )


def test_another_operator_moves_nobody_elses_numbers(images):
    """Neither does its place; one that comes twice draws twice."""
    ids = tf.range(50, dtype=tf.int64)
    seeds = draw.sample_seed(0, 0, ids, 0)

    def drawn(*operators):
        return Policy(SIZE, operators=operators).draw(seeds)["parameters"]

    noise = drawn("noise").numpy()
    np.testing.assert_array_equal(drawn("noise", "cutout")[:, :4], noise)
    np.testing.assert_array_equal(drawn("sobel", "noise")[:, 1:], noise)
    twice = drawn("noise", "noise")
    np.testing.assert_array_equal(twice[:, :4], noise)
    assert not np.isin(twice[:, 5:], noise[:, 1:]).any()


def test_without_a_crop_the_view_is_the_central_square(rng):
    images = rng.integers(0, 256, (4, SIZE, SIZE, 3), dtype=np.uint8)
    found = seen(Policy(SIZE, operators=()), images)
    np.testing.assert_allclose(found, images / np.float32(255), rtol=1e-6)
    mirrored = seen(Policy(SIZE, operators=(("flip", 1.0),)), images)
    np.testing.assert_array_equal(mirrored, found[:, :, ::-1])
    blurred = seen(Policy(16, operators=(("blur", 1.0),)), images)
    sharp = seen(Policy(16, operators=()), images)
    assert np.abs(blurred - sharp).max() > 0.05, "below 20 px, too"


def test_draws_work_in_a_dataset_of_unknown_length():
    policy = Policy(SIZE, operators=tuple(OPERATORS))
    ids = tf.data.Dataset.range(5).batch(3)
    rows = ids.map(lambda i: policy.draw(draw.sample_seed(0, 0, i, 0)))
    rows = np.concatenate([row["parameters"] for row in rows])
    expected = policy.draw(draw.sample_seed(0, 0, tf.range(5), 0))
    np.testing.assert_array_equal(rows, expected["parameters"])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"operators": ("crop", "sharpen")}, "of crop, flip.* got 'sharpen'"),
        ({"operators": (("sobel", 1.5),)}, r"of sobel must be .* 1\.5"),
        (
            {"operators": ("crop",), "second_operators": ("sobel",)},
            "must both begin with crop",
        ),
        ({"second_operators": ("crop",)}, "needs operators"),
    ],
)
def test_lists_that_make_no_views_are_named(changes, message):
    with pytest.raises(ValueError, match=message):
        Policy(SIZE, **changes)
