"""Standard output and error that are never a reason to fail.

A reader that goes away (`| head`), a terminal that is lost, a descriptor that
was closed (`>&-`) or a full disk under a log: a run goes on without them. What
counts is in its files.
"""

import contextlib
import errno
import io
import os
import sys

# There is nobody, and nobody will come.
_GONE = (errno.EPIPE, errno.EIO, errno.EBADF, errno.ENXIO)


class _Tolerant(io.FileIO):
    """A descriptor; what cannot be written to it is dropped."""

    def write(self, data) -> int:
        try:
            return super().write(data)
        except OSError as error:
            if error.errno in _GONE:
                # TensorFlow writes to the descriptor, too.
                _point_nowhere(self.fileno())
        return memoryview(data).nbytes


def keep_going() -> None:
    """Makes sys.stdout and sys.stderr tolerant, in the whole process."""
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            # The next file to be opened would get its number, and the lines
            # that are meant for a terminal.
            _point_nowhere(descriptor)
    for descriptor, name in ((1, "stdout"), (2, "stderr")):
        stream = getattr(sys, name)
        if stream is not None:
            with contextlib.suppress(OSError):
                stream.flush()
        setattr(sys, name, _tolerant(descriptor, stream))


def _tolerant(descriptor: int, stream) -> io.TextIOWrapper:
    raw = _Tolerant(descriptor, "w", closefd=False)
    return io.TextIOWrapper(
        io.BufferedWriter(raw),
        encoding=getattr(stream, "encoding", None) or "utf-8",
        errors="backslashreplace",
        line_buffering=raw.isatty() or descriptor == 2,
    )


def _point_nowhere(descriptor: int) -> None:
    with contextlib.suppress(OSError):
        nowhere = os.open(os.devnull, os.O_RDWR)
        if nowhere != descriptor:
            os.dup2(nowhere, descriptor)
            os.close(nowhere)
