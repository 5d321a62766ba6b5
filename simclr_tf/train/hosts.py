"""The processes of a run, and what they must agree on.

Every process of a multi-worker run executes the same program; a collective
that one of them doesn't reach leaves the others waiting. So whatever decides
what comes next (a signal, a clock, a file) is agreed on first.
"""

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from simclr_tf import distributed
from simclr_tf.errors import UserError


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

    def greatest(self, value: float) -> float:
        """The greatest of the hosts' values."""
        return float(self.gather([value]).max())

    def union(self, names: Sequence[str]) -> list[str]:
        """All names that a host has, sorted."""
        if self.count == 1:
            return sorted(names)
        text = np.frombuffer("\n".join(names).encode(), np.uint8)
        sizes = self.gather([text.size])[:, 0].astype(int)
        padded = np.zeros(max(sizes.max(), 1))
        padded[: text.size] = text
        texts = self.gather(padded).astype(np.uint8)
        everything = "\n".join(
            row[:size].tobytes().decode(errors="replace")
            for row, size in zip(texts, sizes, strict=True)
        )
        return sorted(set(everything.split("\n")) - {""})

    def require_same(self, value: float, *, what: str) -> None:
        """Checks that a number is the same on every host.

        Raises:
            UserError: it is not; on every host.
        """
        values = self.gather([value])[:, 0]
        if (values != values[0]).any():
            listed = ", ".join(f"{v:g} on {h}" for h, v in enumerate(values))
            raise UserError(f"The hosts differ in {what}: {listed}.")

    def barrier(self) -> None:
        """Returns when every host has come here."""
        self.gather([0.0])

    def _gather_rows(self, values):
        def on_replica(row):
            return distributed.all_gather_rows(row[tf.newaxis])

        return self._strategy.run(on_replica, args=(values,))
