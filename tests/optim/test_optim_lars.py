"""LARS against the official optimizer, NumPy, and itself on a mesh."""

import functools

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras
from official.modeling.optimization import lars as official

from simclr_tf.optim import Lars, adapts

SHAPES = {
    "conv": (3, 3, 4, 5),
    "dense": (7, 6),
    "zero": (4, 4),
    "bias": (6,),
    "probe": (6, 3),
}
STEPS = 5


class HalvingSchedule(keras.optimizers.schedules.LearningRateSchedule):
    """0.5, 0.25, ... by step."""

    def __call__(self, step):
        return 0.5 * 0.5 ** tf.cast(step, tf.float32)

    def get_config(self):
        return {}


def start_of(rng):
    start = {k: rng.normal(size=s) for k, s in SHAPES.items()}
    start["zero"] *= 0.0
    return {k: v.astype(np.float32) for k, v in start.items()}


def gradients_of(rng):
    draws = [
        {k: rng.normal(size=s).astype(np.float32) for k, s in SHAPES.items()}
        for _ in range(STEPS)
    ]
    draws[1]["dense"] *= 0.0
    draws[2]["bias"] *= 0.0
    return draws


def variables_of(start):
    return {k: tf.Variable(v, name=k) for k, v in start.items()}


def lars_for(variables, learning_rate=0.5, weight_decay=1e-2):
    predicate = functools.partial(adapts, excluded=[variables["probe"]])
    return Lars(learning_rate, 0.9, weight_decay, adapts=predicate)


def apply_all(optimizer, variables, gradients):
    for gradient in gradients:
        optimizer.apply_gradients(
            [(tf.constant(gradient[k]), v) for k, v in variables.items()]
        )
    return {k: v.numpy() for k, v in variables.items()}


def numpy_lars(start, gradients, rate_of, decay, momentum=0.9, eta=0.001):
    """The recursion, one number after the other, in float64."""
    weights = {k: v.astype(np.float64) for k, v in start.items()}
    velocity = {k: np.zeros_like(v) for k, v in weights.items()}
    for step, gradient in enumerate(gradients):
        for k, w in weights.items():
            g, ratio = gradient[k].astype(np.float64), 1.0
            if k not in ("bias", "probe"):
                g = g + decay * w
                norms = np.sqrt((w**2).sum()), np.sqrt((g**2).sum())
                if min(norms) > 0:
                    ratio = eta * norms[0] / norms[1]
            velocity[k] = momentum * velocity[k] + rate_of(step) * ratio * g
            weights[k] = w - velocity[k]
    return weights


@pytest.mark.parametrize("weight_decay", [0.0, 1e-2])
def test_equals_the_official_optimizer(rng, weight_decay):
    start, gradients = start_of(rng), gradients_of(rng)
    ours, theirs = variables_of(start), variables_of(start)
    got = apply_all(lars_for(ours, weight_decay=weight_decay), ours, gradients)
    want = apply_all(
        official.LARS(
            0.5,
            0.9,
            weight_decay,
            exclude_from_weight_decay=["bias", "probe"],
        ),
        theirs,
        gradients,
    )
    for k, start_value in start.items():
        assert np.abs(got[k] - start_value).max() > 1e-4
        np.testing.assert_allclose(got[k], want[k], rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("weight_decay", [0.0, 1e-2])
def test_equals_numpy_with_a_schedule(rng, weight_decay):
    start, gradients = start_of(rng), gradients_of(rng)
    variables = variables_of(start)
    optimizer = lars_for(variables, HalvingSchedule(), weight_decay)
    got = apply_all(optimizer, variables, gradients)
    want = numpy_lars(
        start, gradients, lambda step: 0.5 * 0.5**step, weight_decay
    )
    for k in start:
        np.testing.assert_allclose(got[k], want[k], rtol=1e-5, atol=1e-6)


def test_zero_norms_take_a_plain_step():
    # ||w|| = 0: the ratio is 1, so the first step is rate * gradient.
    weight, gradient = tf.Variable(tf.zeros([2, 2])), tf.ones([2, 2])
    Lars(0.25).apply_gradients([(gradient, weight)])
    np.testing.assert_allclose(weight, -0.25)
    # ||g|| = 0: nothing moves, and nothing becomes NaN.
    weight.assign(tf.ones([2, 2]))
    Lars(0.25).apply_gradients([(tf.zeros([2, 2]), weight)])
    np.testing.assert_array_equal(weight, np.ones([2, 2]))


def test_step_does_not_depend_on_the_gradients_scale(rng):
    start, gradients = start_of(rng), gradients_of(rng)[:1]
    scaled = [{k: 1000 * g for k, g in gradients[0].items()}]
    results = []
    for draws in (gradients, scaled):
        variables = variables_of(start)
        results.append(
            apply_all(lars_for(variables, weight_decay=0.0), variables, draws)
        )
    np.testing.assert_allclose(
        results[0]["dense"], results[1]["dense"], rtol=1e-6
    )
    assert np.abs(results[0]["bias"] - results[1]["bias"]).max() > 1


def test_predicate_is_asked_once_per_variable(rng):
    variables, asked = variables_of(start_of(rng)), []

    def predicate(variable):
        asked.append(variable.name)
        return True

    optimizer = Lars(0.5, adapts=predicate)
    apply_all(optimizer, variables, gradients_of(rng))
    assert asked == [v.name for v in variables.values()]


def test_four_replicas_equal_one_device(rng, mesh):
    start = start_of(rng)
    gradients = [gradients_of(rng) for _ in range(4)]
    total = [
        {k: sum(draw[i][k] for draw in gradients) for k in SHAPES}
        for i in range(STEPS)
    ]
    alone = variables_of(start)
    want = apply_all(lars_for(alone), alone, total)
    with mesh.scope():
        variables = variables_of(start)
        optimizer = lars_for(variables)
        optimizer.build(list(variables.values()))

    @tf.function
    def run(shares):
        mesh.run(
            lambda share: optimizer.apply_gradients(
                [(share[k], v) for k, v in variables.items()]
            ),
            args=(shares,),
        )

    for i in range(STEPS):
        run(
            {
                k: mesh.experimental_distribute_values_from_function(
                    lambda context, i=i, k=k: tf.constant(
                        gradients[context.replica_id_in_sync_group][i][k]
                    )
                )
                for k in SHAPES
            }
        )
    for k, variable in variables.items():
        np.testing.assert_allclose(
            variable.numpy(), want[k], rtol=1e-5, atol=1e-6
        )


def test_resumes_from_a_checkpoint_to_the_same_bits(rng, tmp_path):
    start, gradients = start_of(rng), gradients_of(rng)
    straight = variables_of(start)
    want = apply_all(lars_for(straight), straight, gradients)

    first = variables_of(start)
    optimizer = lars_for(first)
    apply_all(optimizer, first, gradients[:2])
    path = tf.train.Checkpoint(optimizer=optimizer, **first).write(
        str(tmp_path / "lars")
    )

    second = variables_of(start_of(rng))
    optimizer = lars_for(second)
    optimizer.build(list(second.values()))
    checkpoint = tf.train.Checkpoint(optimizer=optimizer, **second)
    checkpoint.read(path).assert_consumed()
    got = apply_all(optimizer, second, gradients[2:])
    for k in SHAPES:
        np.testing.assert_array_equal(got[k], want[k])


def test_lowers_to_xla(rng):
    start, gradients = start_of(rng), gradients_of(rng)[:1]
    eager, compiled = variables_of(start), variables_of(start)
    want = apply_all(lars_for(eager), eager, gradients)
    optimizer = lars_for(compiled)
    optimizer.build(list(compiled.values()))

    @tf.function(jit_compile=True)
    def run(gradient):
        optimizer.apply_gradients(
            [(gradient[k], v) for k, v in compiled.items()]
        )

    run({k: tf.constant(g) for k, g in gradients[0].items()})
    for k, variable in compiled.items():
        np.testing.assert_allclose(variable, want[k], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("learning_rate", [0.5, HalvingSchedule()])
def test_config_keeps_the_predicate(rng, learning_rate):
    def only_matrices(variable):
        return variable.shape.rank == 2

    optimizer = Lars(learning_rate, 0.8, 1e-3, 0.01, only_matrices, "mine")
    config = optimizer.get_config()
    with keras.utils.custom_object_scope({"HalvingSchedule": HalvingSchedule}):
        twin = Lars.from_config(dict(config))
    assert twin.name == "mine"
    results = []
    start, gradients = start_of(rng), gradients_of(rng)
    for each in (optimizer, twin):
        variables = variables_of(start)
        results.append(apply_all(each, variables, gradients))
    for k in SHAPES:
        np.testing.assert_array_equal(results[0][k], results[1][k])
