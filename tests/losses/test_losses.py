"""NT-Xent against Algorithm 1 written as loops, and against closed forms."""

import functools
import math

import numpy as np
import pytest
import tensorflow as tf

from simclr_tf import losses


def algorithm_1(z_a, z_b, temperature, normalise=True):
    """The paper's Algorithm 1 in float64, loops and all.

    Returns the official scale (twice the paper's mean over 2N rows), the
    accuracy and the entropy over the 2N - 1 candidates.
    """
    pairs = len(z_a)
    z = np.empty((2 * pairs, z_a.shape[1]))
    z[0::2], z[1::2] = z_a, z_b
    if normalise:
        z /= np.linalg.norm(z, axis=1, keepdims=True)
    total, hits, entropy = 0.0, 0, 0.0
    for i in range(2 * pairs):
        j = i + 1 if i % 2 == 0 else i - 1
        s = {k: z[i] @ z[k] / temperature for k in range(2 * pairs) if k != i}
        top = max(s.values())
        log_sum = top + math.log(sum(math.exp(v - top) for v in s.values()))
        total += log_sum - s[j]
        hits += max(s, key=s.get) == j
        entropy -= sum(
            math.exp(v - log_sum) * (v - log_sum) for v in s.values()
        )
    rows = 2 * pairs
    return 2 * total / rows, hits / rows, entropy / rows


def numeric_gradient(function, x, epsilon=1e-6):
    gradient = np.zeros_like(x)
    for index in np.ndindex(*x.shape):
        step = np.zeros_like(x)
        step[index] = epsilon
        gradient[index] = (function(x + step) - function(x - step)) / (
            2 * epsilon
        )
    return gradient


@pytest.fixture(params=[(2, 3), (4, 8), (7, 5)], ids=str)
def views(request, rng):
    pairs, dim = request.param
    z_a = rng.normal(size=(pairs, dim))
    return z_a, z_a + 0.5 * rng.normal(size=(pairs, dim))


@pytest.mark.parametrize("temperature", [0.05, 0.1, 0.5, 1.0, 10.0])
@pytest.mark.parametrize("hidden_norm", [True, False])
def test_value_is_algorithm_1(views, temperature, hidden_norm):
    z_a, z_b = views
    out = losses.nt_xent(
        tf.constant(z_a, tf.float32),
        tf.constant(z_b, tf.float32),
        temperature=temperature,
        hidden_norm=hidden_norm,
    )
    loss, accuracy, entropy = algorithm_1(z_a, z_b, temperature, hidden_norm)
    np.testing.assert_allclose(out.loss, loss, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(out.accuracy, accuracy)
    np.testing.assert_allclose(out.entropy, entropy, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("temperature", [0.1, 0.5])
@pytest.mark.parametrize("hidden_norm", [True, False])
def test_gradient_is_algorithm_1s(views, temperature, hidden_norm):
    z_a, z_b = views
    a, b = (tf.Variable(z, dtype=tf.float32) for z in views)
    with tf.GradientTape() as tape:
        loss = losses.nt_xent(
            a, b, temperature=temperature, hidden_norm=hidden_norm
        ).loss
    found = tape.gradient(loss, [a, b])
    expected = [
        numeric_gradient(
            lambda x: algorithm_1(x, z_b, temperature, hidden_norm)[0], z_a
        ),
        numeric_gradient(
            lambda x: algorithm_1(z_a, x, temperature, hidden_norm)[0], z_b
        ),
    ]
    scale = max(np.abs(e).max() for e in expected)
    for mine, reference in zip(found, expected, strict=True):
        assert np.abs(mine - reference).max() < 1e-5 * max(scale, 1)


def test_equal_embeddings_give_log_of_candidates():
    """Nothing to tell apart: every anchor pays log(2N - 1)."""
    z = tf.ones([8, 4])
    out = losses.nt_xent(z, z, temperature=0.1)
    np.testing.assert_allclose(out.loss, 2 * math.log(15), rtol=1e-6)
    np.testing.assert_allclose(out.entropy, math.log(15), rtol=1e-5)


def test_perfect_pairs_among_orthogonal_ones():
    """Closed form: each positive at 1, the other 2N - 2 candidates at 0."""
    z = tf.eye(8)
    out = losses.nt_xent(z, z, temperature=0.5)
    expected = 2 * math.log(1 + 14 * math.exp(-2))
    np.testing.assert_allclose(out.loss, expected, rtol=1e-6)
    assert out.accuracy == 1.0


def test_swapping_views_and_permuting_examples_changes_nothing(views, rng):
    z_a, z_b = (tf.constant(z, tf.float32) for z in views)
    order = rng.permutation(len(z_a))
    plain = losses.nt_xent(z_a, z_b, temperature=0.2)
    for other in (
        losses.nt_xent(z_b, z_a, temperature=0.2),
        losses.nt_xent(
            tf.gather(z_a, order), tf.gather(z_b, order), temperature=0.2
        ),
    ):
        np.testing.assert_allclose(other, plain, rtol=1e-5)


def test_hidden_norm_ignores_length(views):
    z_a, z_b = (tf.constant(z, tf.float32) for z in views)
    np.testing.assert_allclose(
        losses.nt_xent(3 * z_a, 7 * z_b, temperature=0.2),
        losses.nt_xent(z_a, z_b, temperature=0.2),
        rtol=1e-5,
    )


def test_half_precision_input_is_computed_in_float32(views):
    z_a, z_b = (tf.cast(tf.constant(z), tf.bfloat16) for z in views)
    out = losses.nt_xent(z_a, z_b, temperature=0.1)
    same = losses.nt_xent(
        tf.cast(z_a, tf.float32), tf.cast(z_b, tf.float32), temperature=0.1
    )
    assert out.loss.dtype == tf.float32
    np.testing.assert_array_equal(out, same)


def _on_replicas(strategy, z_a, z_b, temperature):
    """Loss summed over replicas, its gradient, and the metrics' means."""
    replicas = strategy.num_replicas_in_sync
    per_replica = len(z_a) // replicas

    def own_rows(z):
        return strategy.experimental_distribute_values_from_function(
            lambda c: tf.constant(
                z[c.replica_id_in_sync_group * per_replica :][:per_replica],
                tf.float32,
            )
        )

    def step(a, b):
        with tf.GradientTape() as tape:
            tape.watch([a, b])
            out = losses.nt_xent(a, b, temperature=temperature)
        return out, tape.gradient(out.loss, [a, b])

    out, gradients = tf.function(lambda a, b: strategy.run(step, args=(a, b)))(
        own_rows(z_a), own_rows(z_b)
    )
    local = strategy.experimental_local_results
    return (
        sum(local(out.loss)),
        [np.concatenate(local(g)) for g in gradients],
        np.mean(local(out.accuracy)),
        np.mean(local(out.entropy)),
    )


def test_replicas_equal_one_device(mesh, rng):
    """Four replicas of 3 rows are one device with 12, gradient included.

    The loss must be summed over replicas and the gradient not rescaled: this
    is where implementations have been silently wrong.
    """
    z_a, z_b = rng.normal(size=(2, 12, 6))
    loss, gradients, accuracy, entropy = _on_replicas(mesh, z_a, z_b, 0.1)

    a, b = (tf.Variable(z, dtype=tf.float32) for z in (z_a, z_b))
    with tf.GradientTape() as tape:
        whole = losses.nt_xent(a, b, temperature=0.1)
    np.testing.assert_allclose(loss, whole.loss, rtol=1e-6)
    np.testing.assert_allclose(accuracy, whole.accuracy, rtol=1e-6)
    np.testing.assert_allclose(entropy, whole.entropy, rtol=1e-5)
    for mine, reference in zip(
        gradients, tape.gradient(whole.loss, [a, b]), strict=True
    ):
        np.testing.assert_allclose(mine, reference, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("temperature", [0, -0.5])
def test_temperature_must_be_positive(temperature):
    z = tf.ones([2, 2])
    with pytest.raises(ValueError, match=r"^temperature must"):
        losses.nt_xent(z, z, temperature=temperature)


def test_shapes_must_agree():
    with pytest.raises(ValueError, match="must both be"):
        losses.nt_xent(tf.ones([2, 3]), tf.ones([3, 3]), temperature=1.0)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize("kind", [np.asarray, np.ndarray.tolist, tf.constant])
def test_numpy_arrays_and_lists_are_taken(rng, kind, dtype):
    """By every function of the package, with the results of tensors."""
    z_a, z_b = rng.normal(size=(2, 6, 4)).astype(dtype)
    one, several = rng.integers(-1, 4, size=6), rng.integers(-1, 2, size=(6, 4))
    arguments = {
        losses.nt_xent: [(z_a, z_b)],
        losses.nt_logistic: [(z_a, z_b)],
        losses.margin_triplet: [(z_a, z_b)],
        losses.distillation: [(z_a, z_b)],
        losses.softmax_cross_entropy: [(z_a, one)],
        losses.binary_cross_entropies: [(z_a, several)],
        losses.cross_entropy: [(z_a, one), (z_a, several)],
        losses.accuracy: [(z_a, one), (z_a, several)],
    }
    public = {getattr(losses, name) for name in losses.__all__}
    assert arguments.keys() == public - {losses.NtXent, losses.Triplets}
    options = {
        losses.nt_xent: {"temperature": 0.1},
        losses.nt_logistic: {"temperature": 0.1},
        losses.margin_triplet: {"margin": 0.5},
        losses.distillation: {"temperature": 0.1},
    }
    for function, calls in arguments.items():
        function = functools.partial(function, **options.get(function, {}))
        for scores, other in calls:
            if other.dtype == scores.dtype:
                exact = tf.constant(other, tf.float32)
            else:
                exact = tf.constant(other)
            want = function(tf.constant(scores, tf.float32), exact)
            got = function(kind(scores), kind(other))
            np.testing.assert_allclose(got, want, rtol=1e-6, atol=1e-7)


def test_cross_entropy_closed_form():
    logits = tf.math.log([[0.7, 0.2, 0.1], [0.1, 0.1, 0.8]])
    loss = losses.softmax_cross_entropy(logits, tf.constant([0, 2]))
    expected = -(math.log(0.7) + math.log(0.8)) / 2
    np.testing.assert_allclose(loss, expected, rtol=1e-6)


def test_unlabelled_rows_count_for_nothing():
    """As on STL-10, where the unlabelled split says -1."""
    logits = tf.math.log([[0.7, 0.3], [0.5, 0.5], [0.1, 0.9]])
    labels = tf.constant([0, -1, 0])
    loss = losses.softmax_cross_entropy(logits, labels)
    expected = -(math.log(0.7) + math.log(0.1)) / 2
    np.testing.assert_allclose(loss, expected, rtol=1e-6)
    assert losses.accuracy(logits, labels) == 0.5
    none = tf.constant([-1, -1, -1])
    assert losses.softmax_cross_entropy(logits, none) == 0.0
    assert losses.accuracy(logits, none) == 0.0


def test_cross_entropy_shares_add_up_over_replicas(mesh):
    """Labelled rows spread unevenly: the mean is still over all of them."""
    logits = tf.math.log([[0.7, 0.3], [0.2, 0.8], [0.5, 0.5], [0.6, 0.4]])
    labels = tf.constant([0, 0, -1, 1])

    def own(x):
        return mesh.experimental_distribute_values_from_function(
            lambda c: x[c.replica_id_in_sync_group :][:1]
        )

    shares = tf.function(
        lambda a, b: mesh.run(losses.softmax_cross_entropy, args=(a, b))
    )(own(logits), own(labels))
    np.testing.assert_allclose(
        sum(mesh.experimental_local_results(shares)),
        losses.softmax_cross_entropy(logits, labels),
        rtol=1e-6,
    )
