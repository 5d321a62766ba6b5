"""Which variables adapt and decay: by rank and identity, on real models."""

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras

from simclr_tf.models import build_simclr, resnet
from simclr_tf.optim import (
    Lars,
    adapts,
    decayed_in_loss,
    l2_loss,
    make_optimizer,
)
from simclr_tf.optim.selection import KINDS


def model_of(num_classes=10, **of_encoder):
    settings = {"image_size": 32, "depth": 18, "width": 0.05}
    encoder = resnet(**{**settings, **of_encoder})
    return build_simclr(encoder, num_proj_layers=3, num_classes=num_classes)


def same(variables, others):
    return [id(v) for v in variables] == [id(v) for v in others]


def kernels_of(model):
    """The convolutions' and the projection head's kernels, by their layers."""
    layers = (keras.layers.Conv2D, keras.layers.Dense)
    return {
        id(layer.kernel)
        for layer in model._flatten_layers()
        if isinstance(layer, layers)
    }


@pytest.mark.parametrize(
    "variant",
    [
        {},
        {"depth": 50, "sk_ratio": 0.0625},
        {"depth": 50, "se_ratio": 0.25},
        {"dtype": "mixed_bfloat16"},
    ],
)
def test_exactly_the_kernels_but_the_probes_adapt(variant):
    model = model_of(**variant)
    variables = model.trainable_variables
    chosen = [v for v in variables if adapts(v, model.probe_variables)]
    assert {id(v) for v in chosen} == kernels_of(model)
    if not variant.get("depth"):
        assert (len(chosen), len(variables)) == (24, 73)


def test_identity_decides_not_value_nor_name():
    twins = [tf.Variable(tf.ones([2, 2]), name="kernel") for _ in range(2)]
    assert [adapts(v, [twins[0]]) for v in twins] == [False, True]
    assert not adapts(tf.Variable(tf.ones([2])))


def test_lars_under_a_strategy_knows_the_probe(mesh):
    with mesh.scope():
        model = model_of(depth=10)
        optimizer = make_optimizer(
            "lars", 0.1, weight_decay=1.0, head=model.probe_variables
        )
        optimizer.build(model.trainable_variables)
    before = [v.numpy() for v in model.trainable_variables]

    def on_replica():
        variables = model.trainable_variables
        zeros = [tf.zeros(v.shape) for v in variables]
        optimizer.apply_gradients(
            zip(zeros, variables, strict=True), skip_gradients_aggregation=True
        )

    @tf.function
    def step():
        mesh.run(on_replica)

    step()
    # Without a gradient, only the decay moves a variable.
    kernels = kernels_of(model)
    for variable, old in zip(model.trainable_variables, before, strict=True):
        moved = np.any(variable.numpy() != old)
        assert moved == (id(variable) in kernels)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("num_classes", [None, 10])
def test_l2_terms_of_the_loss(kind, num_classes):
    model = model_of(depth=10, num_classes=num_classes)
    variables, head = model.trainable_variables, model.probe_variables
    decayed = decayed_in_loss(variables, kind, head)
    if kind == "lars":
        assert same(decayed, head[:1])
    else:
        assert same(decayed, [v for v in variables if v.shape.rank > 1])
        assert len(decayed) == len(kernels_of(model)) + bool(num_classes)


def test_lars_leaves_nothing_to_the_loss_but_what_it_ignores():
    model = model_of(depth=10)
    variables, head = model.trainable_variables, model.probe_variables
    in_loss = decayed_in_loss(variables, "lars", head)
    twice = [v for v in in_loss if adapts(v, head)]
    assert twice == []


def test_a_frozen_head_has_no_l2_term():
    model = model_of(depth=10)
    model.linear_head.trainable = False
    assert not decayed_in_loss(
        model.trainable_variables, "lars", model.probe_variables
    )


def test_l2_loss_equals_numpy(rng):
    values = [rng.normal(size=s) for s in ([3, 4], [2, 2, 5])]
    variables = [tf.Variable(v, dtype=tf.float32) for v in values]
    want = 1e-3 * sum((v**2).sum() for v in values) / 2
    np.testing.assert_allclose(l2_loss(variables, 1e-3), want, rtol=1e-5)
    assert l2_loss([], 1e-3).numpy() == 0.0


def run(optimizer, gradients):
    weight = tf.Variable([[1.0, 2.0]])
    for gradient in gradients:
        optimizer.apply_gradients([(tf.constant([gradient]), weight)])
    return weight.numpy()[0]


def test_momentum_is_nesterovs(rng):
    gradients = rng.normal(size=[4, 2]).astype(np.float32)
    weight, velocity = np.array([1.0, 2.0]), 0.0
    for gradient in gradients:
        velocity = 0.8 * velocity - 0.1 * gradient
        weight = weight + 0.8 * velocity - 0.1 * gradient
    got = run(make_optimizer("momentum", 0.1, 0.8, 1.0), gradients)
    np.testing.assert_allclose(got, weight, rtol=1e-5)


def test_adam_has_its_defaults(rng):
    gradients = rng.normal(size=[4, 2]).astype(np.float32)
    weight, m, v = np.array([1.0, 2.0]), 0.0, 0.0
    for t, gradient in enumerate(gradients, 1):
        m = 0.9 * m + 0.1 * gradient
        v = 0.999 * v + 0.001 * gradient**2
        step = (m / (1 - 0.9**t)) / (np.sqrt(v / (1 - 0.999**t)) + 1e-7)
        weight = weight - 0.1 * step
    got = run(make_optimizer("adam", 0.1, 0.8, 1.0), gradients)
    np.testing.assert_allclose(got, weight, rtol=1e-4)


def test_lars_gets_its_settings():
    head = [tf.Variable(tf.ones([2, 2]))]
    optimizer = make_optimizer("lars", 0.1, 0.8, 1e-4, head)
    assert isinstance(optimizer, Lars)
    config = optimizer.get_config()
    assert (config["momentum"], config["weight_decay"]) == (0.8, 1e-4)
    assert not config["adapts"](head[0])


@pytest.mark.parametrize("kind", KINDS)
def test_no_optimizer_compiles_by_itself(kind):
    assert make_optimizer(kind, 0.1).jit_compile is False


def test_unknown_kind_names_its_argument():
    with pytest.raises(ValueError, match=r"^kind must be one of"):
        make_optimizer("sgd", 0.1)
    with pytest.raises(ValueError, match=r"^optimizer must be one of"):
        decayed_in_loss([], "sgd")
