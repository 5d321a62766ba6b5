"""Top-k against scikit-learn's, padding left out."""

import numpy as np
import pytest
import tensorflow as tf
from sklearn.metrics import top_k_accuracy_score

from simclr_tf.train import accuracy


@pytest.mark.parametrize("k", [1, 3, 5])
def test_equals_scikit_learn_on_the_unmasked(rng, k):
    logits = rng.normal(size=(50, 7)).astype(np.float32)
    labels = rng.integers(0, 7, size=50)
    mask = rng.random(50) < 0.8
    found = accuracy.top_k_correct(
        tf.constant(logits), tf.constant(labels), tf.constant(mask), k=k
    )
    expected = top_k_accuracy_score(
        labels[mask], logits[mask], k=k, labels=range(7), normalize=False
    )
    assert found == expected


def test_k_beyond_the_classes_counts_everything(rng):
    logits = tf.constant(rng.normal(size=(6, 3)), tf.float32)
    labels = tf.constant([0, 1, 2, 0, 1, 2])
    mask = tf.constant([True] * 4 + [False] * 2)
    assert accuracy.top_k_correct(logits, labels, mask, k=5) == 4.0
