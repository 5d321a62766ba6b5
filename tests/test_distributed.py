"""Rows, sums and their gradients across replicas."""

from concurrent import futures

import numpy as np
import tensorflow as tf

from simclr_tf import distributed


def _per_replica(strategy, function):
    return strategy.experimental_distribute_values_from_function(
        lambda context: function(context.replica_id_in_sync_group)
    )


def test_outside_a_strategy_everything_is_the_identity():
    x = tf.constant([[1.0, 2.0]])
    assert distributed.num_replicas() == 1
    assert distributed.replica_index() == 0
    assert distributed.all_gather_rows(x) is x
    assert distributed.all_reduce_sum(x) is x
    assert distributed.all_reduce_mean(x) is x


def test_rows_arrive_in_replica_order_everywhere(mesh):
    rows = _per_replica(mesh, lambda r: tf.fill([2, 3], float(r)))

    def step(own):
        index = distributed.replica_index()
        return distributed.all_gather_rows(own), index

    gathered, index = tf.function(lambda x: mesh.run(step, args=(x,)))(rows)
    replicas = mesh.num_replicas_in_sync
    expected = np.repeat(np.arange(replicas), 2)[:, None] * np.ones(3)
    for r, (mine, place) in enumerate(
        zip(
            mesh.experimental_local_results(gathered),
            mesh.experimental_local_results(index),
            strict=True,
        )
    ):
        np.testing.assert_array_equal(mine, expected)
        assert place == r


def test_gather_gradient_sums_over_replicas(mesh):
    """Replica r weighs all rows by r + 1: each row's gradient is 1+2+3+4."""
    rows = _per_replica(mesh, lambda r: tf.ones([2, 3]))

    def step(own):
        with tf.GradientTape() as tape:
            tape.watch(own)
            weight = tf.cast(distributed.replica_index() + 1, tf.float32)
            loss = weight * tf.reduce_sum(distributed.all_gather_rows(own))
        return tape.gradient(loss, own)

    gradients = tf.function(lambda x: mesh.run(step, args=(x,)))(rows)
    for gradient in mesh.experimental_local_results(gradients):
        np.testing.assert_array_equal(gradient, np.full([2, 3], 10.0))


def test_reductions_and_their_gradients(mesh):
    values = _per_replica(mesh, lambda r: tf.constant(float(r)))

    def step(own):
        with tf.GradientTape(persistent=True) as tape:
            tape.watch(own)
            total = distributed.all_reduce_sum(own)
            mean = distributed.all_reduce_mean({"x": own})["x"]
        return total, mean, tape.gradient(total, own), tape.gradient(mean, own)

    out = tf.function(lambda x: mesh.run(step, args=(x,)))(values)
    for column, expected in zip(out, (6.0, 1.5, 4.0, 1.0), strict=True):
        for value in mesh.experimental_local_results(column):
            assert value == expected


def _program(own):
    """Values and gradients of everything that crosses replicas."""
    index = distributed.replica_index()
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(own)
        everyone = distributed.all_gather_rows(own)
        weight = tf.cast(index + 1, tf.float32)
        loss = weight * tf.reduce_sum(everyone * everyone)
        mean = distributed.all_reduce_mean({"x": own})["x"]
        square = weight * tf.reduce_sum(mean * mean)
    return {
        "replicas": distributed.num_replicas(),
        "index": index,
        "everyone": everyone,
        "mean": mean,
        "gather gradient": tape.gradient(loss, own),
        "reduce gradient": tape.gradient(square, own),
    }


def test_one_of_writes_the_program_that_a_strategy_runs(mesh, rng):
    """The stand-in that is compiled for TPUs, run here on four devices."""
    replicas = mesh.num_replicas_in_sync
    rows = rng.normal(size=[replicas, 3, 2]).astype("float32")

    @tf.function
    def by_strategy():
        own = _per_replica(mesh, lambda r: tf.constant(rows[r]))
        return mesh.run(_program, args=(own,))

    def by_collectives(r):
        with tf.device(f"CPU:{r}"):
            own = tf.constant(rows[r])
            return tf.function(one_replica)(own, tf.constant(r))

    def one_replica(own, r):
        with distributed.one_of(replicas, r):
            return _program(own)

    expected = {
        name: mesh.experimental_local_results(value)
        for name, value in by_strategy().items()
    }
    # One thread each: they wait for one another.
    with futures.ThreadPoolExecutor(replicas) as threads:
        results = list(threads.map(by_collectives, range(replicas)))
    for r, result in enumerate(results):
        for name, value in result.items():
            of_r = expected[name][r] if name != "replicas" else replicas
            np.testing.assert_allclose(value, of_r, rtol=1e-6, err_msg=name)


def test_one_of_ends():
    with distributed.one_of(3, tf.constant(2)):
        assert distributed.num_replicas() == 3
    assert distributed.num_replicas() == 1
    assert distributed.replica_index() == 0
