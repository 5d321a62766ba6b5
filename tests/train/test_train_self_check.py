"""The check before training: silent when right, and it sees each fault."""

import time

import pytest
import tensorflow as tf

from simclr_tf import distributed
from simclr_tf.errors import Halted
from simclr_tf.train import self_check, step
from simclr_tf.train.hosts import Hosts

gather = distributed.all_gather_rows


def _lost_rows(rows):
    """The last replica's rows never arrive."""
    everyone = gather(rows)
    kept = tf.shape(everyone)[0] - tf.shape(rows)[0]
    return tf.concat([everyone[:kept], tf.zeros_like(rows)], axis=0)


def _gradient_not_summed(rows):
    """The classic: a gather through which only one's own gradient flows."""
    everyone, size = tf.stop_gradient(gather(rows)), tf.shape(rows)[0]
    before = distributed.replica_index() * size
    return tf.concat(
        [everyone[:before], rows, everyone[before + size :]], axis=0
    )


def _check(strategy):
    self_check.check(strategy, device_type="CPU", hosts=Hosts(strategy))


def test_right_is_right_and_fast(mesh):
    started = time.process_time()
    errors = self_check.measure(mesh)
    assert time.process_time() - started < 4
    assert set(errors) == {
        "the loss",
        "the gradient of z",
        "the update of a weight",
    }
    assert max(errors.values()) < 1e-5
    _check(mesh)


@pytest.mark.parametrize("fault", [_lost_rows, _gradient_not_summed])
def test_faults_in_the_gather_are_seen(mesh, monkeypatch, fault):
    def on_several(rows):
        return rows if distributed.num_replicas() == 1 else fault(rows)

    monkeypatch.setattr(distributed, "all_gather_rows", on_several)
    with pytest.raises(Halted, match="gradient of z by"):
        _check(mesh)


@pytest.mark.parametrize(
    "fault",
    [
        lambda optimizer, gradients, variables: optimizer.apply_gradients(
            zip(gradients, variables, strict=True),
            skip_gradients_aggregation=True,
        ),
        lambda o, gradients, v: apply(o, [g / 4 for g in gradients], v),
        lambda o, gradients, v: apply(o, [-g for g in gradients], v),
    ],
    ids=["not summed", "mean", "negated"],
)
def test_faults_in_the_sum_of_gradients_are_seen(mesh, monkeypatch, fault):
    monkeypatch.setattr(step, "apply_gradients", fault)
    with pytest.raises(Halted, match=r"differs.*update of a weight by"):
        _check(mesh)


apply = step.apply_gradients


def test_one_replica_has_nothing_to_check(monkeypatch):
    monkeypatch.setattr(self_check, "measure", lambda _: 1 / 0)
    _check(tf.distribute.OneDeviceStrategy("CPU:0"))
