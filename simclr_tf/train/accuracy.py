"""Scores over a split in which the padding of the last batch is masked."""

import tensorflow as tf


def top_k_correct(
    logits: tf.Tensor, labels: tf.Tensor, mask: tf.Tensor, *, k: int
) -> tf.Tensor:
    """Examples whose label is among the k highest logits, float32[].

    Args:
        logits: float32[N, K]; k > K counts as k = K.
        labels: int[N], in 0..K-1; anything where the mask is False.
        mask: bool[N], False for padding.
        k: how many guesses an example has.
    """
    k = min(k, logits.shape[-1])
    guesses = tf.math.top_k(logits, k).indices  # [N, k]
    hit = tf.reduce_any(guesses == tf.cast(labels, tf.int32)[:, None], axis=1)
    return tf.reduce_sum(tf.cast(hit & mask, tf.float32))
