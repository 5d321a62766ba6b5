"""Which example comes when: a function of (seed, position), without state.

Position p of a run is example p of the endless sequence epoch 0, epoch 1, ...,
each epoch a permutation of the data set of its own. Batches straddle the ends
of epochs. Nothing is remembered from one position to the next, so a run can
resume anywhere, on any number of hosts, in the same order.
"""

import tensorflow as tf

# What a draw is for, so that equal seeds never meet in two uses.
EXAMPLES, PIECES, WINDOW, SUBSTITUTE, SCAN = range(5)

_GOLDEN = 0x9E3779B97F4A7C15
_MASK = 2**64 - 1
_U64 = tf.uint64
# The constants of the splitmix64 generator (Steele, Lea and Flood 2014).
_STEPS = ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB), (31, 1))


def mix(*words) -> tf.Tensor:
    """int64[...], a hash of integers (or tensors of them, broadcast)."""
    state = _GOLDEN
    for word in words:
        if isinstance(state, int) and isinstance(word, int):
            state = _stir_numbers(state, word)
        else:
            state = _stir(tf.convert_to_tensor(state, tf.uint64), word)
    return tf.bitcast(tf.convert_to_tensor(state, tf.uint64), tf.int64)


def _stir(state: tf.Tensor, word) -> tf.Tensor:
    word = tf.bitcast(_int64(word), tf.uint64)
    state = tf.bitwise.bitwise_xor(state + tf.constant(_GOLDEN, _U64), word)
    for shift, factor in _STEPS:
        shifted = tf.bitwise.right_shift(state, tf.constant(shift, _U64))
        state = tf.bitwise.bitwise_xor(state, shifted)
        state *= tf.constant(factor, _U64)
    return state


def _stir_numbers(state: int, word: int) -> int:
    """_stir while nothing is a tensor yet: no ops for constant words."""
    state = ((state + _GOLDEN) & _MASK) ^ (word & _MASK)
    for shift, factor in _STEPS:
        state = ((state ^ (state >> shift)) * factor) & _MASK
    return state


def permute(index, *, size, key) -> tf.Tensor:
    """Where a permutation of 0..size-1 takes an index.

    Args:
        index: int64[] or int64[n] in 0..size-1.
        size: int or int64[].
        key: integers, or tensors of index's shape, that name the permutation;
            integers first, which costs least.

    Returns:
        int64, the shape of index.
    """
    # index_shuffle's cipher keeps only the low bits of its seed, 8 a word for
    # up to 65,536 examples: seeds 0 and 256 are one permutation. So the words
    # are hashes, and two passes make 48 bits of them.
    words = mix(tf.expand_dims(mix(*key), -1), tf.range(6, dtype=tf.int64))
    last = _int64(size) - 1
    for seed in (words[..., :3], words[..., 3:]):
        index = tf.raw_ops.RandomIndexShuffle(
            index=index, seed=seed, max_index=last, rounds=4
        )
    return index


def epoch_and_index(position, *, num_examples, seed):
    """The epoch that a position lies in, and the example it shows.

    Args:
        position: int64[] or int64[n], counted from the start of the run.
        num_examples: int, of an epoch.
        seed: int.

    Returns:
        epoch and index, int64 of position's shape, index in
        0..num_examples-1; over an epoch, every index once.
    """
    epoch, within = position // num_examples, position % num_examples
    key = (EXAMPLES, seed, epoch)
    return epoch, permute(within, size=num_examples, key=key)


def _int64(value) -> tf.Tensor:
    if tf.is_tensor(value):
        return tf.cast(value, tf.int64)
    return tf.convert_to_tensor(value, tf.int64)
