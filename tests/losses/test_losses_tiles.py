"""NT-Xent in tiles against NT-Xent with all logits at once."""

import math

import numpy as np
import pytest
import tensorflow as tf

from simclr_tf import losses
from tests.losses.test_losses import algorithm_1

ALL_AT_ONCE = 2**40


def value_and_gradient(z_a, z_b, max_logits, **options):
    a, b = (tf.convert_to_tensor(z, tf.float32) for z in (z_a, z_b))
    with tf.GradientTape() as tape:
        tape.watch([a, b])
        out = losses.nt_xent(
            a, b, max_logits=max_logits, **{"temperature": 0.1, **options}
        )
        # Not 1, so that an upstream gradient that got lost would show.
        scaled = 3.0 * out.loss
    return out, tape.gradient(scaled, [a, b])


def draw(rng, pairs, dim=6):
    z_a = rng.normal(size=(pairs, dim))
    return z_a, z_a + 0.5 * rng.normal(size=(pairs, dim))


def assert_same(got, want):
    """Value to 1e-5; gradient to 1e-4 of its largest entry."""
    np.testing.assert_allclose(got[0].loss, want[0].loss, rtol=1e-5)
    np.testing.assert_allclose(got[0].accuracy, want[0].accuracy)
    np.testing.assert_allclose(
        got[0].entropy, want[0].entropy, rtol=1e-4, atol=1e-5
    )
    for mine, reference in zip(got[1], want[1], strict=True):
        scale = np.abs(reference).max()
        assert np.abs(mine - reference).max() < 1e-4 * scale


# Tiles of one row, of rows that do not divide the batch, and one tile.
@pytest.mark.parametrize("tile_rows", [1, 5, 16])
@pytest.mark.parametrize("how", ["eager", "graph", "xla"])
def test_tiles_equal_all_logits_at_once(rng, tile_rows, how):
    z_a, z_b = draw(rng, 17)
    step = value_and_gradient
    if how != "eager":
        step = tf.function(step, jit_compile=how == "xla")
    got = step(
        tf.constant(z_a, tf.float32),
        tf.constant(z_b, tf.float32),
        tile_rows * 34,
    )
    assert_same(got, value_and_gradient(z_a, z_b, ALL_AT_ONCE))


@pytest.mark.parametrize(
    "options",
    [
        {"temperature": 0.01},  # exp of an anchor's own logit overflows
        {"temperature": 10.0},
        {"hidden_norm": False, "temperature": 1.0},
    ],
    ids=str,
)
def test_tiles_equal_all_logits_at_once_under_every_option(rng, options):
    z_a, z_b = draw(rng, 9)
    assert_same(
        value_and_gradient(z_a, z_b, 40, **options),
        value_and_gradient(z_a, z_b, ALL_AT_ONCE, **options),
    )


def test_tiles_equal_algorithm_1(rng):
    z_a, z_b = draw(rng, 7)
    out, _ = value_and_gradient(z_a, z_b, 30)
    loss, accuracy, entropy = algorithm_1(z_a, z_b, 0.1)
    np.testing.assert_allclose(out.loss, loss, rtol=1e-5)
    np.testing.assert_allclose(out.accuracy, accuracy)
    np.testing.assert_allclose(out.entropy, entropy, rtol=1e-4)


def test_collapse_is_no_success():
    """Where every candidate is as good, the positive has not won."""
    z = np.ones((8, 4))
    out, _ = value_and_gradient(z, z, 32)
    np.testing.assert_allclose(out.loss, 2 * math.log(15), rtol=1e-6)
    assert out.accuracy <= 1 / 8


def test_replicas_with_tiles_equal_one_device_without(mesh, rng):
    z_a, z_b = draw(rng, 20)

    def own(z):
        return mesh.experimental_distribute_values_from_function(
            lambda c: tf.constant(
                z[c.replica_id_in_sync_group * 5 :][:5], tf.float32
            )
        )

    # 5 rows against 40 candidates on each replica, 2 rows a tile.
    out, gradients = tf.function(
        lambda a, b: mesh.run(value_and_gradient, args=(a, b, 80))
    )(own(z_a), own(z_b))
    local = mesh.experimental_local_results
    whole = losses.NtXent(
        sum(local(out.loss)),
        np.mean(local(out.accuracy)),
        np.mean(local(out.entropy)),
    )
    joined = [np.concatenate(local(g)) for g in gradients]
    assert_same((whole, joined), value_and_gradient(z_a, z_b, ALL_AT_ONCE))


def largest_tensor(rows, **options):
    """Elements of the largest tensor in the graph of loss and gradient."""

    @tf.function
    def step(a, b):
        with tf.GradientTape() as tape:
            tape.watch([a, b])
            loss = losses.nt_xent(a, b, temperature=0.1, **options).loss
        return tape.gradient(loss, [a, b])

    spec = tf.TensorSpec([rows, 4], tf.float32)
    graph = step.get_concrete_function(spec, spec).graph
    bodies = [f.graph for f in graph._functions.values()]
    return max(
        output.shape.num_elements() or 0
        for g in [graph, *bodies]
        for op in g.get_operations()
        for output in op.outputs
        if output.shape.rank is not None
    )


def test_no_tensor_is_larger_than_a_tile():
    """Loops included; and without a word, a large batch goes in tiles."""
    rows = 300
    assert largest_tensor(rows, max_logits=ALL_AT_ONCE) == rows * 2 * rows
    assert largest_tensor(rows, max_logits=2 * rows * 10) == 2 * rows * 10
    huge = 65536
    assert largest_tensor(huge) == 2**24


def test_max_logits_must_be_positive():
    with pytest.raises(ValueError, match="max_logits"):
        losses.nt_xent(
            tf.ones([2, 2]), tf.ones([2, 2]), temperature=1, max_logits=0
        )
