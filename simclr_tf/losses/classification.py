"""Losses of classifiers: one class an image, or several.

A replica's share of a mean over the global batch, as `contrastive` has it.
"""

import tensorflow as tf

from simclr_tf import distributed


def softmax_cross_entropy(logits: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
    """This replica's share of the mean cross entropy, float32[].

    Args:
        logits: float32[N, K].
        labels: int[N], in 0..K-1; negative where there is none.
    """
    each = tf.nn.sparse_softmax_cross_entropy_with_logits(
        tf.maximum(labels, 0), logits
    )
    return _share_of_mean(each, labels)


def binary_cross_entropies(logits: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
    """As above for several labels per image: summed over the classes.

    Args:
        logits: float32[N, K].
        labels: int[N, K]: 1 present, 0 absent, negative where it does not
            count.
    """
    present = tf.cast(labels == 1, tf.float32)
    binary = tf.nn.sigmoid_cross_entropy_with_logits(present, logits)
    counts = tf.cast(labels >= 0, tf.float32)
    each = tf.reduce_sum(binary * counts, axis=1)
    return _share_of_mean(each, labels)


def accuracy(logits: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
    """This replica's share of the accuracy; arguments as either above.

    Top-1; with several labels, the share of an image's classes that the signs
    of the logits have right.
    """
    if labels.shape.rank == 1:
        right = tf.argmax(logits, axis=1) == tf.cast(labels, tf.int64)
        return _share_of_mean(tf.cast(right, tf.float32), labels)
    counts = tf.cast(labels >= 0, tf.float32)
    right = tf.cast((logits > 0) == (labels == 1), tf.float32) * counts
    share = tf.math.divide_no_nan(
        tf.reduce_sum(right, axis=1), tf.reduce_sum(counts, axis=1)
    )
    return _share_of_mean(share, labels)


def _share_of_mean(values, labels):
    """Over the labelled rows of all replicas; 0 where there is none."""
    if labels.shape.rank == 2:
        labels = tf.reduce_max(labels, axis=1)
    labelled = tf.cast(labels >= 0, tf.float32)
    count = distributed.all_reduce_sum(tf.reduce_sum(labelled))
    return tf.math.divide_no_nan(tf.reduce_sum(values * labelled), count)
