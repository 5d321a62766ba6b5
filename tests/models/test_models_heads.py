"""The heads against NumPy, their counts, and every mode's outputs."""

import math

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras

from simclr_tf.models.heads import MODES, LinearHead, ProjectionHead

EPSILON = 1e-5


def size_of(variables):
    return sum(math.prod(v.shape) for v in variables)


def built(width, **kwargs):
    """A head that has seen the symbol of its input, and no numbers."""
    head = ProjectionHead(**kwargs)
    head(keras.Input([width]))
    return head


def normalized(x, gamma, beta=0.0):
    return gamma * (x - x.mean(0)) / np.sqrt(x.var(0) + EPSILON) + beta


@pytest.mark.parametrize(
    ("width", "num_layers", "trainable", "statistics"),
    [
        (2048, 3, 8_659_072, 8_448),
        (512, 3, 592_000, 2_304),
        (2048, 2, 4_460_672, 2 * (2048 + 128)),
    ],
)
def test_head_counts(width, num_layers, trainable, statistics):
    head = built(width, num_layers=num_layers)
    assert size_of(head.trainable_variables) == trainable
    assert size_of(head.non_trainable_variables) == statistics


@pytest.mark.parametrize("num_layers", [1, 2, 3, 5])
def test_nonlinear_head_equals_numpy(rng, num_layers):
    h = rng.normal(size=[16, 6]).astype(np.float32)
    head = built(6, out_dim=4, num_layers=num_layers)
    for variable in head.trainable_variables:
        variable.assign(rng.normal(size=variable.shape))
    hiddens = head(tf.constant(h), training=True)
    assert len(hiddens) == num_layers + 1
    weights = {
        v.name.removeprefix("projection_head/"): v.numpy()
        for v in head.trainable_variables
    }
    want = [h.astype(np.float64)]
    for j in range(1, num_layers + 1):
        x = normalized(
            want[-1] @ weights[f"dense{j}/kernel:0"],
            weights[f"norm{j}/gamma:0"],
            weights.get(f"norm{j}/beta:0", 0.0),
        )
        want.append(x if j == num_layers else np.maximum(x, 0.0))
    # Beta on every layer but the last, and no dense bias anywhere.
    assert len(weights) == 3 * num_layers - 1
    for got, expected in zip(hiddens, want, strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-3, atol=1e-3)


def test_linear_head_equals_numpy(rng):
    h = rng.normal(size=[16, 6]).astype(np.float32)
    head = built(6, mode="linear", out_dim=4, num_layers=7)
    kernel, gamma = (v.numpy() for v in head.trainable_variables)
    first, z = head(tf.constant(h), training=True)
    np.testing.assert_array_equal(first, h)
    np.testing.assert_allclose(
        z, normalized(h @ kernel, gamma), rtol=1e-3, atol=1e-4
    )


def test_no_head_is_the_identity(rng):
    h = tf.constant(rng.normal(size=[4, 6]), tf.float32)
    head = built(6, mode="none")
    (z,) = head(h, training=True)
    np.testing.assert_array_equal(z, h)
    assert not head.variables


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("rows", [1, 2, 5])
def test_call_always_returns_the_list(mode, training, rows):
    # Two rows would unpack into two by accident, were it not a list.
    head = built(6, mode=mode, out_dim=4)
    hiddens = head(tf.ones([rows, 6]), training=training)
    assert isinstance(hiddens, list)
    assert len(hiddens) == head.depth + 1
    assert [h.shape[0] for h in hiddens] == [rows] * len(hiddens)


@pytest.mark.parametrize("num_layers", [1, 3])
@pytest.mark.parametrize("index", [0, 1, -1])
def test_layers_after_are_those_without_a_gradient(rng, num_layers, index):
    head = built(6, out_dim=4, num_layers=num_layers)
    h = tf.constant(rng.normal(size=[8, 6]), tf.float32)
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(head(h, training=True)[index] ** 2)
    variables = head.trainable_variables
    gradients = tape.gradient(loss, variables)
    unused = {
        id(v) for layer in head.layers_after(index) for v in layer.variables
    }
    for variable, gradient in zip(variables, gradients, strict=True):
        assert (gradient is None) == (id(variable) in unused)


def test_initial_kernels_are_normal_with_std_one_hundredth():
    head = built(512, num_layers=3)
    kernels = [v for v in head.trainable_variables if v.shape.rank == 2]
    assert [tuple(k.shape) for k in kernels] == [
        (512, 512),
        (512, 512),
        (512, 128),
    ]
    for kernel in kernels:
        values = kernel.numpy() * 100
        error = 4 / math.sqrt(2 * values.size)
        assert abs(values.std() - 1) < error
        # Not truncated: of 65,536 draws some are past four deviations.
        assert np.abs(values).max() > 3.5
    assert np.abs(kernels[0] - kernels[1]).max() > 0.01


def test_kernels_are_a_function_of_the_seed():
    first, again, other = (
        built(6, seed=seed).get_weights()[0] for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).max() > 0.001


def test_mixed_precision_head(rng):
    h = tf.constant(rng.normal(size=[16, 6]), tf.float32)
    head = built(6, dtype="mixed_bfloat16")
    hiddens = head(h, training=True)
    # h itself is not rounded on its way to whoever selects it.
    np.testing.assert_array_equal(hiddens[0], h)
    assert [x.dtype for x in hiddens[1:]] == [tf.bfloat16, tf.float32]
    assert {v.dtype for v in head.variables} == {tf.float32}
    exact = built(6)(h, training=True)[-1]
    np.testing.assert_allclose(hiddens[-1], exact, atol=0.1)


@pytest.mark.parametrize("mode", ["linear", "nonlinear"])
@pytest.mark.parametrize("dtype", ["mixed_bfloat16", "mixed_float16"])
@pytest.mark.parametrize("training", [True, False])
def test_z_is_the_last_norms_float32_output(rng, mode, dtype, training):
    h = tf.constant(rng.normal(size=[32, 24]), tf.float32)
    head = built(24, mode=mode, out_dim=16, dtype=dtype)
    [*_, hidden, z] = head(h, training=training)
    assert z.dtype == tf.float32
    weights = {v.name: v for v in head.variables}
    name = f"projection_head/dense{head.depth}/kernel:0"
    compute = tf.as_dtype(dtype.removeprefix("mixed_"))
    x = tf.matmul(tf.cast(hidden, compute), tf.cast(weights[name], compute))
    x = x.numpy().astype(np.float64)
    want = normalized(x, 1.0) if training else x / np.sqrt(1 + EPSILON)
    np.testing.assert_allclose(z, want, rtol=1e-4, atol=1e-5)
    # Far more values than a rounding to the compute dtype leaves.
    rounded = tf.cast(tf.cast(z, compute), tf.float32)
    assert np.mean(z.numpy() != rounded.numpy()) > 0.9


def test_linear_classifier(rng):
    x = rng.normal(size=[5, 6]).astype(np.float32)
    head = LinearHead(3, seed=1, dtype="mixed_bfloat16")
    logits = head(tf.cast(x, tf.bfloat16))
    assert logits.dtype == tf.float32
    assert size_of(head.trainable_variables) == (6 + 1) * 3
    np.testing.assert_array_equal(head.bias, np.zeros(3))
    head.bias.assign([1.0, 2.0, 3.0])
    want = x @ head.kernel.numpy() + [1.0, 2.0, 3.0]
    np.testing.assert_allclose(head(tf.constant(x)), want, rtol=1e-5)


@pytest.mark.parametrize("zero_init", [True, False])
def test_linear_classifier_starts_small_or_at_zero(zero_init):
    head = LinearHead(1000, zero_init=zero_init)
    head(tf.ones([1, 64]))
    std = head.kernel.numpy().std()
    assert std == 0 if zero_init else abs(std - 0.01) < 1e-4


@pytest.mark.parametrize(
    "layer",
    [
        ProjectionHead("linear", 7, 4, 0.5, "replica", 3),
        LinearHead(5, 2, True, "probe"),
    ],
)
def test_config_round_trip(layer):
    kind = type(layer)
    twin = keras.layers.deserialize(
        keras.layers.serialize(layer), {kind.__name__: kind}
    )
    assert twin.get_config() == layer.get_config()
    inputs = tf.ones([2, 6])
    tf.nest.map_structure(
        np.testing.assert_array_equal, layer(inputs), twin(inputs)
    )


@pytest.mark.parametrize(
    "change", [{"mode": "quadratic"}, {"out_dim": 0}, {"num_layers": 0}]
)
def test_bad_values_name_their_argument(change):
    with pytest.raises(ValueError, match=f"^{min(change)} must"):
        ProjectionHead(**change)


def test_no_classes_is_an_error():
    with pytest.raises(ValueError, match="num_classes must"):
        LinearHead(0)
