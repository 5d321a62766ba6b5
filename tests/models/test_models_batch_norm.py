"""BN against NumPy in float64: outputs, gradients, moving averages."""

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras

from simclr_tf.models.batch_norm import BatchNorm

EPSILON = 1e-5
REPLICAS = 4


def oracle(x, weights, gamma, beta):
    """Of y and of loss = sum(weights * y): y, dx, dgamma, dbeta, moments."""
    x, weights = x.astype(np.float64), weights.astype(np.float64)
    axes = tuple(range(x.ndim - 1))
    mean, variance = x.mean(axes), x.var(axes)
    unit = (x - mean) / np.sqrt(variance + EPSILON)
    dgamma, dbeta = (weights * unit).sum(axes), weights.sum(axes)
    rows = x.size / x.shape[-1]
    dx = gamma / np.sqrt(variance + EPSILON)
    dx = dx * (weights - dbeta / rows - unit * dgamma / rows)
    return gamma * unit + beta, dx, dgamma, dbeta, mean, variance


def make(channels, **kwargs):
    """A layer whose gamma and beta are not 1 and 0."""
    layer = BatchNorm(**kwargs)
    layer.build([None, channels])
    for variable, start in ((layer.gamma, 0.5), (layer.beta, -1.0)):
        if variable is not None:
            variable.assign(start + np.arange(channels, dtype=np.float32) / 3)
    return layer


def step(layer, x, weights):
    """One training-mode pass: outputs and gradients of sum(weights * y)."""
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = layer(x, training=True)
        loss = tf.reduce_sum(weights * tf.cast(y, tf.float32))
    sources = [v for v in (layer.gamma, layer.beta) if v is not None]
    return y, *tape.gradient(loss, [x, *sources])


def draw(rng, shape, mean=2.0, std=3.0):
    x = rng.normal(mean, std, shape).astype(np.float32)
    return x, rng.normal(size=shape).astype(np.float32)


def moving_of_replicas(layer):
    return [
        [copy.numpy() for copy in variable.values]
        for variable in (layer.moving_mean, layer.moving_variance)
    ]


def run_on(strategy, layer, x, weights):
    """Each replica steps on its share; all results, by replica, as NumPy."""

    def share(values):
        parts = np.split(values, strategy.num_replicas_in_sync)
        return strategy.experimental_distribute_values_from_function(
            lambda context: tf.constant(parts[context.replica_id_in_sync_group])
        )

    @tf.function
    def run(x, weights):
        return strategy.run(step, args=(layer, x, weights))

    results = run(share(x), share(weights))
    return [
        np.stack([t.numpy() for t in strategy.experimental_local_results(r)])
        for r in results
    ]


@pytest.mark.parametrize("shape", [(6, 5, 3, 4), (24, 4)])
def test_training_pass_equals_numpy(rng, shape):
    x, weights = draw(rng, shape)
    layer = make(4, momentum=0.7)
    y, dx, dgamma, dbeta = step(layer, tf.constant(x), weights)
    want = oracle(x, weights, layer.gamma.numpy(), layer.beta.numpy())
    for got, expected in zip((y, dx, dgamma, dbeta), want, strict=False):
        np.testing.assert_allclose(got, expected, rtol=2e-5, atol=2e-5)
    np.testing.assert_allclose(layer.moving_mean, 0.3 * want[4], rtol=1e-5)
    np.testing.assert_allclose(
        layer.moving_variance, 0.7 + 0.3 * want[5], rtol=1e-5
    )


@pytest.mark.parametrize("shape", [(6, 5, 3, 4), (24, 4)])
@pytest.mark.parametrize(("center", "scale"), [(False, True), (True, False)])
def test_without_beta_or_gamma(rng, shape, center, scale):
    x, weights = draw(rng, shape)
    layer = make(4, center=center, scale=scale)
    gamma = layer.gamma.numpy() if scale else 1.0
    beta = layer.beta.numpy() if center else 0.0
    y, dx, dparameter = step(layer, tf.constant(x), weights)
    want = oracle(x, weights, gamma, beta)
    np.testing.assert_allclose(y, want[0], rtol=2e-5, atol=2e-5)
    np.testing.assert_allclose(dx, want[1], rtol=2e-5, atol=2e-5)
    np.testing.assert_allclose(
        dparameter, want[2] if scale else want[3], rtol=2e-5, atol=2e-5
    )


def test_fused_kernel_and_plain_formula_agree(rng):
    x, weights = draw(rng, (6, 5, 3, 4))
    fused, plain = make(4), make(4)
    images = step(fused, tf.constant(x), weights)
    rows = step(plain, tf.constant(x.reshape(-1, 4)), weights.reshape(-1, 4))
    for a, b in zip(images, rows, strict=True):
        np.testing.assert_allclose(
            tf.reshape(a, b.shape), b, rtol=1e-5, atol=1e-5
        )
    np.testing.assert_allclose(
        fused.moving_variance, plain.moving_variance, rtol=1e-6
    )


def test_one_row_has_variance_zero():
    layer = make(4)
    y = layer(tf.fill([1, 1, 1, 4], 3.0), training=True)
    np.testing.assert_allclose(y[0, 0, 0], layer.beta, atol=1e-6)
    np.testing.assert_allclose(layer.moving_variance, 0.9, rtol=1e-6)


@pytest.mark.parametrize("shape", [(8, 3, 5, 4), (24, 4)])
def test_global_groups_on_mesh_equal_one_device(rng, mesh, shape):
    x, weights = draw(rng, shape)
    alone = make(4)
    y, dx, dgamma, dbeta = step(alone, tf.constant(x), weights)
    with mesh.scope():
        layer = make(4)
    got = run_on(mesh, layer, x, weights)
    np.testing.assert_allclose(np.concatenate(got[0]), y, atol=1e-5)
    # The losses are summed over replicas, so the gradients are too, and
    # those of x hold the terms that came by way of the others' statistics.
    np.testing.assert_allclose(np.concatenate(got[1]), dx, atol=1e-5)
    np.testing.assert_allclose(got[2].sum(0), dgamma, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(got[3].sum(0), dbeta, rtol=1e-4, atol=1e-4)
    for mine, theirs in (
        (layer.moving_mean, alone.moving_mean),
        (layer.moving_variance, alone.moving_variance),
    ):
        np.testing.assert_allclose(mine.numpy(), theirs.numpy(), rtol=1e-6)


@pytest.mark.parametrize("shape", [(8, 3, 5, 4), (24, 4)])
def test_replica_groups_on_mesh_are_each_replicas_own(rng, mesh, shape):
    x, weights = draw(rng, shape)
    x[: shape[0] // REPLICAS] *= 5.0
    with mesh.scope():
        layer = make(4, groups="replica")
    got = run_on(mesh, layer, x, weights)
    gamma, beta = layer.gamma.numpy(), layer.beta.numpy()
    wanted = [
        oracle(part, weight, gamma, beta)
        for part, weight in zip(
            np.split(x, REPLICAS), np.split(weights, REPLICAS), strict=True
        )
    ]
    for r, want in enumerate(wanted):
        np.testing.assert_allclose(got[0][r], want[0], rtol=2e-5, atol=2e-5)
        np.testing.assert_allclose(got[1][r], want[1], rtol=2e-5, atol=2e-5)
    np.testing.assert_allclose(
        layer.moving_mean.numpy(),
        0.1 * np.mean([want[4] for want in wanted], axis=0),
        rtol=1e-5,
    )
    np.testing.assert_allclose(
        layer.moving_variance.numpy(),
        0.9 + 0.1 * np.mean([want[5] for want in wanted], axis=0),
        rtol=1e-5,
    )


@pytest.mark.parametrize("groups", ["global", "replica"])
def test_moving_averages_are_the_same_bits_on_every_replica(rng, mesh, groups):
    with mesh.scope():
        layer = make(64, groups=groups)
    for _ in range(2):
        run_on(mesh, layer, *draw(rng, (8, 3, 3, 64)))
    for variable, copies in zip(
        (layer.moving_mean, layer.moving_variance),
        moving_of_replicas(layer),
        strict=True,
    ):
        assert np.ptp(variable.numpy()) > 0
        for copy in copies:
            np.testing.assert_array_equal(copy, variable.numpy())


def test_reading_moving_averages_does_not_round(rng):
    # With three replicas (a + a + a) / 3 is not always a: reading a mean of
    # the copies, a checkpoint would not hold what the replicas hold.
    # (No collective may run here: the mesh's are for four.)
    strategy = tf.distribute.MirroredStrategy([f"CPU:{i}" for i in range(3)])
    with strategy.scope():
        layer = make(64)
    value = rng.normal(size=64).astype(np.float32)
    assert np.any((value + value + value) / np.float32(3) != value)

    @tf.function
    def assign():
        strategy.run(lambda: layer.moving_mean.assign(value))

    assign()
    np.testing.assert_array_equal(layer.moving_mean.numpy(), value)


def test_checkpoint_from_mesh_restores_to_the_same_bits(rng, mesh, tmp_path):
    with mesh.scope():
        layer = make(4, groups="replica")
    run_on(mesh, layer, *draw(rng, (8, 3, 5, 4)))
    path = tf.train.Checkpoint(layer=layer).write(str(tmp_path / "bn"))
    with mesh.scope():
        again = make(4, groups="replica")
    alone = make(4)
    for fresh in (again, alone):
        status = tf.train.Checkpoint(layer=fresh).read(path)
        status.assert_existing_objects_matched().expect_partial()
        np.testing.assert_array_equal(
            fresh.moving_variance.numpy(), layer.moving_variance.numpy()
        )
    assert moving_of_replicas(again)[0][3].tolist() == (
        moving_of_replicas(layer)[0][3].tolist()
    )


@pytest.mark.parametrize("where", ["images, one device", "rows", "mesh"])
def test_variance_survives_a_large_mean(rng, mesh, where):
    mean = 300.0
    x, weights = draw(rng, (64, 8, 8, 4), mean, 1.0)
    axes = (0, 1, 2)
    naive = (x * x).mean(axes) - x.mean(axes) ** 2
    want = x.astype(np.float64).var(axes)
    assert np.abs(naive / want - 1).max() > 1e-3
    if where == "mesh":
        with mesh.scope():
            layer = make(4, momentum=0.0)
        # The first step finds the mean, and its variance may be as rough as
        # the naive one; the second step's is not.
        run_on(mesh, layer, x, weights)
        run_on(mesh, layer, x, weights)
    else:
        layer = make(4, momentum=0.0)
        rows = x if where.startswith("images") else x.reshape(-1, 4)
        layer(tf.constant(rows), training=True)
    np.testing.assert_allclose(layer.moving_variance.numpy(), want, rtol=2e-5)


def test_mesh_survives_a_large_mean_at_its_first_step(rng, mesh):
    x, weights = draw(rng, (64, 8, 8, 4), 30.0, 1.0)
    with mesh.scope():
        layer = make(4, momentum=0.0)
    run_on(mesh, layer, x, weights)
    np.testing.assert_allclose(
        layer.moving_variance.numpy(),
        x.astype(np.float64).var((0, 1, 2)),
        rtol=2e-3,
    )


@pytest.mark.parametrize("shape", [(8, 6, 6, 4), (64, 4)])
def test_bfloat16_keeps_float32_statistics(rng, shape):
    x, weights = draw(rng, shape)
    x = tf.cast(x, tf.bfloat16)
    layer = make(4, dtype="mixed_bfloat16", momentum=0.0)
    y, dx, dgamma, dbeta = step(layer, x, weights)
    assert {v.dtype for v in layer.variables} == {tf.float32}
    assert (y.dtype, dx.dtype) == (tf.bfloat16, tf.bfloat16)
    assert (dgamma.dtype, dbeta.dtype) == (tf.float32, tf.float32)
    exact = tf.cast(x, tf.float32).numpy()
    want = oracle(exact, weights, layer.gamma.numpy(), layer.beta.numpy())
    np.testing.assert_allclose(layer.moving_mean, want[4], rtol=1e-5)
    np.testing.assert_allclose(layer.moving_variance, want[5], rtol=1e-5)
    np.testing.assert_allclose(
        tf.cast(y, tf.float32), want[0], rtol=2**-8, atol=2**-8
    )
    np.testing.assert_allclose(
        tf.cast(dx, tf.float32), want[1], rtol=2**-6, atol=2**-8
    )


@pytest.mark.parametrize("shape", [(8, 6, 6, 4), (64, 4)])
@pytest.mark.parametrize("training", [False, None])
def test_inference_uses_the_moving_averages(rng, shape, training):
    x, weights = draw(rng, shape)
    layer = make(4, momentum=0.0)
    step(layer, tf.constant(x), weights)
    mean, variance = layer.moving_mean.numpy(), layer.moving_variance.numpy()
    other, _ = draw(rng, shape, mean=-1.0)
    want = (other - mean) / np.sqrt(variance + EPSILON)
    want = layer.gamma.numpy() * want + layer.beta.numpy()
    got = layer(tf.constant(other), training=training)
    np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(layer.moving_mean, mean)
    np.testing.assert_array_equal(layer.moving_variance, variance)


@pytest.mark.parametrize("shape", [(8, 6, 6, 4), (64, 4)])
def test_frozen_layer_ignores_training(rng, shape):
    x, weights = draw(rng, shape)
    layer = make(4)
    step(layer, tf.constant(x), weights)
    before = [v.numpy() for v in layer.variables]
    layer.trainable = False
    assert not layer.trainable_variables
    frozen = layer(tf.constant(x), training=True)
    np.testing.assert_array_equal(frozen, layer(x, training=False))
    for variable, value in zip(layer.variables, before, strict=True):
        np.testing.assert_array_equal(variable, value)
    layer.trainable = True
    assert np.abs(layer(x, training=True) - frozen).max() > 0.1


@pytest.mark.parametrize("dtype", ["float32", "mixed_bfloat16"])
@pytest.mark.parametrize("shape", [(8, 6, 6, 4), (64, 4)])
def test_lowers_to_xla(rng, shape, dtype):
    x, weights = draw(rng, shape)
    executor, compiled = make(4, dtype=dtype), make(4, dtype=dtype)
    want = step(executor, tf.constant(x), weights)
    got = tf.function(step, jit_compile=True)(compiled, tf.constant(x), weights)
    tolerance = 2e-5 if dtype == "float32" else 2e-2
    for a, b in zip(got, want, strict=True):
        np.testing.assert_allclose(
            tf.cast(a, tf.float32),
            tf.cast(b, tf.float32),
            rtol=tolerance,
            atol=tolerance,
        )
    np.testing.assert_allclose(
        compiled.moving_variance, executor.moving_variance, rtol=1e-5
    )


def test_config_round_trip():
    layer = BatchNorm(0.5, 1e-3, False, True, "zeros", "replica", name="bn")
    config = layer.get_config()
    twin = keras.layers.deserialize(
        keras.layers.serialize(layer), {"BatchNorm": BatchNorm}
    )
    assert twin.get_config() == config
    twin.build([None, 3])
    assert twin.beta is None
    np.testing.assert_array_equal(twin.gamma, np.zeros(3))


def test_bad_arguments_are_named():
    with pytest.raises(ValueError, match="groups must be one of"):
        BatchNorm(groups="galaxy")
    with pytest.raises(ValueError, match=r"^momentum must"):
        BatchNorm(momentum=1.5)
