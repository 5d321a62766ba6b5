"""Losses of classifiers: one class an image, or several.

Each is a mean over the labelled images of the global batch. A replica returns
its share of that mean: the shares of all replicas add up to it.
"""

import tensorflow as tf

from simclr_tf import distributed


def cross_entropy(logits: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
    """`softmax_cross_entropy` of one label an image, int[N];
    `binary_cross_entropies` of several, int[N, K]."""
    if tf.convert_to_tensor(labels).shape.rank == 1:
        return softmax_cross_entropy(logits, labels)
    return binary_cross_entropies(logits, labels)


def softmax_cross_entropy(logits: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
    """This replica's share of the mean cross entropy, float32[].

    Args:
        logits: float[N, K].
        labels: int[N], in 0..K-1; negative where there is none.
    """
    logits, labels = _tensors(logits, labels)
    each = tf.nn.sparse_softmax_cross_entropy_with_logits(
        tf.maximum(labels, 0), logits
    )
    return _share_of_mean(each, labels)


def binary_cross_entropies(logits: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
    """This replica's share of the mean over images, float32[].

    An image's loss is the sum of its classes' binary cross entropies.

    Args:
        logits: float[N, K].
        labels: int[N, K]: 1 present, 0 absent, negative where it does not
            count.
    """
    logits, labels = _tensors(logits, labels)
    present = tf.cast(labels == 1, tf.float32)
    binary = tf.nn.sigmoid_cross_entropy_with_logits(present, logits)
    counts = tf.cast(labels >= 0, tf.float32)
    each = tf.reduce_sum(binary * counts, axis=1)
    return _share_of_mean(each, labels)


def accuracy(logits: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
    """This replica's share of the mean accuracy, float32[] in [0, 1].

    With one label an image, it is right where the highest logit is the
    label's. With several, an image's accuracy is the share of its classes
    whose logit has the right sign: positive where the class is present.

    Args:
        logits: float[N, K].
        labels: int[N], as in `softmax_cross_entropy`; or int[N, K], as in
            `binary_cross_entropies`.
    """
    logits, labels = _tensors(logits, labels)
    if labels.shape.rank == 1:
        right = tf.argmax(logits, axis=1) == tf.cast(labels, tf.int64)
        return _share_of_mean(tf.cast(right, tf.float32), labels)
    counts = tf.cast(labels >= 0, tf.float32)
    right = tf.cast((logits > 0) == (labels == 1), tf.float32) * counts
    share = tf.math.divide_no_nan(
        tf.reduce_sum(right, axis=1), tf.reduce_sum(counts, axis=1)
    )
    return _share_of_mean(share, labels)


def _tensors(logits, labels):
    return tf.cast(logits, tf.float32), tf.convert_to_tensor(labels)


def _share_of_mean(values, labels):
    """Their mean over the labelled rows of all replicas; 0 without any."""
    if labels.shape.rank == 2:
        labels = tf.reduce_max(labels, axis=1)
    labelled = tf.cast(labels >= 0, tf.float32)
    count = distributed.all_reduce_sum(tf.reduce_sum(labelled))
    return tf.math.divide_no_nan(tf.reduce_sum(values * labelled), count)
