"""The processes of a run, and what they must agree on.

Every process of a multi-worker run executes the same program. If one of them
does not reach a collective, the others wait for it forever. So the processes
first agree on whatever decides what comes next: a signal, a clock, a file.
"""

import contextlib
import json
import zlib
from collections.abc import Mapping, Sequence

import numpy as np
import tensorflow as tf

from simclr_tf import distributed
from simclr_tf.errors import UserError
from simclr_tf.train import coordination

# How long a host that leaves waits for the others to leave, too.
_PART_SECONDS = 10.0


class Hosts:
    """The processes of a run.

    Args:
        strategy: where the replicas run.
        count: H, the number of processes; 1 is a run of one process.
        index: of this one, 0..H-1.
    """

    def __init__(
        self,
        strategy: tf.distribute.Strategy,
        *,
        count: int = 1,
        index: int = 0,
    ):
        self.count = count
        self.index = index
        self._strategy = strategy
        self._gather = None
        self._parted = False

    @property
    def is_chief(self) -> bool:
        """Whether this process writes the run's files."""
        return self.index == 0

    def gather(self, values: Sequence[float]) -> np.ndarray:
        """The hosts' values, the same on every host.

        All hosts must call it, with equally many.

        Returns:
            float64[H, k]; row h is host h's.
        """
        values = np.asarray(values, np.float64)
        if self.count == 1:
            return values[np.newaxis]
        if self._gather is None:
            self._gather = tf.function(self._gather_rows, reduce_retracing=True)
        rows = self._gather(tf.constant(values))
        rows = self._strategy.experimental_local_results(rows)[0].numpy()
        # A row per replica; a host's replicas follow each other.
        return rows[:: len(rows) // self.count]

    def union(self, names: Sequence[str]) -> list[str]:
        """All names that a host has, sorted."""
        if self.count == 1:
            return sorted(names)
        everything = "\n".join(self._gather_texts("\n".join(names)))
        return sorted(set(everything.split("\n")) - {""})

    def require_same(self, values: Mapping[str, str]) -> None:
        """Checks that named values are the same on every host.

        All hosts must call it; they may differ in the names, too.

        Args:
            values: name, as the message shall show it ("--learning_rate") ->
                value, as text.

        Raises:
            UserError: a value differs. Every host raises it, and it names
                all that differ, with each host's value.
        """
        mine = json.dumps(dict(values))
        checksums = self.gather([zlib.crc32(mine.encode())])[:, 0]
        if (checksums == checksums[0]).all():
            return
        hosts = [json.loads(text) for text in self._gather_texts(mine)]
        names = dict.fromkeys(name for of_host in hosts for name in of_host)
        differences = [
            _difference(name, [of_host.get(name) for of_host in hosts])
            for name in names
        ]
        said = "; ".join(filter(None, differences))
        raise UserError(
            f"The hosts differ: {said}. Start all of them with the same flags "
            "and the same data."
        )

    def barrier(self) -> None:
        """Returns when every host has come here."""
        self.gather([0.0])

    def part(self, reason: str = "") -> None:
        """Waits until every host is through with the others, to leave.

        A host that leaves while another still exchanges numbers with it ends
        that one's run. The chief holds what the hosts find each other by, so
        it leaves last.

        Args:
            reason: why this one leaves, which the others are told where they
                don't leave, too.
        """
        if self.count == 1 or self._parted:
            return
        self._parted = True
        try:
            coordination.wait_for_all("leaving", _PART_SECONDS)
        except tf.errors.OpError:
            coordination.tell_others(f"worker {self.index} left: {reason}")
            return
        with contextlib.suppress(tf.errors.OpError):
            coordination.wait_for_followers(
                self.index, self.count, _PART_SECONDS
            )

    def _gather_texts(self, text: str) -> list[str]:
        """The hosts' texts, of any length, in the order of the hosts."""
        mine = np.frombuffer(text.encode(), np.uint8)
        sizes = self.gather([mine.size])[:, 0].astype(int)
        padded = np.zeros(max(sizes.max(), 1))
        padded[: mine.size] = mine
        return [
            row[:size].tobytes().decode(errors="replace")
            for row, size in zip(
                self.gather(padded).astype(np.uint8), sizes, strict=True
            )
        ]

    def _gather_rows(self, values):
        def on_replica(row):
            return distributed.all_gather_rows(row[tf.newaxis])

        return self._strategy.run(on_replica, args=(values,))


def _difference(name: str, values: Sequence[str | None]) -> str | None:
    """ "--seed is 1 on host 0, 2 on host 1"; None where all are the same."""
    hosts_of: dict[str | None, list[str]] = {}
    for host, value in enumerate(values):
        hosts_of.setdefault(value, []).append(str(host))
    if len(hosts_of) == 1:
        return None
    listed = ", ".join(
        f"{_shown(value)} on host{'s' if len(hosts) > 1 else ''} "
        f"{' and '.join(hosts)}"
        for value, hosts in hosts_of.items()
    )
    return f"{name} is {listed}"


def _shown(value: str | None) -> str:
    if value is None:
        return "not set"
    return value if len(value) <= 200 else f"{value[:200]}..."
