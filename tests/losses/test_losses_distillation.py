"""Distillation against the equation in float64, and its invariances."""

import numpy as np
import pytest
import tensorflow as tf

from simclr_tf import losses
from simclr_tf.train.supervised import DistillTrainer


def softmax(logits):
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def equation_2(teacher, student, temperature):
    """SimCLRv2's, in float64: the mean over images, and its gradient by the
    student's logits."""
    target, found = (
        softmax(teacher / temperature),
        softmax(student / temperature),
    )
    value = -(target * np.log(found)).sum(axis=1).mean()
    return value, (found - target) / (temperature * len(student))


@pytest.fixture
def logits(rng):
    return rng.normal(size=(2, 6, 5), scale=0.5)


@pytest.mark.parametrize("temperature", [0.1, 0.5, 1.0, 4.0])
def test_value_and_gradient_are_equation_2(logits, temperature):
    teacher, student = logits
    value, gradient = equation_2(teacher, student, temperature)
    x = tf.constant(student, tf.float32)
    with tf.GradientTape() as tape:
        tape.watch(x)
        found = losses.distillation(
            tf.constant(teacher, tf.float32), x, temperature=temperature
        )
    np.testing.assert_allclose(found, value, rtol=1e-5)
    by_student = tape.gradient(found, x)
    scale = np.abs(gradient).max()
    np.testing.assert_allclose(by_student, gradient, atol=1e-5 * scale)


def test_nothing_reaches_the_teacher(logits):
    teacher = tf.constant(logits[0], tf.float32)
    with tf.GradientTape() as tape:
        tape.watch(teacher)
        found = losses.distillation(teacher, logits[1], temperature=1.0)
    assert tape.gradient(found, teacher) is None


def test_a_constant_added_to_logits_changes_nothing(logits):
    teacher, student = logits
    value = losses.distillation(teacher, student, temperature=0.5)
    moved = losses.distillation(teacher + 3.0, student - 2.0, temperature=0.5)
    np.testing.assert_allclose(moved, value, rtol=1e-5)


def test_the_least_value_is_at_the_teachers_own_logits(logits):
    teacher, student = logits
    least = losses.distillation(teacher, teacher, temperature=1.0)
    assert least < losses.distillation(teacher, student, temperature=1.0)
    chances = softmax(teacher)
    entropy = -(chances * np.log(chances)).sum(axis=1).mean()
    np.testing.assert_allclose(least, entropy, rtol=1e-5)


def test_a_small_temperature_asks_for_the_teachers_best_class(logits):
    teacher, student = logits
    found = losses.distillation(1e3 * teacher, student, temperature=1.0)
    best = losses.softmax_cross_entropy(student, teacher.argmax(axis=1))
    np.testing.assert_allclose(found, best, rtol=1e-5)


def test_replicas_add_up_to_the_global_batch(logits, mesh):
    teacher, student = (tf.constant(x[:4], tf.float32) for x in logits)

    def share():
        place = tf.distribute.get_replica_context().replica_id_in_sync_group
        return losses.distillation(
            teacher[place : place + 1],
            student[place : place + 1],
            temperature=0.5,
        )

    found = mesh.reduce("SUM", mesh.run(share), axis=None)
    whole = losses.distillation(teacher, student, temperature=0.5)
    np.testing.assert_allclose(found, whole, rtol=1e-5)


def objective(alpha, teacher, student, labels, decayed=()):
    """Of a trainer that has nothing but its objective."""
    trainer = DistillTrainer.__new__(DistillTrainer)
    trainer._temperature, trainer._alpha = 0.5, alpha
    trainer._weight_decay, trainer._decayed = 0.1, list(decayed)
    return trainer.objective(
        tf.constant(teacher, tf.float32),
        tf.constant(student, tf.float32),
        tf.constant(labels, tf.int64),
    )


def test_alpha_weighs_teacher_and_labels(logits):
    """Equation 3, each term a mean: over all images, over the labelled; with
    the notebook's tau^2."""
    teacher, student = logits
    labels = np.array([1, -1, 4, -1, -1, 0])
    with_label = labels >= 0
    chances = softmax(student[with_label])
    entropy = -np.log(chances[range(3), labels[with_label]]).mean()
    distilled, _ = equation_2(teacher, student, 0.5)
    weight = tf.Variable([3.0, 4.0])
    scalars, total = objective(0.3, teacher, student, labels, [weight])
    expected = 0.3 * 0.5**2 * distilled + 0.7 * entropy + 0.1 * 25 / 2
    np.testing.assert_allclose(total, expected, rtol=1e-5)
    np.testing.assert_allclose(scalars["distill_loss"], distilled, rtol=1e-5)
    np.testing.assert_allclose(scalars["supervised_loss"], entropy, rtol=1e-5)
    agree = (teacher.argmax(axis=1) == student.argmax(axis=1)).mean()
    np.testing.assert_allclose(scalars["distill_acc"], agree, rtol=1e-5)


def test_with_all_of_alpha_no_label_is_looked_at(logits):
    teacher, student = logits
    results = [
        objective(1.0, teacher, student, labels)
        for labels in ([0, 1, 2, 3, 4, 0], [-1] * 6)
    ]
    (first, total), (second, again) = results
    assert total == again
    assert first.keys() == second.keys()
    assert "supervised_loss" not in first
