"""--global_bn=false: R replicas are one device with R groups in its BN."""

import numpy as np
import pytest
import tensorflow as tf

from simclr_tf import distributed, losses
from simclr_tf.models import build_simclr, resnet

ROWS = 4  # of each view on each replica


def model(groups):
    encoder = resnet(
        depth=10, width=0.125, image_size=8, bn_groups=groups, seed=3
    )
    return build_simclr(encoder, proj_out_dim=8)


def loss_of(parts, call):
    """NT-Xent where `call` sees one group, both its views, at a time."""
    views = [tf.split(call(tf.concat(part, 0)), 2) for part in parts]
    z_a, z_b = (tf.concat(view, 0) for view in zip(*views, strict=True))
    return losses.nt_xent(z_a, z_b, temperature=0.5).loss


def gradients(tape, loss, model):
    found = tape.gradient(loss, model.trainable_variables)
    return [tf.convert_to_tensor(g) for g in found]


@pytest.mark.parametrize("groups", ["replica", "global"])
def test_replicas_are_groups_of_one_device(mesh, rng, groups):
    replicas = mesh.num_replicas_in_sync
    images = rng.uniform(size=[2, replicas * ROWS, 8, 8, 3]).astype("float32")
    images[:, :ROWS] *= 0.3  # a replica whose statistics are its own
    with mesh.scope():
        spread = model(groups)

    @tf.function
    def step():
        def on_replica():
            place = distributed.replica_index() * ROWS
            own = tf.constant(images)[:, place : place + ROWS]
            with tf.GradientTape() as tape:
                loss = loss_of(
                    [(own[0], own[1])],
                    lambda x: spread(x, training=True).projections,
                )
            return loss, gradients(tape, loss, spread)

        shares, parts = mesh.run(on_replica)
        total = [mesh.reduce("SUM", part, axis=None) for part in parts]
        return mesh.reduce("SUM", shares, axis=None), total

    loss, found = step()

    alone = model(groups)
    sizes = replicas if groups == "replica" else 1
    parts = list(zip(*(np.split(view, sizes) for view in images), strict=True))
    with tf.GradientTape() as tape:
        expected = loss_of(parts, lambda x: alone(x, training=True).projections)
    wanted = gradients(tape, expected, alone)

    assert float(loss) == pytest.approx(float(expected), rel=1e-5)
    for mine, theirs in zip(found, wanted, strict=True):
        scale = max(np.abs(theirs).max(), 1e-3)
        np.testing.assert_allclose(mine, theirs, atol=2e-3 * scale)


def test_the_two_kinds_of_groups_differ(rng):
    """So that the test above tells one from the other."""
    images = rng.uniform(size=[2, 2 * ROWS, 8, 8, 3]).astype("float32")
    images[:, :ROWS] *= 0.3
    halves = list(zip(*(np.split(view, 2) for view in images), strict=True))
    found = []
    for parts in (halves, [tuple(images)]):
        alone = model("replica")
        found.append(
            loss_of(parts, lambda x, m=alone: m(x, training=True).projections)
        )
    assert abs(found[0] - found[1]) > 1e-2
