"""Which example comes when: a function of (seed, position), without state.

Position p of a run is example p of the endless sequence epoch 0, epoch 1, ...,
each epoch a permutation of the data set of its own. Batches straddle the ends
of epochs. Nothing is remembered from one position to the next, so a run can
resume anywhere, on any number of hosts, in the same order.
"""

import tensorflow as tf

from simclr_tf import counter_hash

# What a draw is for, so that equal seeds never meet in two uses.
EXAMPLES, PIECES, WINDOW, SUBSTITUTE, SCAN = range(5)


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
    words = counter_hash.mix(
        tf.expand_dims(counter_hash.mix(*key), -1), tf.range(6)
    )
    last = tf.cast(size, tf.int64) - 1
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
