"""The losses of the paper's Table 2, as loops over anchors in float64."""

import functools
import math

import numpy as np
import pytest
import tensorflow as tf

from simclr_tf import losses
from simclr_tf.losses import named
from tests.losses.test_losses import numeric_gradient

TAU, MARGIN = 0.5, 0.4
KINDS = {
    "nt_xent": {"name": "nt_xent"},
    "nt_logistic": {"name": "nt_logistic"},
    "nt_logistic (sh)": {"name": "nt_logistic", "semi_hard": True},
    "margin": {"name": "margin_triplet"},
    "margin (sh)": {"name": "margin_triplet", "semi_hard": True},
}


def contrast(kind, negative_views, **changes):
    """What --loss makes, by the name of a row of Table 4."""
    options = {
        "temperature": TAU,
        "margin": MARGIN,
        "semi_hard": False,
        "negative_views": negative_views,
        "hidden_norm": True,
    }
    return named.contrast(**options | KINDS[kind] | changes)


def sigmoid(x):
    return 1 / (1 + math.exp(-x))


def pays(kind, positive, negatives):
    """What an anchor pays, and its derivatives by u.v+ and each u.v-: the
    factors of v+ and v- in the gradients of Table 2, with the sign turned."""
    if kind == "nt_xent":
        z = sum(math.exp(s / TAU) for s in [positive, *negatives])
        by_negatives = [math.exp(s / TAU) / z / TAU for s in negatives]
        p = math.exp(positive / TAU) / z
        return -math.log(p), -(1 - p) / TAU, by_negatives
    if "logistic" in kind:
        paid = [
            -math.log(sigmoid(positive / TAU)) - math.log(sigmoid(-s / TAU))
            for s in negatives
        ]
        by_positive = [-sigmoid(-positive / TAU) / TAU for _ in negatives]
        by_negatives = [sigmoid(s / TAU) / TAU for s in negatives]
    else:
        paid = [max(s - positive + MARGIN, 0) for s in negatives]
        within = [positive - s < MARGIN for s in negatives]
        by_positive = [-1.0 if w else 0.0 for w in within]
        by_negatives = [1.0 if w else 0.0 for w in within]
    count = max(len(negatives), 1)
    return (
        sum(paid) / count,
        sum(by_positive) / count,
        [each / count for each in by_negatives],
    )


def table_2(z_a, z_b, kind, negative_views, normalise=True):
    """Loss, its gradient by the normalised rows float64[2, N, d], accuracy."""
    z = np.concatenate([z_a, z_b])
    if normalise:
        z = z / np.linalg.norm(z, axis=1, keepdims=True)
    rows, half = len(z), len(z_a)
    total, hits, gradient = 0.0, 0, np.zeros_like(z)
    for i in range(rows):
        j = (i + half) % rows
        others = [k for k in range(rows) if k not in (i, j)]
        if negative_views == "other":
            others = [k for k in others if k // half == j // half]
        s = {k: z[i] @ z[k] for k in [j, *others]}
        hits += all(s[j] > s[k] for k in others)
        if "sh" in kind:
            fit = [k for k in others if s[j] - MARGIN < s[k] < s[j]]
            others = [max(fit, key=s.get)] if fit else []
        paid, by_positive, by_negatives = pays(
            kind, s[j], [s[k] for k in others]
        )
        total += paid
        for k, factor in [
            (j, by_positive),
            *zip(others, by_negatives, strict=True),
        ]:
            gradient[i] += factor * z[k]  # Table 2's row
            gradient[k] += factor * z[i]
    gradient *= 2 / rows
    return 2 * total / rows, gradient.reshape(2, half, -1), hits / rows


def value_and_gradient(loss, z_a, z_b):
    a, b = (tf.convert_to_tensor(z, tf.float32) for z in (z_a, z_b))
    with tf.GradientTape() as tape:
        tape.watch([a, b])
        out = loss(a, b)
        # Not 1, so that an upstream gradient that got lost would show.
        scaled = 3.0 * out.loss
    return out, [g / 3.0 for g in tape.gradient(scaled, [a, b])]


@pytest.fixture(params=[(2, 3), (4, 8), (7, 5)], ids=str)
def views(request, rng):
    pairs, dim = request.param
    z_a = rng.normal(size=(pairs, dim))
    return z_a, z_a + 0.8 * rng.normal(size=(pairs, dim))


@pytest.mark.parametrize("negative_views", ["both", "other"])
@pytest.mark.parametrize("kind", KINDS)
def test_value_and_gradient_are_table_2s(views, kind, negative_views):
    """Of normalised rows, through which no gradient is taken there."""
    views = [z / np.linalg.norm(z, axis=1, keepdims=True) for z in views]
    loss = contrast(kind, negative_views, hidden_norm=False)
    out, found = value_and_gradient(loss, *views)
    value, gradient, accuracy = table_2(*views, kind, negative_views)
    np.testing.assert_allclose(out.loss, value, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(out.accuracy, accuracy)
    for mine, reference in zip(found, gradient, strict=True):
        np.testing.assert_allclose(mine, reference, atol=1e-5)


@pytest.mark.parametrize("negative_views", ["both", "other"])
@pytest.mark.parametrize("kind", KINDS)
def test_the_gradient_goes_through_the_norm(rng, kind, negative_views):
    z_a, z_b = rng.normal(size=(2, 4, 6))
    loss = contrast(kind, negative_views)
    out, found = value_and_gradient(loss, z_a, z_b)
    of = functools.partial(table_2, kind=kind, negative_views=negative_views)
    np.testing.assert_allclose(out.loss, of(z_a, z_b)[0], rtol=1e-5, atol=1e-5)
    expected = [
        numeric_gradient(lambda x: of(x, z_b)[0], z_a),
        numeric_gradient(lambda x: of(z_a, x)[0], z_b),
    ]
    for mine, reference in zip(found, expected, strict=True):
        np.testing.assert_allclose(mine, reference, atol=1e-5)


@pytest.mark.parametrize(
    ("how", "negative_views", "tile_rows"),
    [("eager", "both", 1), ("eager", "other", 5), ("xla", "both", 5)],
)
@pytest.mark.parametrize("kind", KINDS)
def test_tiles_equal_all_at_once(rng, kind, how, negative_views, tile_rows):
    """Tiles of one row, and of rows that do not divide the batch."""
    z_a = rng.normal(size=(9, 6))
    z_b = z_a + 0.8 * rng.normal(size=(9, 6))
    loss = contrast(kind, negative_views)
    step = functools.partial(
        value_and_gradient, functools.partial(loss, max_logits=18 * tile_rows)
    )
    if how == "xla":
        step = tf.function(step, jit_compile=True)
    out, found = step(*(tf.constant(z, tf.float32) for z in (z_a, z_b)))
    want, expected = value_and_gradient(loss, z_a, z_b)
    np.testing.assert_allclose(out, want, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(found, expected, atol=1e-6)


def check_replicas(strategy, rng, every):
    """The strategy's replicas of 12 rows are one device with them: losses,
    measures and gradients.

    Args:
        every: losses, all traced into one program.
    """
    z_a = rng.normal(size=(12, 6))
    z_b = z_a + 0.8 * rng.normal(size=(12, 6))
    size = 12 // strategy.num_replicas_in_sync

    def own(z):
        return strategy.experimental_distribute_values_from_function(
            lambda c: tf.constant(
                z[c.replica_id_in_sync_group * size :][:size], tf.float32
            )
        )

    def step(a, b):
        return [value_and_gradient(loss, a, b) for loss in every]

    results = tf.function(lambda a, b: strategy.run(step, (a, b)))(
        own(z_a), own(z_b)
    )
    local = strategy.experimental_local_results
    for loss, (out, gradients) in zip(every, results, strict=True):
        want, expected = value_and_gradient(loss, z_a, z_b)
        np.testing.assert_allclose(sum(local(out.loss)), want.loss, rtol=1e-5)
        for mine, reference in zip(out[1:], want[1:], strict=True):
            mean = np.mean(local(mine))
            np.testing.assert_allclose(mean, reference, rtol=1e-5)
        for mine, reference in zip(gradients, expected, strict=True):
            joined = np.concatenate(local(mine))
            np.testing.assert_allclose(joined, reference, atol=1e-6)


def test_replicas_equal_one_device(mesh, rng):
    """In whole runs, on 2 and 4: tests/train/test_train_replicas.py."""
    check_replicas(mesh, rng, [contrast("nt_logistic (sh)", "both")])


@pytest.mark.slow
def test_replicas_equal_one_device_with_every_loss(mesh, rng):
    """With either choice of negatives; and one in tiles."""
    every = [contrast(k, v) for k in KINDS for v in ("both", "other")]
    tiled = functools.partial(every[5], max_logits=48)
    check_replicas(mesh, rng, [*every[1:], tiled])


def test_semi_hard_is_the_closest_that_is_farther_than_the_positive():
    """An anchor whose similarities are written down: 0.5 of its positive, and
    0.6, 0.4, 0.3, 0.0 of negatives, of which 0.4 is the one."""
    others = np.array([0.6, 0.4, 0.3, 0.0])
    z_b = np.zeros((5, 6))
    z_b[0, 0] = 0.5
    z_b[1:, 0] = others
    z_a = np.zeros((5, 6))
    z_a[0, 0] = 1.0
    loss = contrast("margin (sh)", "other", hidden_norm=False)
    out, (by_a, _) = value_and_gradient(loss, z_a, z_b)
    # The other anchors have a positive of 0 and negatives of 0, or 0 and more.
    np.testing.assert_allclose(out.loss, (0.4 - 0.5 + MARGIN) / 5, rtol=1e-6)
    np.testing.assert_allclose(by_a[0, 0], (0.4 - 0.5) / 5, rtol=1e-5)
    np.testing.assert_allclose(out.active, 1 / 10)


@pytest.mark.parametrize("kind", ["margin (sh)", "nt_logistic (sh)"])
def test_without_a_semi_hard_negative_nothing_is_paid(kind):
    """Pairs that agree among orthogonal ones: all are beyond the margin."""
    out, gradients = value_and_gradient(
        contrast(kind, "both"), np.eye(4), np.eye(4)
    )
    assert out.loss == 0.0 and out.active == 0.0 and out.accuracy == 1.0
    np.testing.assert_array_equal(gradients, np.zeros((2, 4, 4)))


def test_closed_forms_of_equal_embeddings():
    """Nothing to tell apart: every triplet pays the margin, or both sides."""
    z = np.ones((8, 4))
    out, _ = value_and_gradient(contrast("margin", "both"), z, z)
    np.testing.assert_allclose(out.loss, 2 * MARGIN, rtol=1e-6)
    assert out.active == 1.0
    out, _ = value_and_gradient(contrast("nt_logistic", "both"), z, z)
    both = -math.log(sigmoid(1 / TAU)) - math.log(sigmoid(-1 / TAU))
    np.testing.assert_allclose(out.loss, 2 * both, rtol=1e-6)
    out, _ = value_and_gradient(contrast("nt_xent", "other"), z, z)
    np.testing.assert_allclose(out.loss, 2 * math.log(8), rtol=1e-6)
    np.testing.assert_allclose(out.entropy, math.log(8), rtol=1e-5)


def test_no_tensor_is_larger_than_a_tile():
    rows, limit = 300, 3000

    @tf.function
    def step(a, b):
        loss = contrast("nt_logistic", "both")
        return value_and_gradient(
            functools.partial(loss, max_logits=limit), a, b
        )[1]

    spec = tf.TensorSpec([rows, 4], tf.float32)
    graph = step.get_concrete_function(spec, spec).graph
    graphs = [graph, *(f.graph for f in graph._functions.values())]
    largest = max(
        output.shape.num_elements() or 0
        for g in graphs
        for op in g.get_operations()
        for output in op.outputs
        if output.shape.rank is not None
    )
    assert largest <= max(limit, 2 * rows * 4 * 2)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        ({"temperature": 0.0}, r"^temperature must.*0\.0"),
        ({"semi_hard_margin": 0.0, "temperature": 1.0}, r"semi-hard.*0\.0"),
        ({"negative_views": "one", "temperature": 1.0}, "'one'"),
        ({"max_logits": 0, "temperature": 1.0}, "max_logits must"),
    ],
)
def test_arguments_that_make_no_loss_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        losses.nt_logistic(tf.ones([2, 2]), tf.ones([2, 2]), **call)


def test_a_margin_may_be_nothing_but_not_negative():
    z = tf.ones([2, 2])
    assert losses.margin_triplet(z, z, margin=0.0).loss == 0.0
    with pytest.raises(ValueError, match=r"^margin must"):
        losses.margin_triplet(z, z, margin=-0.1)
    with pytest.raises(ValueError, match="semi-hard"):
        losses.margin_triplet(z, z, margin=0.0, semi_hard=True)
