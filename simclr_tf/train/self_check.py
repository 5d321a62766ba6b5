"""Before training: is the loss across replicas the loss of one device?

A gather that misses a replica, or a gradient that is not summed over them,
trains all the same, to something worse. So a small probe batch goes through
what training uses (its loss on every replica, `step.apply_gradients`,
on the real devices and network), and is compared with the formula
on one device.
"""

from collections.abc import Callable

import numpy as np
import tensorflow as tf

from simclr_tf import distributed
from simclr_tf.errors import Halted
from simclr_tf.losses import named
from simclr_tf.optim import selection
from simclr_tf.train import step
from simclr_tf.train.hosts import Hosts

ROWS = 2  # N, of each replica
_COLUMNS = 16  # d
_TEMPERATURE = 0.5
# Not a multiple of 1/8, as all similarities of the probe are: which negatives
# are within the margin is no matter of rounding.
_MARGIN = 0.7
# What a fault does is of the order of 1 somewhere. The probe's entries are
# exact in bfloat16 and TensorFloat-32, in which TPUs and GPUs multiply
# matrices; the softmax's gradient is not.
_TOLERANCES = {"CPU": 1e-4}
_ACCELERATOR_TOLERANCE = 3e-2


def check(
    strategy: tf.distribute.Strategy,
    *,
    device_type: str,
    hosts: Hosts,
    loss: str = "nt_xent",
    semi_hard: bool = False,
    negative_views: str = "both",
) -> None:
    """Compares a loss and its gradients with one device's.

    Costs nothing on one replica, which is the one device.

    Args:
        strategy, device_type, hosts: of the run.
        loss, semi_hard, negative_views: of `named.contrast`.

    Raises:
        Halted: they differ, on this host or another.
    """
    if strategy.num_replicas_in_sync == 1:
        return
    tolerance = _TOLERANCES.get(device_type, _ACCELERATOR_TOLERANCE)
    errors = measure(
        strategy,
        contrast_of(
            loss=loss, semi_hard=semi_hard, negative_views=negative_views
        ),
    )
    worst = hosts.gather(list(errors.values())).max(axis=0)
    wrong = [
        f"{name} by {error:.1e}"
        for name, error in zip(errors, worst, strict=True)
        if not error <= tolerance  # a NaN is wrong, too
    ]
    if wrong:
        raise Halted(
            f"Self-check: on {strategy.num_replicas_in_sync} replicas, "
            f"{named.WORDS[loss]} of a probe batch differs from one "
            f"device's: {', '.join(wrong)} "
            f"(allowed: {tolerance:g}). Nothing was trained. The collectives "
            f"of {type(strategy).__name__} do not do what they should here; "
            "--strategy=one_device runs without them."
        )


def contrast_of(*, loss: str, semi_hard: bool, negative_views: str) -> Callable:
    """The loss as the probe has it; arguments as of `check`."""
    return named.contrast(
        loss,
        temperature=_TEMPERATURE,
        margin=_MARGIN,
        semi_hard=semi_hard,
        negative_views=negative_views,
        # So that similarities are exact, and equal where they are equal. What
        # the norm does is done row by row.
        hidden_norm=False,
    )


def measure(
    strategy: tf.distribute.Strategy, contrast: Callable
) -> dict[str, float]:
    """Relative errors of this host's replicas against the formula.

    Args:
        strategy: of the run.
        contrast: the loss, as of `named.contrast`.

    Returns:
        "the loss", "the gradient of z" (before any sum over replicas but the
        gather's) and "the update of a weight" (after the optimizer's).
    """
    replicas = strategy.num_replicas_in_sync
    views = probe(replicas)
    expected_loss, expected_z, expected_weight = _one_device(views, contrast)
    loss, places, z, weight = _on_replicas(strategy, views, contrast)

    def error(found, expected, scale):
        return float(np.max(np.abs(found - expected)) / np.max(np.abs(scale)))

    parts = expected_z.reshape([2, replicas, ROWS, _COLUMNS])
    return {
        "the loss": error(loss, expected_loss, expected_loss),
        "the gradient of z": max(
            error(mine, parts[:, place], expected_z)
            for place, mine in zip(places, z, strict=True)
        ),
        "the update of a weight": error(
            weight, expected_weight, expected_weight
        ),
    }


def probe(replicas: int) -> np.ndarray:
    """float32[2, R * N, d], rows of both views, of length 1."""
    rng = np.random.default_rng(0)
    signs = rng.choice([-1.0, 1.0], [2, replicas * ROWS, _COLUMNS])
    return (signs / np.sqrt(_COLUMNS)).astype(np.float32)


def replica_step(views: np.ndarray, contrast: Callable):
    """What every replica does with its rows of the probe.

    Args:
        views: of `probe`.
        contrast: of `contrast_of`.

    Returns:
        A function of nothing, to the replica's share of the loss, float32[],
        its place r, int32[], and the gradient of its rows, float32[2, N, d];
        and the weight float32[d], made here, that it moves.
    """
    weight = tf.Variable(tf.ones([_COLUMNS]), name="self_check")
    optimizer = selection.make_optimizer("momentum", 1.0, momentum=0.0)
    optimizer.build([weight])

    def on_replica():
        place = distributed.replica_index()
        # TPU: rows of a known number, though not from a known place.
        own = tf.slice(views, [0, place * ROWS, 0], [2, ROWS, _COLUMNS])
        loss, z, gradient = _loss_and_gradients(own, weight, contrast)
        step.apply_gradients(optimizer, [gradient], [weight])
        return loss, place, z

    return on_replica, weight


def _one_device(views, contrast):
    weight = tf.ones([_COLUMNS])
    loss, z, gradient = _loss_and_gradients(
        tf.constant(views), weight, contrast
    )
    return loss.numpy(), z.numpy(), gradient.numpy()


def _on_replicas(strategy, views, contrast):
    with strategy.scope():
        on_replica, weight = replica_step(views, contrast)

    @tf.function
    def probe():
        loss, place, z = strategy.run(on_replica)
        return strategy.reduce("SUM", loss, axis=None), place, z

    loss, place, z = probe()
    local = strategy.experimental_local_results
    update = 1.0 - weight.numpy()
    return (
        loss.numpy(),
        [int(p) for p in local(place)],
        [part.numpy() for part in local(z)],
        update,
    )


def _loss_and_gradients(views, weight, contrast):
    """Loss, its gradient by z float32[2, N, d] and by the weight [d]."""
    with tf.GradientTape() as tape:
        weight_now = tf.convert_to_tensor(weight)
        tape.watch(weight_now)
        z = views * weight_now
        tape.watch(z)
        loss = contrast(z[0], z[1]).loss
    return loss, *tape.gradient(loss, [z, weight_now])
