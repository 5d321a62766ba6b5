"""Which rows a contrastive loss compares: everyone's, and which of them count.

Legend: as in `contrastive`; n = 2*N anchors, C = 2*R*N candidates, the rows of
all first views and then of all second views.
"""

from typing import NamedTuple

import tensorflow as tf

from simclr_tf import distributed

# The most logits of one view on one replica that are kept at once: 64 MB a
# copy, of which the tape keeps several. With more, tiles are faster, too.
MAX_LOGITS = 2**24

NEGATIVE_VIEWS = ("both", "other")


class Everyone(NamedTuple):
    """The rows of all replicas, and where this replica's are.

    Attributes:
        first, second: float32[R*N, d], of either view.
        own: int32[N], the places of this replica's rows in them.
    """

    first: tf.Tensor
    second: tf.Tensor
    own: tf.Tensor

    @property
    def columns(self) -> tf.Tensor:
        """float32[C, d], the candidates."""
        return tf.concat([self.first, self.second], axis=0)

    @property
    def places(self) -> tf.Tensor:
        """int32[n, 2], each anchor's own place among the candidates, and its
        positive's: of the first views and then of the second."""
        second = self.own + tf.shape(self.first)[0]
        pairs = [
            tf.stack([self.own, second], 1),
            tf.stack([second, self.own], 1),
        ]
        return tf.concat(pairs, axis=0)


def checked(z_a, z_b, *, hidden_norm, max_logits, negative_views):
    """Both views' rows in float32, normalised where that is asked for.

    Raises:
        ValueError: max_logits is not positive, negative_views is unknown, or
            the shapes differ.
    """
    z_a, z_b = (tf.cast(z, tf.float32) for z in (z_a, z_b))
    if max_logits < 1:
        raise ValueError(
            f"max_logits must be at least 1. Received: {max_logits}."
        )
    if negative_views not in NEGATIVE_VIEWS:
        raise ValueError(
            f"negative_views must be one of {', '.join(NEGATIVE_VIEWS)}. "
            f"Received: {negative_views!r}."
        )
    if z_a.shape.rank != 2 or not z_a.shape.is_compatible_with(z_b.shape):
        raise ValueError(
            "z_a and z_b must both be [N, d]. Received: "
            f"{z_a.shape} and {z_b.shape}."
        )
    if hidden_norm:
        z_a, z_b = (tf.math.l2_normalize(z, axis=1) for z in (z_a, z_b))
    return z_a, z_b


def require_positive(name: str, value: float) -> None:
    """Raises a ValueError where the value is not above 0."""
    if not value > 0:
        raise ValueError(f"{name} must be greater than 0. Received: {value}.")


def gathered(z_a: tf.Tensor, z_b: tf.Tensor) -> Everyone:
    """The rows of all replicas, of float32[N, d] each on this one."""
    rows = tf.shape(z_a)[0]
    # Both views go through one collective: each has a cost of its own.
    everyone = distributed.all_gather_rows(tf.concat([z_a, z_b], axis=1))
    own = distributed.replica_index() * rows + tf.range(rows)
    return Everyone(*tf.split(everyone, 2, axis=1), own)


def tile_rows(rows: int | None, max_logits: int) -> int | None:
    """Rows of a tile, or None where all logits may exist at once."""
    if rows is None:
        return None
    columns = 2 * rows * distributed.num_replicas()
    if rows * columns <= max_logits:
        return None
    return max(1, max_logits // columns)


def excluded(
    places: tf.Tensor, columns: tf.Tensor, negative_views: str
) -> tf.Tensor:
    """bool[t, C], True where a candidate is no candidate: the anchor itself,
    or all rows of its view.

    Args:
        places: int32[t, 2], of the anchors, as `Everyone.places`.
        columns: float32[C, d].
        negative_views: of NEGATIVE_VIEWS.
    """
    count = tf.shape(columns)[0]
    numbers, itself = tf.range(count), places[:, :1]
    if negative_views == "both":
        return numbers == itself
    half = count // 2
    return (numbers < half) == (itself < half)
