"""TensorFlow's stateless random numbers, for many seeds at once.

tf.random.stateless_uniform and stateless_fold_in take one seed a call. Images
have one each, and so small an operation costs its overhead: drawn image by
image, a pair of views takes as long as a third of a JPEG's decoding. Here the
same bits come for a whole batch in a few hundred operations on vectors.
(Salmon et al. 2011, Parallel random numbers: as easy as 1, 2, 3.)

Ref: TensorFlow's philox_random.h and stateless_random_ops_v2; a test holds
these functions to the bit.
"""

import tensorflow as tf

_U64 = tf.uint64
_LOW = 0xFFFFFFFF
_ROUNDS = 10
# Of the words (0, 2) of a counter, and of a key's two words.
_MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
_WEYL = (0x9E3779B9, 0xBB67AE85)
# The key under which TensorFlow hashes a seed into a key and a counter.
_SCRAMBLE = (0x3EC8F720, 0x02461E29)


def fold_in(seeds, data) -> tf.Tensor:
    """tf.random.experimental.stateless_fold_in(seed, data, "philox") of each.

    Args:
        seeds: int32 or int64 [..., 2].
        data: int32 or int64 [...], broadcast against the seeds.

    Returns:
        [..., 2] of data's type.
    """
    data = tf.convert_to_tensor(data)
    seeds = tf.cast(seeds, tf.int64)
    words = _words(seeds, tf.zeros([1], _U64))[..., 0, :]
    hashed = words[..., 0]
    if data.dtype == tf.int64:
        hashed = tf.bitwise.bitwise_or(hashed, _shift_left(words[..., 1]))
    hashed = tf.bitcast(hashed, tf.int64)
    if data.dtype == tf.int32:
        # To int32 with the high bit as sign, whatever a cast makes of it.
        hashed = tf.bitcast(tf.cast(hashed, tf.uint32), tf.int32)
    shape = tf.broadcast_dynamic_shape(tf.shape(hashed), tf.shape(data))
    folded = tf.stack(
        [tf.broadcast_to(hashed, shape), tf.broadcast_to(data, shape)], axis=-1
    )
    static = tf.broadcast_static_shape(seeds.shape[:-1], data.shape)
    return tf.ensure_shape(folded, [*static, 2])


def uniform(seeds, count: int) -> tf.Tensor:
    """tf.random.stateless_uniform([count], seed, alg="philox") of each.

    Args:
        seeds: int32 or int64 [..., 2].
        count: numbers for each.

    Returns:
        float32[..., count] in [0, 1).
    """
    seeds = tf.cast(seeds, tf.int64)
    blocks = tf.range(-(-count // 4), dtype=tf.int64)
    words = _words(seeds, tf.cast(blocks, _U64))
    words = tf.reshape(words, tf.concat([tf.shape(seeds)[:-1], [-1]], 0))
    # 23 bits of mantissa under the exponent of [1, 2).
    bits = tf.bitwise.bitwise_or(
        tf.bitwise.bitwise_and(words, tf.constant(0x7FFFFF, _U64)),
        tf.constant(0x3F800000, _U64),
    )
    numbers = tf.bitcast(tf.cast(bits, tf.uint32), tf.float32) - 1.0
    return tf.ensure_shape(numbers[..., :count], [*seeds.shape[:-1], count])


# One trace for all shapes: its operations are many.
@tf.function(
    input_signature=[tf.TensorSpec(None, tf.int64), tf.TensorSpec([None], _U64)]
)
def _words(seeds, blocks):
    """uint64[..., blocks, 4], in the low halves: the bits that seeds give."""
    halves = tf.bitcast(seeds, _U64)
    halves = tf.stack(
        [
            tf.bitwise.bitwise_and(halves, tf.constant(_LOW, _U64)),
            _shift_right(halves),
        ],
        axis=-1,
    )  # [..., 2, 2]: low and high of both
    mixed = _philox(
        halves[..., 0], halves[..., 1], tf.constant(_SCRAMBLE, _U64)
    )
    mixed = mixed[..., None, :]
    start, spread = (
        tf.zeros_like(mixed[..., :1]),
        tf.zeros_like(blocks)[:, None],
    )
    even = tf.concat([start + blocks[:, None], mixed[..., 2:3] + spread], -1)
    odd = tf.concat([start + spread, mixed[..., 3:] + spread], -1)
    return _philox(even, odd, mixed[..., :2])


def _philox(even, odd, key):
    """Philox 4x32-10 of counters (even[0], odd[0], even[1], odd[1]).

    Args:
        even, odd: uint64[..., 2] below 2^32.
        key: the same, broadcast.

    Returns:
        uint64[..., 4] below 2^32.
    """
    low, weyl = tf.constant(_LOW, _U64), tf.constant(_WEYL, _U64)
    multipliers = tf.constant(_MULTIPLIERS[::-1], _U64)
    for _ in range(_ROUNDS):
        products = tf.reverse(even, [-1]) * multipliers
        even = tf.bitwise.bitwise_xor(
            tf.bitwise.bitwise_xor(_shift_right(products), odd), key
        )
        odd = tf.bitwise.bitwise_and(products, low)
        key = tf.bitwise.bitwise_and(key + weyl, low)
    words = tf.stack([even, odd], axis=-1)
    return tf.reshape(words, tf.concat([tf.shape(words)[:-2], [4]], 0))


def _shift_right(words):
    return tf.bitwise.right_shift(words, tf.constant(32, _U64))


def _shift_left(words):
    return tf.bitwise.left_shift(words, tf.constant(32, _U64))
