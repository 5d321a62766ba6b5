"""NT-Xent, the contrastive loss of SimCLR, over the rows of every replica.

Legend, used by every module: N examples per replica, R replicas, d projection
dimension, K classes; h the representation, z the projection, tau the
temperature. A replica holds its own rows against everyone's columns:
[N, R*N] logits, never [R*N, R*N].
"""

from typing import NamedTuple

import tensorflow as tf

from simclr_tf import distributed
from simclr_tf.losses import tiles

# Subtracted from an anchor's similarity to itself. Finite, so that
# p * log(p) is 0 there and not NaN.
_MASKED = 1e9

# The most logits of one view on one replica that are kept at once: 64 MB a
# copy, of which the tape keeps several. With more, tiles are faster, too.
_MAX_LOGITS = 2**24


class NtXent(NamedTuple):
    """What `nt_xent` returns, each float32[].

    Attributes:
        loss: this replica's share of the loss; the sum over replicas is the
            loss of the global batch, so summed gradients are its gradient.
        accuracy: share of this replica's 2N anchors, in [0, 1], whose positive
            is the most similar of the 2*R*N - 1 candidates.
        entropy: mean entropy in nats of the anchors' distributions over those
            candidates, in [0, log(2*R*N - 1)].
    """

    loss: tf.Tensor
    accuracy: tf.Tensor
    entropy: tf.Tensor


def nt_xent(
    z_a: tf.Tensor,
    z_b: tf.Tensor,
    *,
    temperature: float,
    hidden_norm: bool = True,
    max_logits: int = _MAX_LOGITS,
) -> NtXent:
    """Normalised temperature-scaled cross entropy (Chen et al. 2020, Eq. 1).

        l(i, j) = -log( exp(s_ij / tau) / sum_{k != i} exp(s_ik / tau) )

    with s the cosine similarity and k over all 2*R*N rows but i.

    Ref: the loss is on the official scale (tf2/objective.py), the mean over
    examples of l_a + l_b: twice the paper's mean over anchors. Learning rates
    and weight decays of both are tuned to it.
    Differs: the official accuracy and entropy look at the other view's rows
    only (N-way); these are over the candidates that the loss sees.

    Args:
        z_a: float[N, d], projections of the first views; computed in float32.
        z_b: float[N, d], projections of the second views, in the same order.
        temperature: tau > 0.
        hidden_norm: l2-normalise the rows first; without, s is a dot product.
        max_logits: where a view has more than so many logits (N * 2*R*N),
            they are computed in tiles of rows, once forward and again for
            the gradient, in O((N + R*N) * d + max_logits) memory. The
            results are the same, except which of equally similar candidates
            counts as the most similar. Tiles need N to be known when the
            graph is made.

    Returns:
        `NtXent`.

    Raises:
        ValueError: the temperature or max_logits is not positive, or the
            shapes differ.
    """
    z_a, z_b = (tf.cast(z, tf.float32) for z in (z_a, z_b))
    _check(z_a, z_b, temperature, max_logits)
    if hidden_norm:
        z_a, z_b = (tf.math.l2_normalize(z, axis=1) for z in (z_a, z_b))

    rows = tf.shape(z_a)[0]
    # Both views go through one collective: each has a cost of its own.
    everyone = distributed.all_gather_rows(tf.concat([z_a, z_b], axis=1))
    all_a, all_b = tf.split(everyone, 2, axis=1)  # [R*N, d] each
    own = distributed.replica_index() * rows + tf.range(rows)  # [N]

    tile_rows = _tile_rows(z_a.shape[0], max_logits)
    if tile_rows is None:
        from_a = _anchors(z_a, all_b, all_a, own, temperature)
        from_b = _anchors(z_b, all_a, all_b, own, temperature)
    else:
        at_b = own + tf.shape(all_a)[0]
        each = tiles.anchors(
            tf.concat([z_a, z_b], axis=0) / temperature,
            tf.concat([z_b, z_a], axis=0),
            tf.concat([all_a, all_b], axis=0),
            tf.concat(
                [tf.stack([own, at_b], 1), tf.stack([at_b, own], 1)], axis=0
            ),
            tile_rows=tile_rows,
        )
        from_a, from_b = zip(*(tf.split(x, 2) for x in each), strict=True)
    loss = tf.reduce_mean(from_a[0] + from_b[0]) / distributed.num_replicas()
    accuracy, entropy = (
        tf.reduce_mean(tf.concat(pair, axis=0))
        for pair in zip(from_a[1:], from_b[1:], strict=True)
    )
    return NtXent(loss, accuracy, entropy)


def _check(z_a, z_b, temperature, max_logits):
    if temperature <= 0:
        raise ValueError(
            f"temperature must be greater than 0. Received: {temperature}."
        )
    if max_logits < 1:
        raise ValueError(
            f"max_logits must be at least 1. Received: {max_logits}."
        )
    if z_a.shape.rank != 2 or not z_a.shape.is_compatible_with(z_b.shape):
        raise ValueError(
            "z_a and z_b must both be [N, d]. Received: "
            f"{z_a.shape} and {z_b.shape}."
        )


def _tile_rows(rows, max_logits):
    """Rows of a tile, or None where all logits may exist at once."""
    if rows is None:
        return None
    columns = 2 * rows * distributed.num_replicas()
    if rows * columns <= max_logits:
        return None
    return max(1, max_logits // columns)


def _anchors(anchors, other_view, same_view, own, temperature):
    """float32[N] each: l; 1 if the positive is on top, else 0; entropy."""
    columns = tf.shape(other_view)[0]
    same = tf.matmul(anchors, same_view, transpose_b=True) / temperature
    same -= _MASKED * tf.one_hot(own, columns)
    other = tf.matmul(anchors, other_view, transpose_b=True) / temperature
    logits = tf.concat([other, same], axis=1)  # [N, 2*R*N]

    loss = tf.nn.sparse_softmax_cross_entropy_with_logits(own, logits)
    won = tf.argmax(logits, axis=1, output_type=tf.int32) == own
    log_p = tf.nn.log_softmax(tf.stop_gradient(logits))
    entropy = -tf.reduce_sum(tf.exp(log_p) * log_p, axis=1)
    return loss, tf.cast(won, tf.float32), entropy
