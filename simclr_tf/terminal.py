"""Standard output and error: for people, harmless, and no reason to fail.

Names of files, classes and features, and what saved files say, may come from
strangers. Written as they are, an escape sequence moves the cursor or renames
the window, and a newline begins a line that looks like ours ("error: ..."). So
control characters are shown, and not obeyed.

A reader may go away (`| head`), a terminal be lost, a descriptor be closed
(`>&-`), a disk under a log fill up: a run goes on without them. What counts is
in its files.
"""

import contextlib
import errno
import io
import os
import sys
import time
from typing import TextIO

# Of whole texts: our own lines and tables.
_OURS = "\n\t"
_BAR = 20  # letters of a bar of progress
# There is nobody, and nobody will come.
_GONE = (errno.EPIPE, errno.EIO, errno.EBADF, errno.ENXIO)


def printable(name: str) -> str:
    """A name in one line, without control characters."""
    return _escaped(name, but="")


def guard(stream: TextIO) -> None:
    """Makes a stream write control characters as a reader can see them.

    Lines and tabs stay, and a carriage return that begins a text: a line that
    is drawn anew. Who prints a name that may hold newlines calls `printable`.
    """
    write = stream.write

    def guarded(text: str) -> int:
        begins = "\r" if text.startswith("\r") else ""
        write(begins + _escaped(text[len(begins) :], but=_OURS))
        return len(text)

    stream.write = guarded


def _escaped(text: str, *, but: str) -> str:
    if text.isprintable():
        return text
    return "".join(
        letter if letter.isprintable() or letter in but else ascii(letter)[1:-1]
        for letter in text
    )


class Progress:
    """Lines with a bar and the time that is left, to standard error.

    Args:
        what: is done, as "Shrinking photos, once".
        units: what is counted.
    """

    def __init__(self, what: str, units: str):
        self._what, self._units = what, units
        self._started: tuple[float, int] | None = None

    def __call__(self, done: int, total: int) -> None:
        """Says that so many of all are done."""
        now = time.monotonic()
        if self._started is None:
            self._started = now, done
        began, first = self._started
        left = ""
        if done > first:
            seconds = (now - began) / (done - first) * (total - done)
            left = f", {seconds:.0f} s left"
        filled = _BAR * done // max(total, 1)
        print(
            f"{self._what}: [{'#' * filled:<{_BAR}}] "
            f"{done} of {total} {self._units}{left}",
            file=sys.stderr,
            flush=True,
        )


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
