"""What the hosts of a run could not read of its splits."""

from collections.abc import Mapping

from simclr_tf.data.corrupt import CorruptLog
from simclr_tf.data.sources import Source
from simclr_tf.run_files import unreadable_images
from simclr_tf.train.hosts import Hosts


class Unreadable:
    """A log for each split, and what all hosts know together.

    Args:
        sources: name -> split; None: there is none of that name.
        hosts: the processes of the run.
        reads_here: whether this process reads the images itself.
    """

    def __init__(
        self,
        sources: Mapping[str, Source | None],
        *,
        hosts: Hosts,
        reads_here: bool,
    ):
        self.logs = {
            name: CorruptLog(source and source.examples.reason_of)
            for name, source in sources.items()
        }
        self.reads_here = reads_here
        self._hosts = hosts
        self._left_out = [
            line
            for source in sources.values()
            if source
            for line in source.left_out
        ]

    def counted(self, name: str) -> CorruptLog | None:
        """Where unreadable images of a split are counted; None: nowhere."""
        return self.logs[name] if self.reads_here else None

    def of(self, name: str) -> list[str]:
        """A line for each image of a split that a host could not read."""
        return self._hosts.union(self.logs[name].lines())

    def write(self, path: str) -> None:
        """Adds what is known by now to a table; every host calls it."""
        lines = [line for log in self.logs.values() for line in log.lines()]
        lines = self._hosts.union([*self._left_out, *lines])
        if self._hosts.is_chief:
            unreadable_images.add(path, lines)
