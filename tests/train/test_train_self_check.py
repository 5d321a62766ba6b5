"""The check before training: silent when right, and it sees each fault."""

import functools
import time
from unittest import mock

import numpy as np
import pytest
import tensorflow as tf

from simclr_tf import distributed, losses
from simclr_tf.errors import Halted
from simclr_tf.losses import named
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


# Each loss, and each way of choosing its negatives.
LOSSES = [
    {},
    {"negative_views": "other"},
    {"loss": "nt_logistic"},
    {"loss": "nt_logistic", "semi_hard": True, "negative_views": "other"},
    {"loss": "margin_triplet", "negative_views": "other"},
    {"loss": "margin_triplet", "semi_hard": True},
]


def _check(strategy, **loss):
    hosts = Hosts(strategy)
    self_check.check(strategy, device_type="CPU", hosts=hosts, **loss)


def test_right_is_right_and_fast(mesh):
    started = time.process_time()
    loss = functools.partial(losses.nt_xent, temperature=0.5)
    errors = self_check.measure(mesh, loss)
    assert time.process_time() - started < 4
    assert set(errors) == {
        "the loss",
        "the gradient of z",
        "the update of a weight",
    }
    assert max(errors.values()) < 1e-5
    _check(mesh)


@pytest.mark.parametrize(
    "loss",
    [
        pytest.param(loss, marks=[] if loss is LOSSES[3] else pytest.mark.slow)
        for loss in LOSSES[1:]
    ],
    ids=str,
)
def test_every_loss_is_checked(mesh, monkeypatch, loss):
    """Silent when right; and its own gradient shows a fault."""
    _check(mesh, **loss)
    monkeypatch.setattr(
        distributed,
        "all_gather_rows",
        lambda rows: (
            rows
            if distributed.num_replicas() == 1
            else _gradient_not_summed(rows)
        ),
    )
    words = named.WORDS[loss.get("loss", "nt_xent")]
    with pytest.raises(Halted, match=f"{words} of.*gradient of z by"):
        _check(mesh, **loss)


@pytest.mark.parametrize("replicas", [2, 3, 8, 128])
def test_the_probe_has_something_to_show_on_any_number(monkeypatch, replicas):
    """A gradient of 0 everywhere would be no reference."""
    seen = []

    def measure(strategy, contrast):
        del strategy
        views = self_check.probe(replicas)
        _, z, weight = self_check._one_device(views, contrast)
        seen.append(min(np.abs(z).max(), np.abs(weight).max()))
        return {}

    monkeypatch.setattr(self_check, "measure", measure)
    strategy = mock.Mock(num_replicas_in_sync=replicas)
    hosts = mock.Mock(gather=lambda values: np.zeros([1, len(values)]))
    for loss in LOSSES:
        self_check.check(strategy, device_type="CPU", hosts=hosts, **loss)
    assert len(seen) == len(LOSSES) and min(seen) > 1e-3 / replicas


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
    monkeypatch.setattr(self_check, "measure", lambda *_: 1 / 0)
    _check(tf.distribute.OneDeviceStrategy("CPU:0"))
