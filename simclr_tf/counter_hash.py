"""Random numbers without state: a hash of the integers they depend on.

A generator with state gives its numbers in the order in which they are asked
for. Here a number has a name instead, a sequence of integers such as (seed,
epoch, sample id), and is always the same: in any order, alone or in a batch,
eagerly, in a tf.data graph and compiled by XLA.

The first integer should say what the number is for, so that two uses with the
same seed don't share their numbers. `data.order` takes 0 and up for that,
`augment.draw` takes 1000, `data.digits` 2000, `augment.corruption` 3000.
"""

import tensorflow as tf

_GOLDEN = 0x9E3779B97F4A7C15
_MASK = 2**64 - 1
_U64 = tf.uint64
# The constants of the splitmix64 generator (Steele, Lea and Flood 2014).
_STEPS = ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB), (31, 1))
_MANTISSA_BITS = 24  # of float32


def mix(*words) -> tf.Tensor:
    """Hashes a sequence of integers.

    Args:
        *words: integers, or integer tensors, which are broadcast. Integers
            first cost least: they are hashed when the graph is built.

    Returns:
        int64[...], 64 random bits, of the words' common shape.
    """
    state = _GOLDEN
    for word in words:
        if isinstance(state, int) and isinstance(word, int):
            state = _stir_numbers(state, word)
        else:
            state = _stir(tf.convert_to_tensor(state, tf.uint64), word)
    return tf.bitcast(tf.convert_to_tensor(state, tf.uint64), tf.int64)


def uniform(*words) -> tf.Tensor:
    """A random number for a sequence of integers.

    Args:
        *words: as of ``mix``.

    Returns:
        float32[...] in [0, 1), a multiple of 2^-24. n times it stays below n
        after rounding, for every whole n up to 2^24.
    """
    bits = tf.bitcast(mix(*words), tf.uint64)
    shift = tf.constant(64 - _MANTISSA_BITS, _U64)
    bits = tf.cast(tf.bitwise.right_shift(bits, shift), tf.int32)
    return tf.cast(bits, tf.float32) * 2.0**-_MANTISSA_BITS


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


def _int64(value) -> tf.Tensor:
    if tf.is_tensor(value):
        return tf.cast(value, tf.int64)
    return tf.convert_to_tensor(value, tf.int64)
