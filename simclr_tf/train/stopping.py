"""SIGTERM, SIGINT (Ctrl-C) and SIGHUP (a lost terminal): save, and leave.

A process has one `StopRequest`, from its first line to its last. Where nothing
would be lost, a signal raises `errors.Stopped` on the spot. In `deferred`
blocks it is only remembered, for a step to end and be saved.

Python runs a signal's handler when TensorFlow returns, which may take long. So
a thread reads the signals, too: it leaves without saving when the grace is
over, and at once when a signal comes again.

TensorFlow's own preemption handler does nothing on Cloud TPU machines
(tensorflow 2.20, failure_handling.py).
"""

import contextlib
import os
import select
import signal
import sys
import threading
import time

from simclr_tf.errors import Stopped

# How long the work is cleared up, where nothing is to be saved.
PROMPT_SECONDS = 5.0
# Launchers and shells pass one signal on twice: within so long it is the same.
_SAME_SECONDS = 0.5
_TICK_SECONDS = 0.1
_CLOSED = 0  # no signal's number


class StopRequest:
    """Context manager that makes signals end a run in good order.

    Outside the main thread, where Python handles no signals, it does nothing.

    Attributes:
        signal_number: the first that came; None before.
        grace_seconds: from a signal to leaving, whatever is not saved then.
        outcome: the end of the sentence "Stopped by SIGTERM ...": what is
            saved, and what the same command does next. Jobs keep it true.
    """

    def __init__(self):
        self.signal_number: int | None = None
        self.grace_seconds = 30.0
        self.outcome = (
            "before any work was done. The same command starts again."
        )
        self._before = {}
        self._deferrals = 0
        self._prompt_since = 0.0
        self._ends: tuple[int, int] | None = None

    def __enter__(self):
        if threading.current_thread() is not threading.main_thread():
            return self
        self._ends = os.pipe()
        os.set_blocking(self._ends[1], False)
        self._waked = signal.set_wakeup_fd(
            self._ends[1], warn_on_full_buffer=False
        )
        self._watcher = threading.Thread(target=self._watch, daemon=True)
        self._watcher.start()
        self._unraisable, sys.unraisablehook = (
            sys.unraisablehook,
            self._on_unraisable,
        )
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            ignored = signal.getsignal(number) == signal.SIG_IGN
            if ignored and number != signal.SIGTERM:
                continue  # nohup, or a shell's background
            self._before[number] = signal.signal(number, self._handle)
        return self

    def listen(self) -> None:
        """Takes the signals back from TensorFlow, whose coordination of
        several hosts takes SIGTERM for its own when it begins."""
        for number in self._before:
            signal.signal(number, self._handle)

    def __exit__(self, *_):
        if self._ends is None:
            return
        for number, handler in self._before.items():
            signal.signal(number, handler)
        sys.unraisablehook = self._unraisable
        self._before = {}
        signal.set_wakeup_fd(self._waked)
        os.write(self._ends[1], bytes([_CLOSED]))
        self._watcher.join()
        for end in self._ends:
            os.close(end)
        self._ends = None

    @contextlib.contextmanager
    def deferred(self):
        """What is inside is not interrupted; it asks for `signal_number`.

        Raises:
            Stopped: at the end, if a signal came that the block did not heed.
        """
        self._deferrals += 1
        self.listen()
        try:
            yield
        finally:
            self._deferrals -= 1
            self._prompt_since = time.monotonic()
        self.check()

    @contextlib.contextmanager
    def prompt(self):
        """Inside `deferred`: what is inside may be interrupted again.

        Raises:
            Stopped: a signal came, before or inside.
        """
        deferrals, self._deferrals = self._deferrals, 0
        self._prompt_since = time.monotonic()
        try:
            self.check()
            yield
        finally:
            self._deferrals = deferrals

    def check(self) -> None:
        """Raises Stopped if a signal has come and nothing defers it."""
        if self.signal_number and not self._deferrals:
            raise Stopped(self.signal_number)

    def sentence(self, number: int) -> str:
        """What the last line of a stopped run says."""
        return f"Stopped by {signal.Signals(number).name} {self.outcome}"

    def _handle(self, number, frame):
        del frame
        if self.signal_number is None:
            self.signal_number = number
            self.check()

    def _watch(self) -> None:
        reading, _ = self._ends
        first, came = 0, 0.0
        while True:
            # Until a signal comes there is nothing to look after: it sleeps.
            tick = _TICK_SECONDS if first else None
            if select.select([reading], [], [], tick)[0]:
                for number in os.read(reading, 64):
                    if number == _CLOSED:
                        return
                    if number not in self._before:
                        continue
                    if not first:
                        first, came = number, time.monotonic()
                        self._announce(number)
                    elif time.monotonic() - came > _SAME_SECONDS:
                        self._leave(first, "A second signal: left at once.")
            if first and time.monotonic() > self._deadline(came):
                waited = time.monotonic() - came
                self._leave(first, f"Left unsaved after {waited:.0f} s.")

    def _deadline(self, came: float) -> float:
        if self._deferrals:
            return came + self.grace_seconds
        return max(came, self._prompt_since) + PROMPT_SECONDS

    def _announce(self, number: int) -> None:
        if self._deferrals:
            _say(
                f"\n{signal.Signals(number).name}: finishing the step, then "
                f"saving, for {self.grace_seconds:g} s at most "
                "(--grace_seconds). Again leaves at once."
            )

    def _leave(self, number: int, why: str) -> None:
        _say(f"{why} {self.sentence(number)}")
        os._exit(128 + number)

    def _on_unraisable(self, unraisable) -> None:
        """Stopped, where Python would only print it: in a destructor."""
        if not isinstance(unraisable.exc_value, Stopped):
            self._unraisable(unraisable)
            return
        number = unraisable.exc_value.signal_number
        _say(self.sentence(number))
        os._exit(128 + number)


def _say(text: str) -> None:
    # Not through sys.stderr, which the thread that is stuck may hold.
    with contextlib.suppress(OSError):
        os.write(2, f"{text}\n".encode())
