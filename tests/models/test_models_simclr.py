"""The whole model: outputs of every kind, gradients, precision, replicas."""

import numpy as np
import pytest
import tensorflow as tf

from simclr_tf.models import SimClrOutput, build_simclr, resnet
from simclr_tf.models.heads import MODES

SIZE = 8


OF_ENCODER = {"dtype", "sk_ratio", "se_ratio", "seed", "bn_momentum"}


def tiny(**given):
    of_encoder = {k: given.pop(k) for k in OF_ENCODER & given.keys()}
    encoder = resnet(image_size=SIZE, depth=10, width=0.05, **of_encoder)
    settings = {"proj_out_dim": 5, "num_classes": 3}
    return build_simclr(encoder, **{**settings, **given})


def images_of(rng, n):
    return tf.constant(rng.uniform(size=[n, SIZE, SIZE, 3]), tf.float32)


def contrast(output):
    """Something of z that every row has a part in."""
    return tf.reduce_sum(tf.nn.l2_normalize(output.projections, 1)[:, 0] ** 3)


def cross_entropy(output):
    return -tf.reduce_sum(tf.nn.log_softmax(output.logits)[:, 0])


def among(variable, others):
    return any(variable is other for other in others)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("selector", [0, 1, 2, -1])
def test_every_head_mode_with_every_selector(rng, mode, selector):
    outputs = {"none": 1, "linear": 2, "nonlinear": 3}[mode]
    if selector >= outputs:
        with pytest.raises(ValueError, match=r"^selector must"):
            tiny(proj_head_mode=mode, selector=selector)
        return
    model = tiny(proj_head_mode=mode, selector=selector)
    images = images_of(rng, 4)
    out = model(images, training=True)
    assert isinstance(out, SimClrOutput)
    assert out.features.shape == (4, model.encoder.output_shape[-1])
    assert out.projections.shape == (
        (4, 5) if mode != "none" else out.features.shape
    )
    assert out.logits.shape == (4, 3)
    assert {t.dtype for t in out} == {tf.float32}
    # The classifier reads the hidden that it was told to.
    out = model(images)
    hidden = model.projection_head(out.features)[selector]
    kernel, bias = model.probe_variables
    np.testing.assert_allclose(
        out.logits, tf.matmul(hidden, kernel) + bias, rtol=1e-5, atol=1e-6
    )
    np.testing.assert_array_equal(
        out.projections, model.projection_head(out.features)[-1]
    )


def test_selector_below_the_first_is_an_error():
    with pytest.raises(ValueError, match=r"3 outputs .* received -4"):
        tiny(selector=-4)


def test_without_classes_there_are_no_logits(rng):
    model = tiny(num_classes=None)
    out = model(images_of(rng, 2))
    assert out.logits is None
    assert model.probe_variables == []
    assert model.linear_head is None


def test_model_is_built_when_made(capsys):
    model = tiny()
    assert model.built
    assert len(model.variables) > 50
    model.summary()
    text = capsys.readouterr().out
    for name in ("encoder", "projection_head", "linear_head"):
        assert name in text
    names = [v.name for v in model.variables]
    assert len(set(names)) == len(names)


def test_heads_share_what_the_encoder_decided():
    encoder = resnet(
        depth=10,
        width=0.05,
        image_size=SIZE,
        bn_momentum=0.5,
        bn_groups="replica",
        dtype="mixed_bfloat16",
        seed=7,
    )
    model = build_simclr(encoder, num_classes=3)
    config = model.projection_head.get_config()
    assert config["bn_momentum"] == 0.5
    assert config["bn_groups"] == "replica"
    assert config["seed"] == model.linear_head.get_config()["seed"] == 7
    assert model.projection_head.compute_dtype == "bfloat16"


def test_calling_makes_no_new_variables(rng):
    model = tiny()
    before = [id(v) for v in model.variables]
    model(images_of(rng, 2), training=True)
    assert [id(v) for v in model.variables] == before


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("selector", [0, -1])
def test_probe_and_model_do_not_touch_in_pretraining(rng, mode, selector):
    model = tiny(proj_head_mode=mode, selector=selector)
    variables, images = model.trainable_variables, images_of(rng, 8)
    with tf.GradientTape(persistent=True) as tape:
        output = model(images, training=True)
        z_loss, probe_loss = contrast(output), cross_entropy(output)
        total = z_loss + probe_loss
    from_z = tape.gradient(z_loss, variables)
    from_probe = tape.gradient(probe_loss, variables)
    for variable, of_z, of_probe in zip(
        variables, from_z, from_probe, strict=True
    ):
        probes = among(variable, model.probe_variables)
        assert (of_z is None) == probes
        assert (of_probe is None) == (not probes)
    assert all(g is not None for g in tape.gradient(total, variables))


@pytest.mark.parametrize("selector", [0, 1, -1])
def test_fine_tuning_reaches_all_that_it_uses(rng, selector):
    model = tiny(selector=selector, detach_head=False, num_proj_layers=3)
    model.freeze_unused_projection()
    frozen = [v.numpy() for v in model.projection_head.variables]
    variables = model.trainable_variables
    with tf.GradientTape() as tape:
        loss = cross_entropy(model(images_of(rng, 8), training=True))
    gradients = tape.gradient(loss, variables)
    assert all(g is not None for g in gradients)
    num_kernels = sum(
        v.shape.rank == 2 for v in model.projection_head.trainable_variables
    )
    assert num_kernels == selector % 4
    # With nothing of the head in use, nothing of it moves.
    kept = [
        np.array_equal(v, old)
        for v, old in zip(model.projection_head.variables, frozen, strict=True)
    ]
    assert all(kept) == (selector == 0)


def test_zero_initialized_head_gives_zero_logits(rng):
    out = tiny(zero_init_head=True)(images_of(rng, 2))
    np.testing.assert_array_equal(out.logits, np.zeros([2, 3]))


def test_both_views_share_their_statistics(rng):
    model = tiny()
    a, b = images_of(rng, 4), images_of(rng, 4) ** 2
    together = model(tf.concat([a, b], 0), training=True).projections
    apart = model(a, training=True).projections
    assert np.abs(together[:4] - apart).max() > 0.01
    np.testing.assert_allclose(
        model(tf.concat([a, b], 0)).projections[:4],
        model(a).projections,
        rtol=1e-4,
        atol=1e-5,
    )


def test_mixed_precision(rng):
    model, exact = tiny(dtype="mixed_bfloat16"), tiny()
    images = images_of(rng, 16)
    out, want = model(images), exact(images)
    assert {t.dtype for t in out} == {tf.float32}
    assert {v.dtype for v in model.variables} == {tf.float32}
    for got, expected in zip(out, want, strict=True):
        scale = np.abs(expected).max()
        np.testing.assert_allclose(got, expected, atol=0.05 * scale)
    assert np.abs(out.features - want.features).max() > 0


def train_step(model, images):
    with tf.GradientTape() as tape:
        output = model(images, training=True)
        loss = contrast(output) + cross_entropy(output)
    gradients = tape.gradient(loss, model.trainable_variables)
    return output.projections, gradients


@pytest.mark.parametrize(
    ("dtype", "ratio"),
    [
        ("float32", 0.0625),
        pytest.param("float32", 0.0, marks=pytest.mark.slow),
        pytest.param("mixed_bfloat16", 0.0625, marks=pytest.mark.slow),
    ],
)
def test_step_lowers_to_xla(rng, dtype, ratio):
    settings = {"dtype": dtype, "sk_ratio": ratio, "se_ratio": ratio}
    executor, compiled = tiny(**settings), tiny(**settings)
    images = images_of(rng, 16)
    z, _ = train_step(executor, images)
    step = tf.function(train_step, jit_compile=True)
    z_compiled, gradients = step(compiled, images)
    assert all(np.all(np.isfinite(g)) for g in gradients)
    if dtype == "float32":
        np.testing.assert_allclose(z_compiled, z, atol=1e-3)
        for mine, theirs in zip(
            compiled.non_trainable_variables,
            executor.non_trainable_variables,
            strict=True,
        ):
            np.testing.assert_allclose(mine, theirs, rtol=1e-3, atol=1e-5)


def test_step_on_mesh_equals_one_device(rng, mesh):
    images = images_of(rng, 16).numpy()
    alone = tiny()
    z, gradients = train_step(alone, tf.constant(images))
    with mesh.scope():
        model = tiny()
    shares = mesh.experimental_distribute_values_from_function(
        lambda context: tf.constant(
            np.split(images, 4)[context.replica_id_in_sync_group]
        )
    )

    @tf.function
    def run(images):
        return mesh.run(train_step, args=(model, images))

    z_shares, gradient_shares = run(shares)
    np.testing.assert_allclose(
        np.concatenate(mesh.experimental_local_results(z_shares)),
        z,
        atol=1e-4,
    )
    for got, want in zip(gradient_shares, gradients, strict=True):
        total = sum(mesh.experimental_local_results(got))
        np.testing.assert_allclose(
            total, want, rtol=1e-2, atol=1e-3 * np.abs(want).max() + 1e-6
        )
    for mine, theirs in zip(
        model.non_trainable_variables,
        alone.non_trainable_variables,
        strict=True,
    ):
        np.testing.assert_allclose(
            mine.numpy(), theirs.numpy(), rtol=1e-4, atol=1e-6
        )
