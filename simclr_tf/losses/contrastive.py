"""NT-Xent, the contrastive loss of SimCLR, over the rows of every replica.

Legend, used by every module: N examples per replica, R replicas, d projection
dimension, K classes; h the representation, z the projection, tau the
temperature. A replica holds its own rows against everyone's columns:
[N, R*N] logits, never [R*N, R*N].
"""

from typing import NamedTuple

import tensorflow as tf

from simclr_tf import distributed
from simclr_tf.losses import rows, tiles

# Subtracted from an anchor's similarity to itself. Finite, so that
# p * log(p) is 0 there and not NaN.
_MASKED = 1e9


class NtXent(NamedTuple):
    """What `nt_xent` returns, each float32[].

    Attributes:
        loss: this replica's share of the loss; the sum over replicas is the
            loss of the global batch, so summed gradients are its gradient.
        accuracy: share of this replica's 2N anchors, in [0, 1], whose positive
            is the most similar of the candidates: 2*R*N - 1, or R*N with
            negatives from the other view only.
        entropy: mean entropy in nats of the anchors' distributions over those
            candidates, in [0, log(their number)].
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
    negative_views: str = "both",
    max_logits: int = rows.MAX_LOGITS,
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
        negative_views: "both"; or "other", with k over the rows of j's view
            only, as in the paper's comparison with other losses (B.10).
        max_logits: where a view has more than so many logits (N * 2*R*N),
            they are computed in tiles of rows, once forward and again for
            the gradient, in O((N + R*N) * d + max_logits) memory. The
            results are the same, except which of equally similar candidates
            counts as the most similar. Tiles need N to be known when the
            graph is made.

    Returns:
        `NtXent`.

    Raises:
        ValueError: the temperature or max_logits is not positive, an unknown
            negative_views, or shapes that differ.
    """
    rows.require_positive("temperature", temperature)
    z_a, z_b = rows.checked(
        z_a,
        z_b,
        hidden_norm=hidden_norm,
        max_logits=max_logits,
        negative_views=negative_views,
    )
    everyone = rows.gathered(z_a, z_b)
    tile_rows = rows.tile_rows(z_a.shape[0], max_logits)
    if tile_rows is None:
        all_a, all_b, own = everyone
        how = (own, temperature, negative_views)
        from_a = _anchors(z_a, all_b, all_a, *how)
        from_b = _anchors(z_b, all_a, all_b, *how)
    else:
        each = tiles.anchors(
            tf.concat([z_a, z_b], axis=0) / temperature,
            tf.concat([z_b, z_a], axis=0),
            everyone.columns,
            everyone.places,
            tile_rows=tile_rows,
            negative_views=negative_views,
        )
        from_a, from_b = zip(*(tf.split(x, 2) for x in each), strict=True)
    loss = tf.reduce_mean(from_a[0] + from_b[0]) / distributed.num_replicas()
    accuracy, entropy = (
        tf.reduce_mean(tf.concat(pair, axis=0))
        for pair in zip(from_a[1:], from_b[1:], strict=True)
    )
    return NtXent(loss, accuracy, entropy)


def _anchors(anchors, other_view, same_view, own, temperature, negative_views):
    """float32[N] each: l; 1 if the positive is on top, else 0; entropy."""
    columns = tf.shape(other_view)[0]
    logits = tf.matmul(anchors, other_view, transpose_b=True) / temperature
    if negative_views == "both":
        same = tf.matmul(anchors, same_view, transpose_b=True) / temperature
        same -= _MASKED * tf.one_hot(own, columns)
        logits = tf.concat([logits, same], axis=1)  # [N, 2*R*N]

    loss = tf.nn.sparse_softmax_cross_entropy_with_logits(own, logits)
    won = tf.argmax(logits, axis=1, output_type=tf.int32) == own
    log_p = tf.nn.log_softmax(tf.stop_gradient(logits))
    entropy = -tf.reduce_sum(tf.exp(log_p) * log_p, axis=1)
    return loss, tf.cast(won, tf.float32), entropy
