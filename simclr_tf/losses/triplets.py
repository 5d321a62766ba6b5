"""NT-Logistic and the margin triplet loss, over the rows of every replica.

The losses that the paper compares NT-Xent with (Tables 2 and 4, appendix
B.10). Both look at triplets: an anchor u, its positive v+ (the other view of
its example) and a negative v- (a view of another example).

Paper: it leaves open how negatives are reduced, which negative is taken where
none is semi-hard, and what the margin of NT-Logistic (sh) is. Here a loss is
the mean over the triplets, an anchor without a semi-hard negative counts 0,
and both losses share one definition of semi-hard.

Legend: as in `contrastive` and `tiles`.
"""

from collections.abc import Callable
from typing import NamedTuple

import tensorflow as tf

from simclr_tf import distributed
from simclr_tf.losses import rows, tiles

# Replaces the similarity of what is not compared; beyond all cosines.
_MASKED = -1e9


class Triplets(NamedTuple):
    """What the losses of this file return, each float32[].

    Attributes:
        loss: this replica's share of the loss; the sum over replicas is the
            loss of the global batch, so summed gradients are its gradient.
        accuracy: share of this replica's 2N anchors, in [0, 1], whose positive
            is more similar than all of their negatives.
        active: share of their triplets, in [0, 1], that have a gradient; with
            semi-hard negatives, share of the anchors that have one.
    """

    loss: tf.Tensor
    accuracy: tf.Tensor
    active: tf.Tensor


def nt_logistic(
    z_a: tf.Tensor,
    z_b: tf.Tensor,
    *,
    temperature: float,
    semi_hard_margin: float | None = None,
    negative_views: str = "both",
    hidden_norm: bool = True,
    max_logits: int = rows.MAX_LOGITS,
) -> Triplets:
    """Normalised temperature-scaled logistic loss (paper, Table 2).

        l(u, v+, v-) = -log sigmoid(u.v+ / tau) - log sigmoid(-u.v- / tau)

    It is on the scale of `contrastive.nt_xent`: the mean over examples of
    what their two anchors pay.

    Args:
        z_a: float[N, d], projections of the first views; computed in float32.
        z_b: float[N, d], projections of the second views, in the same order.
        temperature: tau > 0.
        semi_hard_margin: m > 0. Of an anchor's negatives, only the most
            similar with u.v+ - m < u.v- < u.v+ counts; without one, the
            anchor counts 0. None: all of its negatives count, in the mean.
        negative_views: "both", or "other": only rows of the view that the
            positive is of are negatives.
        hidden_norm: l2-normalise the rows first; without, similarities are
            dot products.
        max_logits: as of `contrastive.nt_xent`.

    Returns:
        `Triplets`.

    Raises:
        ValueError: the temperature, the margin or max_logits is not positive,
            an unknown negative_views, or shapes that differ.
    """
    rows.require_positive("temperature", temperature)
    return _loss(
        z_a,
        z_b,
        lambda s, positive: (
            tf.nn.softplus(-positive / temperature)
            + tf.nn.softplus(s / temperature)
        ),
        lambda s, positive: tf.ones_like(s, tf.bool),
        semi_hard_margin=semi_hard_margin,
        negative_views=negative_views,
        hidden_norm=hidden_norm,
        max_logits=max_logits,
    )


def margin_triplet(
    z_a: tf.Tensor,
    z_b: tf.Tensor,
    *,
    margin: float,
    semi_hard: bool = False,
    negative_views: str = "both",
    hidden_norm: bool = True,
    max_logits: int = rows.MAX_LOGITS,
) -> Triplets:
    """Margin triplet loss (paper, Table 2; Schroff et al. 2015).

        l(u, v+, v-) = max(u.v- - u.v+ + m, 0)

    Args:
        z_a, z_b, negative_views, hidden_norm, max_logits: as of `nt_logistic`.
        margin: m >= 0.
        semi_hard: whether, of an anchor's negatives, only the most similar
            with u.v+ - m < u.v- < u.v+ counts.

    Returns:
        `Triplets`.

    Raises:
        ValueError: as `nt_logistic`; a negative margin.
    """
    if margin < 0:
        raise ValueError(f"margin must be at least 0. Received: {margin}.")
    return _loss(
        z_a,
        z_b,
        lambda s, positive: tf.nn.relu(s - positive + margin),
        lambda s, positive: s - positive + margin > 0,
        semi_hard_margin=margin if semi_hard else None,
        negative_views=negative_views,
        hidden_norm=hidden_norm,
        max_logits=max_logits,
    )


def _loss(
    z_a,
    z_b,
    triplet: Callable,
    is_active: Callable,
    *,
    semi_hard_margin,
    negative_views,
    hidden_norm,
    max_logits,
) -> Triplets:
    """The loss of triplets, whatever one pays.

    Args:
        triplet: (similarities of negatives, float32[t, c], of the positives,
            float32[t, 1]) -> float32[t, c], what each pays.
        is_active: of the same -> bool[t, c], whether it has a gradient.
    """
    if semi_hard_margin is not None:
        rows.require_positive("the margin of semi-hard", semi_hard_margin)
    z_a, z_b = rows.checked(
        z_a,
        z_b,
        hidden_norm=hidden_norm,
        max_logits=max_logits,
        negative_views=negative_views,
    )

    def anchors(mine, columns, places):
        s = tf.matmul(mine, columns, transpose_b=True)  # [t, C]
        is_positive = tf.range(tf.shape(columns)[0]) == places[:, 1:]
        excluded = rows.excluded(places, columns, negative_views)
        is_negative = ~(is_positive | excluded)
        # Of the same product, so that both are rounded alike.
        positive = tf.where(is_positive, s, 0.0)
        positive = tf.reduce_sum(positive, axis=1, keepdims=True)
        compared = tf.where(excluded, _MASKED, s)
        won = tf.argmax(compared, axis=1, output_type=tf.int32) == places[:, 1]
        if semi_hard_margin is not None:
            s, is_negative = _semi_hard(
                s, positive, is_negative, semi_hard_margin
            )
        counts = tf.cast(is_negative, tf.float32)
        number = tf.maximum(tf.reduce_sum(counts, axis=1), 1.0)
        active = tf.cast(is_active(s, positive), tf.float32)
        return (
            tf.reduce_sum(triplet(s, positive) * counts, axis=1) / number,
            tf.cast(won, tf.float32),
            tf.reduce_sum(active * counts, axis=1) / number,
        )

    everyone = rows.gathered(z_a, z_b)
    loss, won, active = tiles.in_turn(
        anchors,
        tf.concat([z_a, z_b], axis=0),
        everyone.columns,
        everyone.places,
        tile_rows=rows.tile_rows(z_a.shape[0], max_logits),
    )
    # Two anchors an example, and this replica's share of the mean.
    scale = 2.0 / distributed.num_replicas()
    return Triplets(
        tf.reduce_mean(loss) * scale,
        tf.reduce_mean(won),
        tf.reduce_mean(active),
    )


def _semi_hard(s, positive, is_negative, margin):
    """The one semi-hard negative of each anchor.

    Returns:
        Its similarity, float32[t, 1], and whether there is one, bool[t, 1].
    """
    fits = is_negative & (s < positive) & (s > positive - margin)
    # Closest in distance, yet farther than the positive (paper, B.10).
    hardest = tf.reduce_max(tf.where(fits, s, _MASKED), axis=1, keepdims=True)
    return hardest, tf.reduce_any(fits, axis=1, keepdims=True)
