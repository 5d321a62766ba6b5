"""NT-Xent in tiles of rows, for batches whose logits do not fit in memory.

The logits of N anchors against 2*R*N candidates are computed for a few anchors
(a tile of rows) at a time. The forward pass keeps each row's log-sum-exp only;
the backward pass computes the logits of each tile again. Memory is
O((N + R*N) * d + tile). Both views go through one loop, because TensorFlow
would run two loops at the same time, each with a tile in memory. Nothing here
crosses replicas: under MirroredStrategy on a CPU, a collective in a loop fails.

Legend: n = 2*N anchors, C = 2*R*N candidates, t rows of a tile, T tiles.
"""

import tensorflow as tf

# Replaces an anchor's similarity to itself, as in `contrastive`.
_MASKED = -1e9


def anchors(rows, positives, columns, places, *, tile_rows: int):
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

    Returns:
        float32[n] each: the loss l; 1 where the positive is the most similar
        candidate, else 0; and the entropy. Only l has a gradient.
    """
    tiles = -(-rows.shape[0] // tile_rows)

    @tf.custom_gradient
    def over_candidates(rows, columns):
        lse, won, entropy = _forward(rows, columns, places, tiles)

        def gradient(upstream, *_):
            return _backward(rows, columns, places, lse, upstream, tiles)

        return (lse, won, entropy), gradient

    lse, won, entropy = over_candidates(rows, columns)
    return lse - tf.reduce_sum(rows * positives, axis=1), won, entropy


def _forward(rows, columns, places, tiles):
    """float32[n] each: log-sum-exp, whether the positive won, the entropy."""

    def tile(mine):
        rows, places = mine
        logits = tf.where(
            _itself(places, columns),
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


def _backward(rows, columns, places, lse, upstream, tiles):
    """The gradient of the log-sum-exp with respect to rows and columns."""
    cut = [_cut(part, tiles) for part in (rows, places, lse, upstream)]
    results = tf.TensorArray(tf.float32, tiles, element_shape=cut[0].shape[1:])

    def tile(i, d_columns, d_rows):
        rows, places, lse, upstream = (part[i] for part in cut)
        logits = tf.matmul(rows, columns, transpose_b=True)
        p = tf.exp(logits - lse[:, tf.newaxis])
        p = tf.where(_itself(places, columns), 0.0, p)  # [t, C]
        upstream = upstream[:, tf.newaxis]
        d_columns += tf.matmul(p, rows * upstream, transpose_a=True)
        d_rows = d_rows.write(i, tf.matmul(p, columns) * upstream)
        return i + 1, d_columns, d_rows

    _, d_columns, d_rows = tf.while_loop(
        lambda i, *_: i < tiles,
        tile,
        (0, tf.zeros_like(columns), results),
        parallel_iterations=1,
        maximum_iterations=tiles,
    )
    return _joined(d_rows.stack(), rows), d_columns


def _itself(places, columns):
    """bool[t, C], True where the column is the anchor itself."""
    return tf.range(tf.shape(columns)[0]) == places[:, :1]


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
