"""Runs the cells of a study that nobody has run, one after the other.

Any number of workers may share a folder. A cell belongs to the one that has
claimed it, while that lives. When nothing is left to claim, a worker waits for
the cells of the others, and takes over what a dead one leaves.
"""

import contextlib
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence

import tensorflow as tf

from simclr_tf.errors import UserError
from simclr_tf.studies import tables
from simclr_tf.studies.cells import Cell, Command
from simclr_tf.studies.keeping import StudyFolder, measured
from simclr_tf.studies.same_data import SameData
from simclr_tf.studies.study import Study
from simclr_tf.terminal import printable
from simclr_tf.train.stopping import StopRequest

_TICK_SECONDS = 0.1
_WAIT_SECONDS = 5.0
_MOST_LETTERS = 300

# Becomes the command, and dies with the worker, so that whoever takes the cell
# over is alone in it. Linux; elsewhere, the run's own owner.json tells.
_LAUNCHER = """\
import ctypes, os, signal, sys
try:
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)
except (AttributeError, OSError):
    pass
if os.getppid() == int(sys.argv[1]):
    os.execv(sys.argv[2], sys.argv[2:])
"""


class CellFailed(Exception):
    """A command of a cell ended with an error; the message is its line."""


class Worker:
    """Runs cells.

    Args:
        study: which.
        cells: that are to be run.
        folder: of the study.
        data: of all its cells.
        program: what runs a command of ours.
        stop: of this process.
        on_done: called after each cell.
    """

    def __init__(
        self,
        study: Study,
        cells: Sequence[Cell],
        folder: StudyFolder,
        *,
        data: SameData,
        program: Sequence[str],
        stop: StopRequest,
        on_done: Callable[[], None],
    ):
        self._study, self._cells, self._folder = study, cells, folder
        self._program, self._stop = list(program), stop
        self._on_done, self._data = on_done, data
        self._began = time.time()
        self._seconds: dict[int, float] = {}
        self._written: set[int] = set()

    def run(self) -> None:
        """Returns when every cell is done, or has failed since the start.

        Raises:
            errors.Stopped: a signal came; the command that ran was told.
        """
        said = 0
        while left := [c for c in self._cells if not self._is_settled(c)]:
            tried = [self._try(cell) for cell in left]
            if any(tried):
                continue
            if len(left) != said:
                said = len(left)
                print(
                    f"Waiting for {said} cells of other workers, to take over "
                    "what a dead one leaves. Stopping this one loses nothing.",
                    flush=True,
                )
            self._pause(_WAIT_SECONDS)

    def _is_settled(self, cell: Cell) -> bool:
        outcome = self._folder.outcome(cell)
        if outcome.seconds is not None:
            self._seconds[cell.index] = outcome.seconds
        # A worker whose study asks for other measures may write it anew.
        return (
            outcome.values is not None
            or cell.index in self._written
            or self._folder.failed_since(cell, self._began)
        )

    def _try(self, cell: Cell) -> bool:
        """Runs a cell if it is to be had; whether it was."""
        if self._is_settled(cell):
            return True
        claim = self._folder.claim(cell)
        if claim is None:
            return False
        try:
            # Another may have finished it just before.
            if not self._is_settled(cell):
                self._run(cell)
        finally:
            claim.release()
        return True

    def _run(self, cell: Cell) -> None:
        began = time.monotonic()
        try:
            with self._log(cell) as log:
                for command in cell.commands:
                    self._command(cell, command, log)
            found = measured(
                self._folder.folder_of(cell), cell, self._study.measures
            )
            # It may have changed since the study began.
            self._data.require(cell)
        except (CellFailed, UserError) as error:
            line = printable(" ".join(str(error).split()))[:_MOST_LETTERS]
            self._folder.write_failed(cell, line)
            self._say(cell, f"failed: {line}")
        else:
            seconds = time.monotonic() - began
            self._folder.write_done(cell, found, seconds)
            self._written.add(cell.index)
            self._seconds[cell.index] = seconds
            self._say(cell, self._words(found, seconds))
        self._on_done()

    @contextlib.contextmanager
    def _log(self, cell: Cell) -> Iterator[str]:
        """A local file for what commands print, the cell's log in the end."""
        path = self._folder.file_of(cell, "log.txt")
        if "://" not in path:
            yield path
            return
        with tempfile.TemporaryDirectory() as here:
            local = os.path.join(here, "log.txt")
            try:
                yield local
            finally:
                tf.io.gfile.copy(local, path, overwrite=True)

    def _command(self, cell: Cell, command: Command, log: str) -> None:
        """Runs a command.

        Raises:
            CellFailed: it ended with an error.
            errors.Stopped: a signal came.
        """
        arguments = command.arguments(self._folder.folder_of(cell))
        with open(log, "ab") as out:
            start = out.tell()
            child = subprocess.Popen(
                [sys.executable, "-c", _LAUNCHER, str(os.getpid())]
                + [shutil.which(self._program[0]) or self._program[0]]
                + [*self._program[1:], *arguments],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                # Ctrl-C is this process's, which passes it on once.
                start_new_session=True,
            )
            with self._stop.deferred():
                told = False
                while not _has_ended(child):
                    if self._stop.signal_number and not told:
                        told = True
                        child.send_signal(signal.SIGTERM)
        if child.returncode:
            raise CellFailed(_error_line(log, start, child.returncode))

    def _pause(self, seconds: float) -> None:
        """Waits; a signal ends it."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            time.sleep(_TICK_SECONDS)

    def _words(self, found, seconds: float) -> str:
        measure = self._study.measures[0]
        value = found[measure.name][0] * measure.scale
        shown = tables.number(value, measure.scale)
        return f"{measure.name} {shown} ({seconds:.0f} s)"

    def _say(self, cell: Cell, what: str) -> None:
        left = sum(not self._is_settled(c) for c in self._cells)
        workers = max(1, self._folder.num_claimed(self._cells))
        line = f"[{len(self._cells) - left}/{len(self._cells)}] {cell.words}: "
        line += what
        if left and self._seconds:
            typical = statistics.median(self._seconds.values())
            line += f"; about {_clock(typical * left / workers)} left"
            line += f" with {workers} workers" if workers > 1 else ""
        print(line, flush=True)


def _has_ended(child: subprocess.Popen) -> bool:
    """Waits for a tick at most."""
    try:
        child.wait(_TICK_SECONDS)
    except subprocess.TimeoutExpired:
        return False
    return True


def _error_line(log: str, start: int, status: int) -> str:
    """Of what a command printed, the last line that says why it ended."""
    with open(log, "rb") as file:
        file.seek(start)
        text = file.read().decode(errors="replace")
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("error:")]
    said = (errors or lines or ["it printed nothing"])[-1]
    if status < 0:
        return (
            f"killed by {signal.Signals(-status).name}; its last line: {said}"
        )
    return f"status {status}: {said.removeprefix('error:').strip()}"


def _clock(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = seconds / 60
    return f"{minutes:.0f} min" if minutes < 90 else f"{minutes / 60:.1f} h"
