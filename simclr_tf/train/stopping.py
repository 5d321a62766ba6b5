"""SIGTERM and Ctrl-C: finish the step, save, leave.

TensorFlow's own preemption handler does nothing on Cloud TPU machines
(tensorflow 2.20, failure_handling.py), so signals are caught here.
"""

import signal
import sys


class StopRequest:
    """Context manager that remembers a signal instead of dying of it.

    The second signal of a kind takes its usual course, so that a stuck run can
    still be interrupted.
    """

    def __init__(self):
        self.signal_number: int | None = None
        self._before = {}

    def __enter__(self):
        for number in (signal.SIGTERM, signal.SIGINT):
            self._before[number] = signal.signal(number, self._remember)
        return self

    def __exit__(self, *_):
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _remember(self, number, frame):
        del frame
        self.signal_number = number
        signal.signal(number, self._before[number])
        name = signal.Signals(number).name
        print(
            f"\n{name}: finishing the step, then saving.",
            file=sys.stderr,
            flush=True,
        )
