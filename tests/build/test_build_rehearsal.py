"""The fixed views of a rehearsal."""

import numpy as np
import pytest
import tensorflow as tf

from simclr_tf import schedules
from simclr_tf.build.rehearsal import fixed_batch, late_step
from simclr_tf.config import resolve
from simclr_tf.train.plan import Plan

S, N, R, P = 16, 3, 2, 9


def batch(number=0, pixels=tf.uint8, label=(N,), classes=10, **given):
    specs = [tf.TensorSpec(label, tf.int64, "label")]
    for view in range(2):
        specs.append(tf.TensorSpec([N, S, S, 3], pixels, f"images_{view}"))
        if pixels == tf.uint8:
            specs.append(
                tf.TensorSpec([N, P], tf.float32, f"parameters_{view}")
            )
    made = fixed_batch(
        resolve.resolve({"mode": "preflight", **given}).config,
        specs,
        number,
        R,
        classes,
    )
    for spec in specs:
        assert made[spec.name].shape == (R * N, *spec.shape[1:])
        assert made[spec.name].dtype == spec.dtype.as_numpy_dtype
    assert list(made) == [spec.name for spec in specs]
    return made


def test_a_batch_is_a_function_of_seed_and_step():
    first, again = batch(), batch()
    for name, values in first.items():
        np.testing.assert_array_equal(again[name], values)
    for other in (batch(1), batch(seed=1)):
        assert (other["images_0"] != first["images_0"]).mean() > 0.9
        assert (other["parameters_0"] != first["parameters_0"]).any()


def test_images_and_their_views_differ():
    made = batch()
    assert made["images_0"].std() > 30
    assert (made["images_0"][0] != made["images_0"][1]).mean() > 0.9
    assert (made["images_0"] != made["images_1"]).mean() > 0.5


def test_colours_that_the_host_does_are_done():
    made = batch(pixels=tf.float32)
    assert made["images_0"].min() >= 0
    assert made["images_0"].max() <= 1
    assert made["images_0"].std() > 0.1


def test_a_sigma_of_the_batch_is_one_on_all_replicas():
    made = batch(blur_sigma_per="batch")["parameters_1"]
    np.testing.assert_array_equal(made, np.tile(made[:1], [R * N, 1]))


@pytest.mark.parametrize(
    ("label", "classes", "values"),
    [((N,), 10, range(10)), ((N,), None, [-1]), ((N, 5), 5, [0, 1])],
)
def test_labels(label, classes, values):
    made = batch(label=label, classes=classes)["label"]
    assert set(made.flat) <= set(values)


def test_late_steps_have_a_sixteenth_of_the_peak():
    plan = Plan(
        num_examples=1000,
        global_batch_size=10,
        train_steps=5000,
        warmup_steps=300,
        peak_learning_rate=3.2,
        checkpoint_steps=100,
        log_steps=10,
    )
    rate = schedules.WarmupCosine(3.2, 300, 5000)(late_step(plan))
    assert float(rate) == pytest.approx(3.2 / 16, rel=0.01)
