"""Losses in tiles of rows, for batches whose logits do not fit in memory.

The logits of N anchors against 2*R*N candidates are computed for a few anchors
(a tile of rows) at a time. The forward pass keeps each row's log-sum-exp only;
the backward pass computes the logits of each tile again. Memory is
O((N + R*N) * d + tile). Both views go through one loop, because TensorFlow
would run two loops at the same time, each with a tile in memory. Nothing here
crosses replicas: under MirroredStrategy on a CPU, a collective in a loop fails.
`anchors` is NT-Xent, with its gradient written out; `in_turn` is any loss.

Legend: n = 2*N anchors, C = 2*R*N candidates, t rows of a tile, T tiles.
"""

from collections.abc import Callable

import tensorflow as tf

from simclr_tf.losses import rows as which

# Replaces an anchor's similarity to itself, as in `contrastive`.
_MASKED = -1e9


def anchors(
    rows,
    positives,
    columns,
    places,
    *,
    tile_rows: int,
    negative_views: str = "both",
):
    """Loss, hit and entropy of each anchor, for `contrastive.nt_xent`.

    Has first derivatives with respect to rows, positives and columns.

    Args:
        rows: float32[n, d], the anchors, divided by the temperature.
        positives: float32[n, d], the same examples' other views.
        columns: float32[C, d], the candidates.
        places: int32[n, 2], for each anchor its own index among the columns,
            and its positive's.
        tile_rows: t, rows of a tile at most; t * C logits exist at once, in
            a handful of copies.
        negative_views: of `rows.excluded`.

    Returns:
        float32[n] each: the loss l; 1 where the positive is the most similar
        candidate, else 0; and the entropy. Only l has a gradient.
    """
    tiles = -(-rows.shape[0] // tile_rows)

    @tf.custom_gradient
    def over_candidates(rows, columns):
        lse, won, entropy = _forward(
            rows, columns, places, tiles, negative_views
        )

        def gradient(upstream, *_):
            return _backward(
                rows, columns, places, lse, upstream, tiles, negative_views
            )

        return (lse, won, entropy), gradient

    lse, won, entropy = over_candidates(rows, columns)
    return lse - tf.reduce_sum(rows * positives, axis=1), won, entropy


def in_turn(
    loss: Callable, mine, columns, places, *, tile_rows: int | None
) -> tuple[tf.Tensor, ...]:
    """A loss of anchors against candidates, one tile of anchors at a time.

    Has first derivatives with respect to mine and columns, for which each
    tile is computed again.

    Args:
        loss: (float32[t, d], float32[C, d], int32[t, 2]) -> float32[t] each:
            what the anchors pay, and two measures without a gradient.
        mine: float32[n, d], the anchors.
        columns, places: as of `anchors`.
        tile_rows: t, rows of a tile at most; None: all at once.

    Returns:
        float32[n] each, as `loss`.
    """
    if tile_rows is None:
        return loss(mine, columns, places)
    tiles = -(-mine.shape[0] // tile_rows)

    @tf.custom_gradient
    def over_candidates(mine, columns):
        each = tf.map_fn(
            lambda cut: loss(cut[0], columns, cut[1]),
            (_cut(mine, tiles), _cut(places, tiles)),
            fn_output_signature=(tf.float32,) * 3,
            parallel_iterations=1,  # one tile in memory
        )

        def gradient(upstream, *_):
            return _pulled_back(loss, mine, columns, places, upstream, tiles)

        return tuple(_joined(part, mine) for part in each), gradient

    return over_candidates(mine, columns)


def _pulled_back(loss, mine, columns, places, upstream, tiles):
    """The gradient of a loss with respect to mine and columns."""

    def of_tile(mine, places, upstream):
        with tf.GradientTape() as tape:
            inputs = mine, tf.identity(columns)
            tape.watch(inputs)
            paid, *_ = loss(*inputs, places)
        return tape.gradient(paid, inputs, output_gradients=upstream)

    return _summed(of_tile, (mine, places, upstream), columns, tiles)


def _summed(gradient, parts, columns, tiles):
    """Gradients by the rows, float32[n, d], and by all columns, [C, d].

    Args:
        gradient: of a tile of each of the parts -> by its rows, float32[t, d],
            and its share of that by the columns, [C, d].
        parts: [n, ...] each, the rows first.
        columns: float32[C, d].
        tiles: how many.
    """
    cut = [_cut(part, tiles) for part in parts]
    results = tf.TensorArray(tf.float32, tiles, element_shape=cut[0].shape[1:])

    def tile(i, d_columns, d_rows):
        own, everyones = gradient(*(part[i] for part in cut))
        return i + 1, d_columns + everyones, d_rows.write(i, own)

    _, d_columns, d_rows = tf.while_loop(
        lambda i, *_: i < tiles,
        tile,
        (0, tf.zeros_like(columns), results),
        parallel_iterations=1,
        maximum_iterations=tiles,
    )
    return _joined(d_rows.stack(), parts[0]), d_columns


def _forward(rows, columns, places, tiles, negative_views):
    """float32[n] each: log-sum-exp, whether the positive won, the entropy."""

    def tile(mine):
        rows, places = mine
        logits = tf.where(
            which.excluded(places, columns, negative_views),
            _MASKED,
            tf.matmul(rows, columns, transpose_b=True),
        )  # [t, C]
        won = tf.argmax(logits, axis=1, output_type=tf.int32) == places[:, 1]
        top = tf.reduce_max(logits, axis=1, keepdims=True)
        logits -= top
        weights = tf.exp(logits)
        total = tf.reduce_sum(weights, axis=1)
        log_total = tf.math.log(total)
        mean = tf.reduce_sum(weights * logits, axis=1) / total
        return (
            top[:, 0] + log_total,
            tf.cast(won, tf.float32),
            log_total - mean,
        )

    each = tf.map_fn(
        tile,
        (_cut(rows, tiles), _cut(places, tiles)),
        fn_output_signature=(tf.float32,) * 3,
        parallel_iterations=1,  # one tile in memory
    )
    return tuple(_joined(part, rows) for part in each)


def _backward(rows, columns, places, lse, upstream, tiles, negative_views):
    """The gradient of the log-sum-exp with respect to rows and columns."""

    def of_tile(rows, places, lse, upstream):
        logits = tf.matmul(rows, columns, transpose_b=True)
        p = tf.exp(logits - lse[:, tf.newaxis])
        excluded = which.excluded(places, columns, negative_views)
        p = tf.where(excluded, 0.0, p)  # [t, C]
        upstream = upstream[:, tf.newaxis]
        return (
            tf.matmul(p, columns) * upstream,
            tf.matmul(p, rows * upstream, transpose_a=True),
        )

    return _summed(of_tile, (rows, places, lse, upstream), columns, tiles)


def _cut(values, tiles):
    """[n, ...] as [T, t, ...]; rows of zeros fill up the last tile.

    TPU: all tiles have one shape. `_joined` drops the results of the rows of
    zeros, and their upstream gradient is 0.
    """
    rows = -(-values.shape[0] // tiles)
    missing = rows * tiles - values.shape[0]
    padding = [[0, missing]] + [[0, 0]] * (values.shape.rank - 1)
    return tf.reshape(tf.pad(values, padding), [tiles, rows, *values.shape[1:]])


def _joined(parts, like):
    """The inverse of `_cut`."""
    whole = tf.reshape(parts, [-1, *parts.shape[2:]])
    return whole[: like.shape[0]]
