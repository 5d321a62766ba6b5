"""The encoder: shapes, structure, initial weights, freezing."""

import functools
import math
import pathlib
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras

from simclr_tf.models import build_simclr
from simclr_tf.models.batch_norm import BatchNorm
from simclr_tf.models.parts import Parts
from simclr_tf.models.resnet import freeze_after_block, resnet
from simclr_tf.models.selective_kernel import (
    MixStreams,
    SumStreams,
    squeeze_excite,
)


def layers_of(model, kind):
    return [part for part in model._flatten_layers() if isinstance(part, kind)]


def small(**kwargs):
    return resnet(**{"depth": 10, "width": 0.25, "image_size": 16, **kwargs})


def images_of(rng, n, size):
    return tf.constant(rng.uniform(size=[n, size, size, 3]), tf.float32)


@pytest.mark.parametrize("width", [0.5, 0.3, 0.001])
def test_fractional_width_scales_every_channel_count(width):
    encoder = resnet(depth=10, width=width, image_size=64)
    channels = {stage.output_shape[-1] for stage in encoder.stages[1:]}
    want = {max(1, round(c * width)) for c in (64, 128, 256, 512)}
    assert channels == want
    assert encoder.stages[0].output_shape[-1] == max(1, round(64 * width))


@pytest.mark.parametrize(
    ("depth", "image_size", "sk_ratio"),
    [(10, size, sk) for size in (1, 7, 16, 32, 33, 45) for sk in (0, 0.0625)]
    + [(50, 45, 0.0625)],
)
def test_shapes_at_any_size(rng, depth, image_size, sk_ratio):
    encoder = resnet(
        depth=depth, width=0.05, image_size=image_size, sk_ratio=sk_ratio
    )
    sides = [stage.output_shape[1] for stage in encoder.stages]
    stem = image_size if image_size <= 32 else -(-image_size // 4)
    want = [stem, stem]
    for _ in range(3):
        want.append(-(-want[-1] // 2))
    assert sides == want
    h = encoder(images_of(rng, 2, image_size), training=True)
    assert h.shape == (2, encoder.output_shape[-1])
    assert np.all(np.isfinite(h))


def test_output_is_the_mean_over_positions(rng):
    encoder = small()
    images = images_of(rng, 3, 16)
    maps = images
    for stage in encoder.stages:
        maps = stage(maps)
    np.testing.assert_allclose(
        encoder(images), np.mean(maps, axis=(1, 2)), rtol=1e-5
    )


@pytest.mark.parametrize("kernel_size", [1, 3, 7])
@pytest.mark.parametrize("size", [8, 9])
def test_strided_convolution_samples_the_dense_one(rng, kernel_size, size):
    # Symmetric padding: output i looks at input 2i, at even and odd sizes
    # alike. ("same" would look at 2i + 1 where the size is even.)
    parts = Parts(0, keras.mixed_precision.Policy("float32"), 0.9, "global")
    x = keras.Input([size, size, 2])
    both = keras.Model(
        x,
        [
            parts.conv(x, 3, kernel_size, 1, name="dense"),
            parts.conv(x, 3, kernel_size, 2, name="strided"),
        ],
    )
    both.get_layer("strided").set_weights(both.get_layer("dense").get_weights())
    dense, strided = both(tf.constant(rng.normal(size=[2, size, size, 2])))
    np.testing.assert_allclose(strided, dense[:, ::2, ::2], atol=1e-5)


def test_strides_are_on_the_3x3_and_the_shortcut():
    encoder = resnet(depth=50, width=0.1, image_size=64)
    for i, stage in enumerate(encoder.stages[1:]):
        strided = sorted(
            conv.kernel_size[0]
            for conv in layers_of(stage, keras.layers.Conv2D)
            if conv.strides == (2, 2)
        )
        assert strided == ([] if i == 0 else [3])
        # The shortcut's kernel of 1 sees every second row and column.
        (projection,) = (
            conv
            for conv in layers_of(stage, keras.layers.Conv2D)
            if conv.name.endswith("shortcut_conv")
        )
        shrinks = 1 if i == 0 else 2
        assert projection.input_shape[1] * shrinks == stage.input_shape[1]


def test_resnet_d_shortcuts_pool_before_they_project():
    encoder = resnet(depth=18, width=0.1, image_size=64, sk_ratio=0.0625)
    for i, stage in enumerate(encoder.stages[1:]):
        (pool,) = layers_of(stage, keras.layers.AveragePooling2D)
        assert pool.strides == ((1, 1) if i == 0 else (2, 2))
        assert all(
            conv.strides == (1, 1) or conv.kernel_size == (3, 3)
            for conv in layers_of(stage, keras.layers.Conv2D)
        )


def test_streams_are_mixed_by_a_softmax(rng):
    streams = rng.normal(size=[2, 3, 3, 8]).astype(np.float32)
    logits = rng.normal(size=[2, 1, 1, 8]).astype(np.float32)
    gate = np.exp(logits.reshape(2, 1, 1, 2, 4))
    gate /= gate.sum(axis=3, keepdims=True)
    want = (streams.reshape(2, 3, 3, 2, 4) * gate).sum(axis=3)
    got = MixStreams()([tf.constant(streams), tf.constant(logits)])
    np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(
        SumStreams()(tf.constant(streams)),
        streams[..., :4] + streams[..., 4:],
        rtol=1e-6,
    )


def test_squeeze_excite_equals_numpy(rng):
    parts = Parts(0, keras.mixed_precision.Policy("float32"), 0.9, "global")
    inputs = keras.Input([5, 5, 8])
    gated = squeeze_excite(inputs, 6, se_ratio=0.5, parts=parts, name="se")
    model = keras.Model(inputs, gated)
    shapes = [[1, 1, 8, 3], [3], [1, 1, 3, 8], [8]]
    w1, b1, w2, b2 = (rng.normal(size=s).astype(np.float32) for s in shapes)
    model.set_weights([w1, b1, w2, b2])
    x = rng.normal(size=[2, 5, 5, 8]).astype(np.float32)
    hidden = np.maximum(x.mean((1, 2)) @ w1[0, 0] + b1, 0)
    gate = 1 / (1 + np.exp(-(hidden @ w2[0, 0] + b2)))
    np.testing.assert_allclose(
        model(x), x * gate[:, None, None], rtol=1e-4, atol=1e-5
    )


def test_initial_kernels_have_std_one_over_sqrt_fan_in():
    encoder = resnet(depth=18, image_size=32)
    kernels = [v for v in encoder.trainable_variables if v.shape.rank == 4]
    assert len(kernels) == 21
    for kernel in kernels:
        std = 1 / math.sqrt(math.prod(kernel.shape[:3]))
        values = kernel.numpy() / std
        error = 4 / math.sqrt(2 * values.size)
        assert abs(values.std() - 1) < error
        assert abs(values.mean()) < 4 / math.sqrt(values.size)
        # Truncated at two standard deviations of the normal, which are
        # 2 / 0.8796 of the truncated one's.
        assert 2.0 < np.abs(values).max() < 2.2738


def test_last_gamma_of_every_branch_is_zero():
    encoder = resnet(depth=18, image_size=224)
    gammas = [bn.gamma.numpy() for bn in layers_of(encoder, BatchNorm)]
    assert len(gammas) == 21
    assert sum(not gamma.any() for gamma in gammas) == 8
    assert sum(bool((gamma == 1).all()) for gamma in gammas) == 13


def test_blocks_without_projection_start_as_identities(rng):
    one, two = small(depth=10), small(depth=18)
    for a, b in zip(one.stages, two.stages, strict=True):
        names = {v.name: v for v in b.variables}
        for variable in a.variables:
            variable.assign(names[variable.name])
    images = images_of(rng, 4, 16)
    np.testing.assert_allclose(
        one(images, training=True), two(images, training=True), rtol=1e-6
    )


def test_weights_are_a_function_of_the_seed(mesh):
    tf.random.set_seed(1)
    first = small(seed=3).get_weights()
    tf.random.set_seed(2)
    keras.backend.clear_session()
    again = small(seed=3)
    with mesh.scope():
        mirrored = small(seed=3)
    other = small(seed=4)
    for a, b, c, d, variable in zip(
        first,
        again.get_weights(),
        mirrored.get_weights(),
        other.get_weights(),
        again.weights,
        strict=True,
    ):
        np.testing.assert_array_equal(a, b)
        np.testing.assert_array_equal(a, c)
        assert variable.shape.rank == 1 or np.abs(a - d).max() > 0.01


def test_layers_of_one_shape_start_differently():
    encoder = small(depth=18)
    kernels = {
        v.numpy().tobytes()
        for v in encoder.trainable_variables
        if v.shape.rank == 4
    }
    assert len(kernels) == 21


def test_variable_names_are_unique_and_say_where_they_are():
    names = [v.name for v in small(sk_ratio=0.0625, se_ratio=0.25).variables]
    assert len(set(names)) == len(names)
    for stage in ("stem", "group1", "group2", "group3", "group4"):
        assert any(name.startswith(f"{stage}_") for name in names)
    assert "group3_block0_conv1/kernel:0" in names


@pytest.mark.parametrize("block", [-1, 0, 1, 2, 3, 4])
def test_frozen_stages_keep_their_bits(rng, block):
    encoder = small(se_ratio=0.25)
    freeze_after_block(encoder, block)
    optimizer = keras.optimizers.SGD(0.5, jit_compile=False)
    before = [[v.numpy() for v in s.variables] for s in encoder.stages]
    images = images_of(rng, 8, 16)
    if encoder.trainable_variables:
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(encoder(images, training=True) ** 2)
        variables = encoder.trainable_variables
        gradients = tape.gradient(loss, variables)
        assert all(g is not None for g in gradients)
        optimizer.apply_gradients(zip(gradients, variables, strict=True))
    else:
        np.testing.assert_array_equal(
            encoder(images, training=True), encoder(images, training=False)
        )
    for i, stage in enumerate(encoder.stages):
        same = [
            np.array_equal(v, old)
            for v, old in zip(stage.variables, before[i], strict=True)
        ]
        frozen = i <= block
        assert all(same) if frozen else not all(same)
        assert frozen == (not stage.trainable_variables)
        moving = [bn.moving_mean.name for bn in layers_of(stage, BatchNorm)]
        assert frozen or not any(
            kept
            for kept, v in zip(same, stage.variables, strict=True)
            if v.name in moving
        )


def test_mixed_precision_keeps_float32_where_it_matters(rng):
    encoder = small(dtype="mixed_bfloat16", sk_ratio=0.0625, se_ratio=0.25)
    assert {v.dtype for v in encoder.variables} == {tf.float32}
    assert {s.output.dtype for s in encoder.stages} == {tf.bfloat16}
    twin = small(sk_ratio=0.0625, se_ratio=0.25)
    images = images_of(rng, 8, 16)
    h, exact = encoder(images, training=True), twin(images, training=True)
    assert h.dtype == tf.float32
    np.testing.assert_allclose(h, exact, atol=0.05 * np.abs(exact).max())
    assert np.abs(h - exact).max() > 0


def test_every_policy_form_is_taken():
    policy = keras.mixed_precision.Policy("mixed_bfloat16")
    assert small(dtype=policy).stages[0].output.dtype == tf.bfloat16
    assert small(dtype=None).stages[0].output.dtype == tf.float32


@pytest.mark.parametrize(
    "change",
    [
        {"depth": 42},
        {"width": 0},
        {"width": float("nan")},
        {"image_size": 0},
        {"image_size": 7.5},
        {"sk_ratio": -0.1},
        {"se_ratio": 1.5},
    ],
)
def test_bad_values_name_their_argument(change):
    with pytest.raises(ValueError, match=f"^{min(change)} must"):
        small(**change)


@pytest.mark.parametrize("block", [-2, 5])
def test_bad_freeze_depth_names_its_argument(block):
    with pytest.raises(ValueError, match=r"^block must"):
        freeze_after_block(small(), block)


@pytest.mark.parametrize("dtype", ["uint8", "int32", "int64", "bool"])
@pytest.mark.parametrize("how", ["numpy", "tensor", "graph", "predict"])
@pytest.mark.parametrize("kind", ["encoder", "model"])
def test_images_of_whole_numbers_are_refused(kind, how, dtype):
    encoder = small()
    called = encoder if kind == "encoder" else build_simclr(encoder)
    images = np.ones([2, 16, 16, 3], dtype)
    if how == "graph":
        function = tf.function(called)
        spec = tf.TensorSpec(images.shape, dtype)
        call = functools.partial(function.get_concrete_function, spec)
    elif how == "predict":
        call = functools.partial(called.predict, images, verbose=0)
    else:
        given = tf.constant(images) if how == "tensor" else images
        call = functools.partial(called, given)
    with pytest.raises(TypeError, match=f"float32 in .0, 1.; received {dtype}"):
        call()


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_images_of_any_float_are_taken(rng, dtype):
    images = rng.uniform(size=[2, 16, 16, 3]).astype(dtype)
    encoder = small()
    np.testing.assert_allclose(
        encoder(images), encoder(images.astype("float32")), rtol=1e-6
    )


def test_a_shortcut_of_an_odd_batch_has_a_gradient():
    """In a process of its own: TensorFlow would take this one along."""
    program = """
import simclr_tf
import tensorflow as tf
import tf_keras as keras
from simclr_tf.models.parts import Parts
policy = keras.mixed_precision.Policy("float32")
parts = Parts(seed=0, dtype=policy, bn_momentum=0.9, bn_groups="global")
x = keras.Input((16, 16, 8))
model = keras.Model(x, parts.conv(x, 16, 1, 2, name="shortcut"))
images = tf.random.uniform([7, 16, 16, 8])
for _ in range(20):
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(model(images) ** 2)
    tape.gradient(loss, model.trainable_variables)
"""
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        cwd=pathlib.Path(__file__).parents[2],
    )
    assert done.returncode == 0, done.stderr[-500:]
