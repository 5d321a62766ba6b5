"""Images that cannot be read: what takes their place, how many, and why.

Dropping one (`ignore_errors` on the stream) would shift everything that comes
after it, and a resumed run would repeat samples. So a chunk, a few picks at a
time, is read inside a data set of its own, in the plain way, which raises on
an unreadable image. Where that fails, all of the chunk is read again in the
careful way, which tries candidates: the image itself, then others drawn from
the seed.
"""

import collections
from collections.abc import Callable, Sequence

import tensorflow as tf

from simclr_tf import counter_hash, terminal
from simclr_tf.data import order
from simclr_tf.errors import UserError
from simclr_tf.picture import whole

# How many candidates are tried for one image. They are drawn one at a time,
# so only a data set with hardly a readable image gets to the end.
CANDIDATES = 100
_NUM_NAMED = 10
# Of a record, or in a features cache of before there were reasons.
_UNKNOWN = "damaged or of an unknown sort"


class CorruptLog:
    """Counts and names the images that this process could not read.

    What it knows of one is a line, "name<tab>reason", for a terminal; neither
    part holds a tab.

    Args:
        reason_of: a name -> why the image cannot be read, in a few words.
    """

    def __init__(self, reason_of: Callable[[bytes], str] | None = None):
        self._reason_of = reason_of or (lambda name: _UNKNOWN)
        self._reasons: dict[bytes, str] = {}
        with tf.device("CPU:0"):
            self._table = tf.lookup.experimental.MutableHashTable(
                tf.string, tf.int64, default_value=0
            )

    def record(self, names) -> None:
        """Notes names string[n], from inside a tf.data function."""
        self._table.insert(names, tf.ones_like(names, tf.int64))

    def count(self) -> int:
        """How many different images could not be read so far."""
        return int(self._table.size())

    def names(self) -> list[str]:
        """Their names (path, or file and record), sorted, for a terminal."""
        return sorted(
            terminal.printable(name.decode(errors="replace"))
            for name in self._table.export()[0].numpy()
        )

    def lines(self) -> list[str]:
        """A line for each, sorted. Reads what it finds for the first time."""
        for name in self._table.export()[0].numpy():
            if name not in self._reasons:
                self._reasons[name] = self._reason_of(name)
        return sorted(
            line_of(name, reason) for name, reason in self._reasons.items()
        )

    def check(
        self,
        max_fraction: float,
        num_examples: int,
        lines: Sequence[str] | None = None,
    ) -> None:
        """Raises when too many of the images could not be read.

        Args:
            max_fraction: of num_examples, `--max_corrupt_fraction`.
            num_examples: of the data set.
            lines: those that any process could not read; this one's if None.

        Raises:
            UserError: there are more; it says why, and names the first ten.
        """
        count = self.count() if lines is None else len(lines)
        if count <= max_fraction * num_examples:
            return
        lines = self.lines() if lines is None else lines
        raise UserError(
            f"--max_corrupt_fraction={max_fraction:g} of {num_examples} images"
            f" may be unreadable, but {count} are {_why(lines)}. "
            "Repair or remove what the reasons blame, or raise the flag."
        )


def line_of(name: bytes | str, reason: str) -> str:
    """A line of `CorruptLog`."""
    if isinstance(name, bytes):
        name = name.decode(errors="replace")
    return f"{terminal.printable(name)}\t{reason}"


def in_words(lines: Sequence[str], *, done: str, path: str) -> str:
    """For the end of a job: "2 unreadable images were replaced (...)".

    Args:
        lines: of a log.
        done: what was done with them.
        path: of the table that names them all.
    """
    return (
        f"{len(lines)} unreadable images were {done} {_why(lines)}. All are"
        f" named in {path}"
    )


def _why(lines: Sequence[str]) -> str:
    """Such as "(truncated 12, an empty file 1): a.jpg, b.jpg and 11 more"."""
    pairs = [line.partition("\t")[::2] for line in lines]
    reasons = collections.Counter(reason or _UNKNOWN for _, reason in pairs)
    why = ", ".join(f"{why} {count}" for why, count in reasons.most_common())
    listed = ", ".join(name for name, _ in pairs[:_NUM_NAMED])
    if len(pairs) > _NUM_NAMED:
        listed += f" and {len(pairs) - _NUM_NAMED} more"
    return f"({why}): {listed}"


def map_picks(examples, chunks, plain, careful, *, num_parallel_calls):
    """plain(pick) of every pick; careful(pick) where its chunk has an error.

    A data set inside `map` is the one way to go on after an error that leaves
    the rest in its place. It costs some 0.15 ms, more than to decode a small
    image, hence the chunks.

    Args:
        examples: `Examples` or `Shards`.
        chunks: of picks, from its methods.
        plain: pick -> structure of tensors; may raise in the graph.
        careful: the same, and does not raise for an unreadable image.
        num_parallel_calls: of `map`.

    Returns:
        Dataset of what plain returns, one for each pick.
    """
    if not examples.can_fail:
        return chunks.unbatch().map(plain, num_parallel_calls)

    def rows_of(chunk):
        each = tf.data.Dataset.from_tensor_slices(
            {
                key: chunk[key]
                for key in ("epoch", "index", "drawn")
                if key in chunk
            }
        )
        size = tf.size(chunk["index"], out_type=tf.int64)

        def rows(make):
            # All of the chunk or nothing: what comes after an error is less.
            made = each.map(lambda one: make({**chunk, **one}))
            return made.batch(size, drop_remainder=True)

        rows_or_nothing = rows(plain).ignore_errors(log_warning=False)
        rows_for_sure = rows_or_nothing.concatenate(rows(careful))
        return rows_for_sure.take(1).get_single_element()

    options = tf.data.Options()
    # The fusion fails on a data set inside map that has side effects.
    options.experimental_optimization.map_and_batch_fusion = False
    rows = chunks.map(rows_of, num_parallel_calls).unbatch()
    return rows.with_options(options)


def read(examples, pick, crops=None):
    """Reads a pick; raises in the graph where that fails.

    Returns:
        image uint8[h, w, C], label int64[] and id int64[].
    """
    image, label = examples.read(pick, pick["index"], crops)
    return image, label, examples.identify(pick, pick["index"])


def read_or_substitute(examples, pick, *, seed, crops=None, log=None):
    """Reads a pick, or another example in its place.

    The substitute depends on (seed, epoch, id of the unreadable example) and
    on nothing else, so it is the same when a run resumes.

    Args:
        examples: `Examples` or `Shards`.
        pick: one of its picks.
        seed: int.
        crops: `picture.Crops` to decode it for, or None.
        log: `CorruptLog` or None.

    Returns:
        image uint8[h, w, C], label int64[] and id int64[] of what was read.
    """
    wanted = examples.identify(pick, pick["index"])

    def candidate(attempt):
        draw = counter_hash.mix(
            order.SUBSTITUTE, seed, pick["epoch"], wanted, attempt
        )
        other = tf.math.floormod(draw, examples.choices(pick))
        return tf.where(attempt == 0, pick["index"], other)

    def attempted(attempt):
        image, label = examples.read(pick, candidate(attempt), crops)
        return image, label, attempt

    image, label, attempt = _first_that_works(attempted, CANDIDATES)
    _note(log, examples, pick, candidate, failures=attempt)
    return image, label, examples.identify(pick, candidate(attempt))


def read_or_blank(examples, pick, *, blank, crops=None, log=None):
    """Reads a pick, or gives a blank image in its place.

    Returns:
        image uint8[h, w, C], label int64[], id int64[], and bool[]: whether
        the image could be read.
    """
    index = pick["index"]
    no_label = tf.fill(examples.label_shape, tf.constant(-1, tf.int64))

    def attempted(attempt):
        image, label = tf.cond(
            attempt == 0,
            lambda: examples.read(pick, index, crops),
            lambda: (blank if crops is None else whole(blank), no_label),
        )
        pixels = image if crops is None else image.pixels
        pixels.set_shape([None, None, blank.shape[-1]])
        return image, label, attempt

    image, label, attempt = _first_that_works(attempted, 2)
    _note(log, examples, pick, lambda _: index, failures=attempt)
    return image, label, examples.identify(pick, index), attempt == 0


def _first_that_works(read, attempts):
    """read(0), or read(1) where that fails, and so on."""
    candidates = tf.data.Dataset.range(attempts).map(read)
    candidates = candidates.ignore_errors(log_warning=False)
    return candidates.take(1).get_single_element()


def _note(log, examples, pick, candidate, *, failures) -> None:
    """Logs the candidates before the one that could be read."""
    if log is None:
        return

    def note():
        log.record(examples.name(pick, candidate(tf.range(failures))))
        return failures

    tf.cond(failures > 0, note, lambda: failures)
