"""The counter hash: its generator, and whether its numbers look random."""

import numpy as np
import pytest
import scipy.stats
import tensorflow as tf

from simclr_tf import counter_hash

NUM_DRAWS = 200_000
LEAST_P_VALUE = 1e-3  # words are fixed: a test passes always or never
# The words of a number, as draws have them: (seed, epoch, id, view, purpose).
WORDS = (3, 5, 7, 1, 2)
NAMES = ("seed", "epoch", "sample id", "view", "purpose")
# Seeds that hashes of lesser quality confuse.
STARTS = (0, 1, -1, 2**31, 2**62)


def splitmix64(words):
    mask, state = 2**64 - 1, 0x9E3779B97F4A7C15
    for word in words:
        state = ((state + 0x9E3779B97F4A7C15) & mask) ^ (word & mask)
        state = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & mask
        state = ((state ^ (state >> 27)) * 0x94D049BB133111EB) & mask
        state = state ^ (state >> 31)
    return state


def counted(place, *, start=0, count=NUM_DRAWS):
    """Numbers of which one word counts up, the others being WORDS."""
    words = list(WORDS)
    words[place] = tf.range(start, start + count, dtype=tf.int64)
    return counter_hash.uniform(*words).numpy()


def assert_independent(first, second, cells=16):
    """By correlation, and by chi-squared of their joint histogram."""
    correlation = np.corrcoef(first, second)[0, 1]
    assert abs(correlation) < 4 / np.sqrt(len(first))
    pairs = np.int64(first * cells) * cells + np.int64(second * cells)
    counts = np.bincount(pairs, minlength=cells**2)
    assert scipy.stats.chisquare(counts).pvalue > LEAST_P_VALUE


@pytest.mark.parametrize(
    "words", [(0,), (1, 2, 3), (-5, 2**62), (2**63 - 1, -(2**63))]
)
def test_mix_is_splitmix64(words):
    expected = splitmix64(words)
    assert int(counter_hash.mix(*words)) % 2**64 == expected
    tensors = [tf.constant(word, tf.int64) for word in words]
    assert int(counter_hash.mix(*tensors)) % 2**64 == expected
    assert int(counter_hash.mix(words[0], *tensors[1:])) % 2**64 == expected


def test_mix_gives_the_published_number():
    """splitmix64 seeded with 0 gives this as its second number."""
    assert int(counter_hash.mix(0)) % 2**64 == 0x6E789E6AA1B965F4


def test_mix_depends_on_the_order_and_number_of_its_words():
    values = {
        int(counter_hash.mix(*words))
        for words in ((0,), (0, 0), (0, 0, 0), (0, 1), (1, 0), (1,), (1, 1))
    }
    assert len(values) == 7


def test_uniform_is_the_upper_24_bits(rng):
    ids = rng.integers(-(2**63), 2**63, 1000)
    numbers = counter_hash.uniform(9, ids)
    assert numbers.dtype == tf.float32
    expected = [(splitmix64((9, int(i))) >> 40) / 2**24 for i in ids]
    np.testing.assert_array_equal(numbers, expected)


def test_uniform_is_below_one_and_n_times_it_below_n(monkeypatch):
    """Of all hashes, the greatest: it rounds to 1 in 32 bits, not in 24."""
    monkeypatch.setattr(
        counter_hash, "mix", lambda *words: tf.constant(words, tf.int64)
    )
    least, greatest = counter_hash.uniform(0, -1).numpy()
    assert least == 0
    assert greatest == np.nextafter(np.float32(1), np.float32(0))
    n = tf.range(1, 2**20, dtype=tf.float32)
    assert tf.reduce_all(greatest * n < n)


@pytest.mark.parametrize("place", range(5), ids=NAMES)
def test_numbers_are_uniform_whichever_word_counts(place):
    for start in STARTS:
        numbers = counted(place, start=start, count=50_000)
        test = scipy.stats.kstest(numbers, scipy.stats.uniform.cdf)
        assert test.pvalue > LEAST_P_VALUE, start


@pytest.mark.parametrize("distance", [1, 2, 64])
@pytest.mark.parametrize("place", range(5), ids=NAMES)
def test_neighbours_are_independent(place, distance):
    pairs = counted(place, count=2 * NUM_DRAWS // 128 * 128)
    pairs = pairs.reshape(-1, 2, distance)  # no number in two of them
    assert_independent(pairs[:, 0].ravel(), pairs[:, 1].ravel())


@pytest.mark.parametrize("place", [0, 1, 3, 4], ids=lambda i: NAMES[i])
def test_samples_are_independent_between_seeds_epochs_views_purposes(place):
    """The same samples, one after the other, where another word differs."""
    words = list(WORDS)
    words[2] = tf.range(NUM_DRAWS, dtype=tf.int64)
    first = counter_hash.uniform(*words).numpy()
    for other in (WORDS[place] + 1, WORDS[place] + 256, -WORDS[place]):
        words[place] = other
        assert_independent(first, counter_hash.uniform(*words).numpy())


def test_every_bit_of_a_word_changes_half_of_the_hash(rng):
    words = rng.integers(-(2**63), 2**63, 2000)
    flipped = words[:, None] ^ (np.int64(1) << np.arange(64))
    change = counter_hash.mix(words)[:, None] ^ counter_hash.mix(flipped)
    bits = (change.numpy()[..., None] >> np.arange(64)) & 1
    rates = bits.mean(axis=0)  # [bit of the word, bit of the hash]
    deviation = 0.5 / np.sqrt(len(words))
    assert np.abs(rates - 0.5).max() < 6 * deviation


@pytest.mark.parametrize("jit_compile", [False, True])
def test_a_number_is_the_same_alone_in_a_batch_and_in_a_graph(jit_compile):
    ids = tf.range(-8, 8, dtype=tf.int64)[:, None] * 2**59
    purposes = tf.range(3)

    @tf.function(jit_compile=jit_compile)
    def in_a_graph(ids, purposes):
        return counter_hash.uniform(3, 5, ids, 1, purposes)

    batch = in_a_graph(ids, purposes)
    assert batch.shape == (16, 3)
    rows = tf.data.Dataset.from_tensor_slices(ids).map(
        lambda one: counter_hash.uniform(3, 5, one, 1, purposes)
    )
    for i, row in enumerate(rows):
        np.testing.assert_array_equal(row, batch[i])
        for purpose in range(3):
            alone = counter_hash.uniform(3, 5, int(ids[i, 0]), 1, purpose)
            np.testing.assert_array_equal(alone, batch[i, purpose])
