"""The schedule at the official code's own numbers."""

import math

import numpy as np
import pytest
import tensorflow as tf

from simclr_tf import schedules

IMAGENET, CIFAR = 1_281_167, 50_000


@pytest.mark.parametrize(
    ("num_examples", "batch", "total", "warmup"),
    [(IMAGENET, 4096, 31_279, 3_127), (CIFAR, 512, 9_766, 976)],
)
def test_steps_are_the_official_ones(num_examples, batch, total, warmup):
    sizes = {"num_examples": num_examples, "global_batch_size": batch}
    assert schedules.steps_of_training(epochs=100, **sizes) == total
    assert schedules.steps_of_warmup(epochs=10, **sizes) == warmup


@pytest.mark.parametrize(
    ("batch", "linear", "root", "root_v2"),
    [
        (256, 0.3, 1.2, 1.6),
        (512, 0.6, 1.70, 2.26),
        (1024, 1.2, 2.4, 3.2),
        (2048, 2.4, 3.39, 4.53),
        (4096, 4.8, 4.8, 6.4),
        (8192, 9.6, 6.79, 9.05),
    ],
)
def test_scaling_is_table_b1s(batch, linear, root, root_v2):
    def rate(base, rule):
        return schedules.scaled_learning_rate(
            base, global_batch_size=batch, rule=rule
        )

    assert rate(0.3, "linear") == pytest.approx(linear)
    assert rate(0.075, "sqrt") == pytest.approx(root, abs=0.005)
    assert rate(0.1, "sqrt") == pytest.approx(root_v2, abs=0.006)


def test_unknown_scaling_names_the_flag():
    with pytest.raises(ValueError, match="--learning_rate_scaling"):
        schedules.scaled_learning_rate(1.0, global_batch_size=1, rule="cubic")


def test_shape_of_the_imagenet_schedule():
    total, warmup, peak = 31_279, 3_127, 4.8
    rate = schedules.WarmupCosine(peak, warmup, total)

    def expected(step):
        if step < warmup:
            return peak * step / warmup
        done = (step - warmup) / (total - warmup)
        return peak * (1 + math.cos(math.pi * done)) / 2

    for step in (0, 1, 1_563, 3_126, 3_127, 3_128, 17_203, 31_277, 31_278):
        np.testing.assert_allclose(
            rate(tf.constant(step, tf.int64)),
            expected(step),
            rtol=1e-4,
            atol=1e-6,
        )
    assert rate(0) == 0.0
    assert rate(warmup) == np.float32(peak)
    assert 0 < rate(total - 1) < 1e-6 * peak
    assert rate(total) < 1e-12
    assert rate(total + 100) == rate(total)


def test_without_warmup_the_first_rate_is_the_peak():
    assert schedules.WarmupCosine(2.0, 0, 10)(0) == 2.0


def test_round_trip():
    rate = schedules.WarmupCosine(2.0, 3, 10)
    again = schedules.WarmupCosine.from_config(rate.get_config())
    assert [float(again(s)) for s in range(12)] == [
        float(rate(s)) for s in range(12)
    ]


@pytest.mark.parametrize("warmup", [10, 11, -1])
def test_warmup_must_end_before_training(warmup):
    with pytest.raises(ValueError, match="--warmup_epochs"):
        schedules.WarmupCosine(1.0, warmup, 10)
