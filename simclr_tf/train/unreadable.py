"""How many of the training images cannot be read, and when that ends a run."""

from collections.abc import Callable
from typing import Protocol

from simclr_tf.errors import Halted, UserError
from simclr_tf.train.hosts import Hosts


class Log(Protocol):
    """What is needed of `data.corrupt.CorruptLog`: a line for each."""

    def count(self) -> int: ...

    def lines(self) -> list[str]: ...

    def check(self, max_fraction, num_examples, lines=None) -> None: ...


class UnreadableWatch:
    """Looks at what the hosts could not read.

    Args:
        log: of this host.
        max_fraction: --max_corrupt_fraction.
        num_examples: of the training split.
        hosts: the processes of the run.
        write: keeps all that is known, whenever there is more; every host
            calls it.
    """

    def __init__(
        self,
        log: Log,
        *,
        max_fraction: float,
        num_examples: int,
        hosts: Hosts,
        write: Callable[[], None],
    ):
        self._log = log
        self._max_fraction = max_fraction
        self._num_examples = num_examples
        self._hosts = hosts
        self._write = write
        self._known = 0

    def check_sample(self, num_read: int) -> None:
        """After some images were read, before the first step.

        Raises:
            UserError: too many of them cannot be read.
        """
        # A sample tells of the whole with some doubt: it ends the run before
        # it begins only where it is far over the limit.
        limit = (2 * self._max_fraction + 0.01) * num_read
        if num_read >= self._num_examples or self._log.count() > limit:
            self._log.check(self._max_fraction, num_read)

    def check(self) -> None:
        """While training; every host calls it.

        Raises:
            Halted: too many images of the split cannot be read.
        """
        total = self._hosts.gather([self._log.count()]).sum()
        if total == self._known:
            return  # no host has found another
        self._known = total
        self._write()
        try:
            self._log.check(
                self._max_fraction, self._num_examples, lines=self.lines()
            )
        except UserError as error:
            raise Halted(str(error)) from error

    def lines(self) -> list[str]:
        """Of all images that a host could not read, sorted."""
        return self._hosts.union(self._log.lines())
