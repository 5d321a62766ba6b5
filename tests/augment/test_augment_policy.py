"""The composed policy: same bits on host and device, and what it depends on."""

import dataclasses

import numpy as np
import pytest
import scipy.ndimage
import tensorflow as tf

from simclr_tf.augment import draw
from simclr_tf.augment.draw import Column
from simclr_tf.augment.policy import Policy
from tests import color_oracle

NUM_IMAGES = 24


@pytest.fixture
def images(rng):
    return rng.integers(0, 256, (NUM_IMAGES, 40, 52, 3), dtype=np.uint8)


def _host_views(policy, images, *, seed=0, epoch=0, view=0):
    """Dataset of (view, parameters) of each image, sample ids 0, 1, ..."""
    sample_ids = np.arange(len(images), dtype=np.int64)
    drawn = policy.draw(draw.sample_seed(seed, epoch, sample_ids, view))
    samples = tf.data.Dataset.from_tensor_slices((images, drawn))
    return samples.map(
        lambda image, drawn: (
            policy.host_view(image, drawn),
            drawn["parameters"],
        )
    )


def _batch(policy, images, **changes):
    views = _host_views(policy, images, **changes).batch(len(images))
    return next(iter(views))


def _ramps(height, width):
    """uint8[height, width, 3]: the red is x, the green y, the blue 0."""
    image = np.zeros((height, width, 3), np.uint8)
    image[..., 0] = np.arange(width)
    image[..., 1] = np.arange(height)[:, None]
    return image


@pytest.mark.parametrize("size", [16, 64])
@pytest.mark.parametrize("crop", [True, False])
def test_a_host_view_shows_its_box_and_mirrors_it_by_its_coin(size, crop):
    """A pixel of a ramp says where in the image it comes from."""
    images = np.repeat(_ramps(200, 240)[None], NUM_IMAGES, axis=0)
    policy = Policy(size, crop=crop)
    seeds = draw.sample_seed(0, 0, np.arange(NUM_IMAGES), 0)
    coins = draw.flip_coin(seeds).numpy()
    assert 0 < coins.sum() < NUM_IMAGES
    views, parameters = _batch(policy, images)
    assert views.shape == (NUM_IMAGES, size, size, 3)
    assert parameters.shape == (NUM_IMAGES, policy.num_parameters)
    inner = slice(size // 4, -(size // 4))  # off the border, a ramp stays one
    for view, seed, coin in zip(views.numpy(), seeds, coins, strict=True):
        y, x, height, width = (0, 20, 200, 200)
        if crop:
            box = draw.crop_box((200, 240, 3), draw.crop_seed(seed))
            y, x, height, width = box.numpy()
        if coin:
            view = view[:, ::-1]
        centers = (np.arange(size) + 0.5) / size
        columns, rows = x + width * centers - 0.5, y + height * centers - 0.5
        level = 1.05  # a rounding, and TensorFlow's table of the cubic
        red, green = view[:, inner, 0], view[inner, :, 1]
        assert np.abs(red - columns[inner]).max() < level
        assert np.abs(green - rows[inner, None]).max() < level
        assert not view[..., 2].any()


@pytest.mark.parametrize("size", [32, 64])
def test_a_color_view_equals_tf_image_and_scipy(images, size):
    policy = Policy(size, color_jitter_strength=0.5)
    views, parameters = _batch(policy, images)
    result = policy.color_view(views, parameters).numpy()
    radius = {32: 1, 64: 3}[size]
    for i, row in enumerate(parameters.numpy()):
        expected = color_oracle.distorted(
            views[i].numpy() / np.float32(255), row
        )
        if row[Column.BLUR]:
            sigma = row[Column.SIGMA]
            expected = scipy.ndimage.gaussian_filter(
                expected, (sigma, sigma, 0), mode="constant", cval=0.0,
                radius=(radius, radius, 0),
            )  # fmt: skip
        np.testing.assert_allclose(result[i], expected, atol=5e-6)
    assert result.dtype == np.float32
    assert result.min() >= 0
    assert result.max() <= 1


@pytest.mark.parametrize(
    ("jitter_impl", "jitter_order", "jit_compile"),
    [
        ("simclrv1", "random", False),
        ("simclrv1", "random", True),
        ("simclrv2", "fixed", True),
    ],
)
def test_host_and_device_give_the_same_bits(
    images, jitter_impl, jitter_order, jit_compile
):
    """--augment_on=host and =device, on the CPU."""
    policy = Policy(
        32, color_jitter_impl=jitter_impl, color_jitter_order=jitter_order
    )
    color_view = tf.function(policy.color_view, jit_compile=jit_compile)
    batches = _host_views(policy, images).batch(8, drop_remainder=True)

    @tf.function
    def training_step(views, parameters):
        return color_view(views, parameters) + 0.0

    on_host = batches.map(color_view, num_parallel_calls=2)
    for batch, expected in zip(batches, on_host, strict=True):
        np.testing.assert_array_equal(training_step(*batch), expected)


@pytest.mark.parametrize("sigma_per", ["image", "batch"])
@pytest.mark.parametrize("way", ["color_view", "color_view_in_turn"])
def test_compiled_equals_uncompiled(images, way, sigma_per):
    policy = Policy(40, blur_sigma_per=sigma_per)
    views, parameters = _batch(policy, images)
    compiled = tf.function(getattr(policy, way), jit_compile=True)
    np.testing.assert_allclose(
        compiled(views, parameters),
        policy.color_view(views, parameters),
        atol=5e-6,
    )


def test_in_turn_an_image_is_the_same_in_any_batch(images):
    policy = Policy(40)
    views, parameters = _batch(policy, images)
    in_turn = tf.function(policy.color_view_in_turn, jit_compile=True)
    whole = in_turn(views, parameters)
    for size in (1, 3):
        np.testing.assert_array_equal(
            in_turn(views[:size], parameters[:size]), whole[:size]
        )


def test_in_turn_supervised_views_are_left_alone(images):
    policy = Policy.supervised(24)
    views, parameters = _batch(policy, images)
    np.testing.assert_array_equal(
        policy.color_view_in_turn(views, parameters),
        policy.color_view(views, parameters),
    )


def test_replicas_give_the_bits_of_one_device(images, mesh):
    policy = Policy(32)
    views, parameters = _batch(policy, images)
    color_view = tf.function(policy.color_view, jit_compile=True)
    replicas = mesh.num_replicas_in_sync
    shares = [tf.split(x, replicas) for x in (views, parameters)]

    @tf.function
    def step(views, parameters):
        return mesh.run(color_view, (views, parameters))

    per_replica = [
        mesh.experimental_distribute_values_from_function(
            lambda context, share=share: share[context.replica_id_in_sync_group]
        )
        for share in shares
    ]
    result = mesh.experimental_local_results(step(*per_replica))
    np.testing.assert_array_equal(
        tf.concat(result, axis=0), color_view(views, parameters)
    )


def test_a_sample_is_augmented_the_same_in_any_batch_and_order(images):
    policy = Policy(24)
    views, parameters = _batch(policy, images)
    expected = policy.color_view(views, parameters).numpy()
    order = np.random.default_rng(1).permutation(NUM_IMAGES)
    drawn = policy.draw(draw.sample_seed(0, 0, order, 0))
    shuffled = tf.data.Dataset.from_tensor_slices((images[order], drawn)).map(
        lambda image, drawn: (
            policy.host_view(image, drawn),
            drawn["parameters"],
        )
    )
    result = np.concatenate(
        [policy.color_view(*batch) for batch in shuffled.batch(5)]
    )
    np.testing.assert_array_equal(result, expected[order])


@pytest.mark.parametrize("other", ["seed", "epoch", "view"])
def test_views_differ_between_seeds_epochs_and_views(images, other):
    policy = Policy(24)
    first = policy.color_view(*_batch(policy, images)).numpy()
    again = policy.color_view(*_batch(policy, images)).numpy()
    second = policy.color_view(*_batch(policy, images, **{other: 1})).numpy()
    np.testing.assert_array_equal(first, again)
    assert np.all(np.any(first != second, axis=(1, 2, 3)))


def test_images_of_any_size_become_views_of_a_static_shape(rng):
    policy = Policy(32)
    drawn = policy.draw(draw.sample_seed(0, 0, 0, 0))
    parameters = drawn["parameters"]
    assert parameters.shape == (draw.NUM_PARAMETERS,)
    host_view = tf.function(
        policy.host_view,
        input_signature=[
            tf.TensorSpec([None, None, 3], tf.uint8),
            tf.nest.map_structure(tf.TensorSpec.from_tensor, drawn),
        ],
    )
    traced = host_view.get_concrete_function()
    assert traced.structured_outputs.shape == (32, 32, 3)
    for shape in [(1, 1), (1, 17), (2, 3), (300, 5), (9, 9)]:
        image = rng.integers(0, 256, (*shape, 3), dtype=np.uint8)
        view = host_view(tf.constant(image), drawn)
        view = policy.color_view(view[None], parameters[None])
        assert np.isfinite(view).all()


def test_a_gray_image_stays_gray(rng):
    """Grayscale data, repeated to three channels, has no hue to change."""
    image = rng.integers(0, 256, (30, 30, 1), dtype=np.uint8)
    images = np.repeat(np.repeat(image[None], NUM_IMAGES, 0), 3, -1)
    policy = Policy(32)
    views = policy.color_view(*_batch(policy, images)).numpy()
    contrast_rounding = 1e-5
    assert np.abs(np.ptp(views, axis=-1)).max() < contrast_rounding


def test_supervised_is_crop_and_flip_only(images):
    policy = Policy.supervised(32)
    views, parameters = _batch(policy, images)
    np.testing.assert_array_equal(
        policy.color_view(views, parameters),
        tf.image.convert_image_dtype(views, tf.float32),
    )
    pretraining, _ = _batch(Policy(32), images)
    np.testing.assert_array_equal(views, pretraining)
    assert not Policy.supervised(32, flip=False).flip


def test_without_colours_and_blur_the_graph_has_none(images):
    """Skipped when the graph is built, not multiplied away."""

    def num_ops(policy):
        function = tf.function(policy.color_view).get_concrete_function(
            tf.TensorSpec([8, 32, 32, 3], tf.uint8),
            tf.TensorSpec([8, draw.NUM_PARAMETERS]),
        )
        return len(function.graph.get_operations())

    assert num_ops(Policy.supervised(32)) < 12
    assert num_ops(Policy(32, color_jitter_strength=0.0, use_blur=False)) < 12
    assert num_ops(Policy(32, color=False)) < num_ops(Policy(32)) / 2
    assert not Policy(16).blurs
    assert Policy(20).blurs


@pytest.mark.parametrize(
    "changes", [{"color": False}, {"color_jitter_strength": 0.0}]
)
def test_no_colour_still_blurs(images, changes):
    policy = Policy(32, **changes)
    views, parameters = _batch(policy, images)
    result = policy.color_view(views, parameters).numpy()
    unblurred = tf.image.convert_image_dtype(views, tf.float32)
    blurred = np.any(result != unblurred, axis=(1, 2, 3))
    np.testing.assert_array_equal(blurred, parameters[:, Column.BLUR])


def test_no_crop_and_no_flip_leave_a_square_image_alone(rng):
    images = rng.integers(0, 256, (NUM_IMAGES, 32, 32, 3), dtype=np.uint8)
    views, _ = _batch(Policy(32, crop=False, flip=False), images)
    np.testing.assert_array_equal(views, images)


def test_least_area_and_coverage_reach_the_crop(rng):
    """A crop of the whole area of a square image is the image."""
    images = rng.integers(0, 256, (NUM_IMAGES, 32, 32, 3), dtype=np.uint8)
    for changes in ({"min_crop_area": 1.0}, {"min_object_covered": 1.0}):
        views, _ = _batch(Policy(32, flip=False, **changes), images)
        np.testing.assert_array_equal(views, images)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"min_object_covered": -0.1}, r"min_object_covered .* got -0\.1"),
        ({"min_object_covered": 1.5}, r"min_object_covered .* got 1\.5"),
        ({"color_jitter_strength": 1.3}, r"color_jitter_strength .* 1\.3"),
        ({"color_jitter_strength": -0.1}, r"color_jitter_strength .* -0\.1"),
        ({"color_jitter_strength": float("nan")}, "jitter_strength .* nan"),
        ({"color_jitter_impl": "v2"}, "color_jitter_impl .* 'v2'"),
        ({"color_jitter_order": "bcsh"}, "color_jitter_order .* 'bcsh'"),
        ({"blur_sigma_per": "view"}, "blur_sigma_per .* 'view'"),
    ],
)
def test_attributes_that_would_make_wrong_views_are_named(changes, message):
    with pytest.raises(ValueError, match=message):
        Policy(32, **changes)


@pytest.mark.parametrize(
    "changes", [{"image_size": 0}, {"min_crop_area": 0.0}, {"min_crop_area": 2}]
)
def test_other_wrong_attributes_make_no_views(images, changes):
    policy = Policy(**{"image_size": 32, **changes})
    with pytest.raises(tf.errors.InvalidArgumentError):
        _batch(policy, images)


def test_a_policy_is_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        Policy(32).flip = False


def test_sigma_per_batch_is_the_first_images(rng):
    """The official code's one sigma for all, each image with its own coin."""
    images = np.repeat(rng.random((1, 32, 32, 3)), NUM_IMAGES, axis=0)
    images = np.uint8(255 * images)
    changes = {"color": False, "crop": False, "flip": False}
    _, parameters = _batch(Policy(32, **changes), images)
    coins = parameters[:, Column.BLUR].numpy().astype(bool)
    for per, kinds in (("batch", 1), ("image", coins.sum())):
        policy = Policy(32, blur_sigma_per=per, **changes)
        result = policy.color_view(tf.constant(images), parameters).numpy()
        assert len(np.unique(result[coins].round(5), axis=0)) == kinds
        np.testing.assert_allclose(
            result[~coins], images[~coins] / 255, rtol=1e-6
        )
