"""Statistics of what is drawn, and what each draw depends on."""

import enum
import functools
import importlib
import itertools
import pkgutil

import numpy as np
import pytest
import scipy.stats
import tensorflow as tf

from simclr_tf import augment, counter_hash
from simclr_tf.augment import draw
from simclr_tf.augment.draw import Column, Purpose
from simclr_tf.data import order

NUM_DRAWS = 4800
LEAST_P_VALUE = 1e-3  # seeds are fixed: a test passes always or never


def _over_samples(draw_many, num_draws=NUM_DRAWS, *, seed=0, epoch=0, view=0):
    """draw_many(seeds of all samples), in the tf.data graph as on a host."""
    sample_ids = tf.data.Dataset.range(num_draws).batch(num_draws)
    draws = sample_ids.map(
        lambda ids: draw_many(draw.sample_seed(seed, epoch, ids, view))
    )
    return next(iter(draws)).numpy()


def _boxes_of(shape, seeds, **changes):
    """int32[N, 4] of int32[N, 2]: boxes are drawn one by one."""
    boxes = tf.data.Dataset.from_tensor_slices(draw.crop_seed(seeds)).map(
        lambda seed: draw.crop_box(shape, seed, **changes)
    )
    return boxes.batch(len(seeds)).get_single_element()


@functools.cache
def _parameters(num_draws=NUM_DRAWS, **changes):
    arguments = {
        "strength": 1.0,
        "jitter_impl": "simclrv1",
        "jitter_order": "random",
        **changes,
    }
    return _over_samples(
        lambda seed: draw.color_parameters(seed, **arguments), num_draws
    )


def _boxes(shape, num_draws=NUM_DRAWS, **changes):
    ids = tf.range(num_draws, dtype=tf.int64)
    return _boxes_of(shape, draw.sample_seed(0, 0, ids, 0), **changes).numpy()


def _areas(boxes, shape):
    return boxes[:, 2] * boxes[:, 3] / (shape[0] * shape[1])


def _assert_rate(draws, rate):
    deviation = np.sqrt(rate * (1 - rate) / len(draws))
    assert np.mean(draws) == pytest.approx(rate, abs=3.5 * deviation)


@pytest.mark.parametrize("seed", [0, -1, 2**62])
def test_sample_seed_depends_on_each_of_its_arguments(seed):
    sample_ids = [0, 1, -1, 2**63 - 1, -(2**63)]
    seeds = [
        int(draw.sample_seed(s, epoch, sample_id, view))
        for s, epoch, sample_id, view in itertools.product(
            (seed, seed + 1), (0, 1), sample_ids, (0, 1)
        )
    ]
    assert len(set(seeds)) == len(seeds)


def test_draws_are_pinned():
    """A change here changes the augmentation of every run there is."""
    seed = draw.sample_seed(3, 5, 7, 1)
    assert seed.dtype == tf.int64
    assert seed == -9140464710792549094
    box = draw.crop_box((375, 500, 3), draw.crop_seed(seed))
    np.testing.assert_array_equal(box, [3, 64, 319, 384])
    numbers = {
        Purpose.CROP: 0.263564,
        Purpose.FLIP: 0.868066,
        Purpose.BRIGHTNESS: 0.265227,
        Purpose.CONTRAST: 0.818606,
        Purpose.SATURATION: 0.989526,
        Purpose.HUE: 0.867273,
        Purpose.SIGMA: 0.131435,
        Purpose.BLUR: 0.797433,
        Purpose.JITTER: 0.377269,
        Purpose.DROP: 0.764783,
        Purpose.ORDER: 0.459886,
    }
    assert set(numbers) == set(Purpose)
    np.testing.assert_allclose(
        draw.uniform(seed, *numbers), list(numbers.values()), atol=1e-6
    )
    assert not draw.flip_coin(seed)
    parameters = draw.color_parameters(
        seed, strength=1, jitter_impl="simclrv1", jitter_order="random"
    )
    pinned = [-0.375637, 1.509769, 1.783242, 0.146909, 0.349727, 0, 1, 0, 11]
    np.testing.assert_allclose(parameters, pinned, atol=1e-6)


class MadeUp(enum.IntEnum):
    """What an operator to come would add."""

    ANGLE = 10_000


@pytest.mark.parametrize("place", [0, 4, len(Purpose)])
def test_a_new_purpose_moves_nobody_elses_numbers(place):
    seeds = draw.sample_seed(0, 0, tf.range(100), 0)
    expected = draw.uniform(seeds, *Purpose)
    purposes = list(Purpose)
    purposes.insert(place, MadeUp.ANGLE)
    numbers = draw.uniform(seeds, *purposes).numpy()
    np.testing.assert_array_equal(np.delete(numbers, place, 1), expected)
    assert not np.isin(numbers[:, place], expected).any()


def test_every_draw_is_of_the_number_of_its_purpose():
    seeds = draw.sample_seed(0, 0, tf.range(100), 0)
    numbers = {p: draw.uniform(seeds, p)[:, 0].numpy() for p in Purpose}
    parameters = _parameters(100)
    expected = {
        Column.BRIGHTNESS: 1.6 * numbers[Purpose.BRIGHTNESS] - 0.8,
        Column.CONTRAST: 1.6 * numbers[Purpose.CONTRAST] + 0.2,
        Column.SATURATION: 1.6 * numbers[Purpose.SATURATION] + 0.2,
        Column.HUE: 0.4 * numbers[Purpose.HUE] - 0.2,
        Column.SIGMA: 1.9 * numbers[Purpose.SIGMA] + 0.1,
        Column.BLUR: numbers[Purpose.BLUR] < 0.5,
        Column.JITTER: numbers[Purpose.JITTER] < 0.8,
        Column.DROP: numbers[Purpose.DROP] < 0.2,
        Column.ORDER: np.floor(24 * numbers[Purpose.ORDER]),
    }
    assert set(expected) == set(Column)
    for column, values in expected.items():
        np.testing.assert_allclose(parameters[:, column], values, atol=1e-6)
    coins = draw.flip_coin(seeds)
    np.testing.assert_array_equal(coins, numbers[Purpose.FLIP] < 0.5)


def test_no_two_purposes_share_a_number():
    modules = [
        importlib.import_module(f"{augment.__name__}.{module.name}")
        for module in pkgutil.iter_modules(augment.__path__)
    ]
    enums = {m.Purpose for m in modules if hasattr(m, "Purpose")}
    assert Purpose in enums
    numbers = [
        int(member)
        for purposes in enums
        for member in purposes.__members__.values()  # aliases, too
    ]
    assert len(set(numbers)) == len(numbers)


@pytest.mark.parametrize(
    "use",
    [order.EXAMPLES, order.PIECES, order.WINDOW, order.SUBSTITUTE, order.SCAN],
)
def test_views_share_no_hash_with_the_order(use):
    words = (0, 0, tf.range(100), 0)
    assert not np.isin(
        draw.sample_seed(*words), counter_hash.mix(use, *words)
    ).any()


def test_a_seed_gives_the_same_draws_eagerly_and_in_a_dataset():
    shape = (37, 61, 3)
    boxes, parameters = _boxes(shape, 8), _parameters(8)
    coins = _over_samples(draw.flip_coin, 8)
    for i in range(8):
        seed = draw.sample_seed(0, 0, i, 0)
        box = draw.crop_box(shape, draw.crop_seed(seed))
        np.testing.assert_array_equal(box, boxes[i])
        np.testing.assert_array_equal(draw.flip_coin(seed), coins[i])
        np.testing.assert_array_equal(
            draw.color_parameters(
                seed, strength=1, jitter_impl="simclrv1", jitter_order="random"
            ),
            parameters[i],
        )


@pytest.mark.parametrize("other", ["seed", "epoch", "view"])
def test_draws_differ_between_seeds_epochs_and_views(other):
    def draw_one(seed):
        return draw.color_parameters(
            seed, strength=1, jitter_impl="simclrv1", jitter_order="random"
        )

    first = _over_samples(draw_one, 1000)
    second = _over_samples(draw_one, 1000, **{other: 1})
    assert not np.any(first[:, Column.HUE] == second[:, Column.HUE])
    for column in Column:
        correlation = np.corrcoef(first[:, column], second[:, column])[0, 1]
        assert abs(correlation) < 4 / np.sqrt(1000)


def test_crop_flip_and_colours_of_a_view_are_independent():
    ids = tf.range(NUM_DRAWS, dtype=tf.int64)
    seeds = draw.sample_seed(1, 0, ids, 0)
    boxes = _boxes_of((224, 224, 3), seeds)
    parameters = draw.color_parameters(
        seeds, strength=1, jitter_impl="simclrv1", jitter_order="random"
    )
    draws = np.column_stack([boxes, draw.flip_coin(seeds), parameters])
    correlations = np.corrcoef(draws, rowvar=False)
    # Within a box they depend: a high one starts near the top.
    correlations[:4, :4] = 0
    np.fill_diagonal(correlations, 0)
    assert np.abs(correlations).max() < 4 / np.sqrt(NUM_DRAWS)


def test_crop_area_and_aspect_are_the_papers():
    shape = (224, 224, 3)
    boxes = _boxes(shape)
    areas = _areas(boxes, shape)
    assert 0.08 <= areas.min() < 0.085
    assert areas.max() > 0.97
    quartiles = np.quantile(areas, [0.25, 0.5, 0.75])
    np.testing.assert_allclose(quartiles, [0.194, 0.368, 0.589], atol=0.02)
    aspects = boxes[:, 3] / boxes[:, 2]
    rounding = 1.5 / 224 / np.sqrt(0.08)
    assert aspects.min() > 3 / 4 - rounding
    assert aspects.max() < 4 / 3 + rounding
    quartiles = np.quantile(aspects, [0.25, 0.5, 0.75])
    np.testing.assert_allclose(quartiles, [0.89, 1.04, 1.18], atol=0.015)


def test_official_object_coverage_makes_a_tenth_the_least_area():
    """Quartiles and mean as measured on the official code, 4,000 draws."""
    shape = (224, 224, 3)
    areas = _areas(_boxes(shape, min_object_covered=0.1), shape)
    assert 0.1 <= areas.min() < 0.102
    quartiles = np.quantile(areas, [0.25, 0.5, 0.75])
    np.testing.assert_allclose(quartiles, [0.22, 0.39, 0.62], atol=0.02)
    assert areas.mean() == pytest.approx(0.427, abs=0.012)


def test_crop_keeps_to_the_area_and_aspect_it_is_given():
    shape = (400, 600, 3)
    boxes = _boxes(
        shape, 500, min_area=0.3, max_area=0.5, min_aspect=1.9, max_aspect=2.1
    )
    areas, aspects = _areas(boxes, shape), boxes[:, 3] / boxes[:, 2]
    assert areas.min() >= 0.3
    assert areas.max() <= 0.5
    assert aspects.min() > 1.88
    assert aspects.max() < 2.12


@pytest.mark.parametrize("channels", [1, 3])
def test_crop_lies_in_images_of_any_size_and_shape(channels):
    sides = [1, 2, 3, 7, 60, 1000]
    shapes = [(h, w, channels) for h in sides for w in sides]
    shapes = np.repeat(shapes, 5, axis=0)
    boxes = tf.data.Dataset.from_tensor_slices(shapes).map(
        lambda shape: draw.crop_box(
            shape,
            draw.crop_seed(draw.sample_seed(0, 0, shape[0], shape[1])),
        )
    )
    boxes = next(iter(boxes.batch(len(shapes)))).numpy()
    assert boxes.min(axis=0)[:2].tolist() == [0, 0]
    assert boxes[:, 2:].min() >= 1
    assert np.all(boxes[:, :2] + boxes[:, 2:] <= shapes[:, :2])


def test_crop_is_the_whole_image_where_no_box_fits():
    boxes = _boxes((10, 1000, 3), 5)
    np.testing.assert_array_equal(boxes, [[0, 0, 10, 1000]] * 5)


@pytest.mark.parametrize("probability", [0.0, 0.5, 0.9, 1.0])
def test_flip_rate(probability):
    coins = _over_samples(lambda seed: draw.flip_coin(seed, probability))
    assert coins.dtype == bool
    _assert_rate(coins, probability)


@pytest.mark.parametrize("strength", [0.5, 1.0, 1.25])
@pytest.mark.parametrize("jitter_impl", draw.JITTER_IMPLS)
def test_colour_values_are_uniform_in_the_papers_ranges(strength, jitter_impl):
    parameters = _parameters(strength=strength, jitter_impl=jitter_impl)
    wide, narrow = 0.8 * strength, 0.2 * strength
    ranges = {
        Column.BRIGHTNESS: (-wide, wide),
        Column.CONTRAST: (1 - wide, 1 + wide),
        Column.SATURATION: (1 - wide, 1 + wide),
        Column.HUE: (-narrow, narrow),
    }
    if jitter_impl == "simclrv2":
        ranges[Column.BRIGHTNESS] = (1 - wide, 1 + wide)
    for column, (low, high) in ranges.items():
        values = parameters[:, column]
        assert values.min() >= low - 1e-6
        assert values.max() <= high + 1e-6
        uniform = scipy.stats.uniform(low, high - low)
        test = scipy.stats.kstest(values, uniform.cdf)
        assert test.pvalue > LEAST_P_VALUE, column.name
    assert parameters[:, Column.CONTRAST].min() >= 0


def test_coin_rates_are_the_papers():
    parameters = _parameters()
    _assert_rate(parameters[:, Column.JITTER], 0.8)
    _assert_rate(parameters[:, Column.DROP], 0.2)
    _assert_rate(parameters[:, Column.BLUR], 0.5)
    coins = parameters[:, [Column.JITTER, Column.DROP]]
    assert set(np.unique(coins)) == {0, 1}


def test_coin_rates_are_those_asked_for():
    parameters = _parameters(
        jitter_probability=0.3, drop_probability=1.0, blur_probability=0.9
    )
    _assert_rate(parameters[:, Column.JITTER], 0.3)
    _assert_rate(parameters[:, Column.DROP], 1.0)
    _assert_rate(parameters[:, Column.BLUR], 0.9)


def test_sigma_is_uniform():
    sigma = _parameters()[:, Column.SIGMA]
    uniform = scipy.stats.uniform(0.1, 1.9)
    test = scipy.stats.kstest(sigma, uniform.cdf)
    assert test.pvalue > LEAST_P_VALUE
    sigma = _parameters(100, sigma_min=3.0, sigma_max=3.5)[:, Column.SIGMA]
    assert sigma.min() >= 3
    assert sigma.max() <= 3.5


def test_random_order_is_uniform_over_all_24():
    orders = _parameters()[:, Column.ORDER]
    values, counts = np.unique(orders, return_counts=True)
    np.testing.assert_array_equal(values, np.arange(24))
    assert scipy.stats.chisquare(counts).pvalue > LEAST_P_VALUE
    assert len(set(draw.ORDERS)) == 24


def test_fixed_order_is_the_one_the_paper_lists():
    orders = _parameters(100, jitter_order="fixed")[:, Column.ORDER]
    assert set(orders) == {0}
    assert [operator.name for operator in draw.ORDERS[0]] == [
        "BRIGHTNESS",
        "CONTRAST",
        "SATURATION",
        "HUE",
    ]


def test_strength_zero_turns_off_jitter_and_drop_but_not_blur():
    parameters = _parameters(100, strength=0.0)
    assert not parameters[:, [Column.JITTER, Column.DROP]].any()
    assert parameters[:, Column.BLUR].any()


def test_no_blur_leaves_its_coin_at_zero():
    parameters = _parameters(100, use_blur=False)
    assert not parameters[:, Column.BLUR].any()
    assert parameters[:, Column.JITTER].any()


@pytest.mark.parametrize(
    "changes", [{"jitter_impl": "v3"}, {"jitter_order": "any"}]
)
def test_an_unknown_choice_draws_nothing(changes):
    with pytest.raises(KeyError):
        _parameters(1, **changes)
