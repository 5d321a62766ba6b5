"""How a job ends before its end.

UserError   something the user can mend: one line, before and during the work
Halted      the job stopped itself, and says why; what was saved stays
Stopped     a signal arrived, and everything is saved

Anything else that is raised is a fault of this program, and a traceback.
"""


class UserError(ValueError):
    """The user's to mend.

    The message is one sentence or two: the flag or the file, what was
    received, and what to do.
    """


class Halted(Exception):
    """The job stopped itself; the message says why and what to do."""


class Stopped(Exception):
    """A signal arrived; the state of `step` is saved."""

    def __init__(self, signal_number: int, step: int):
        super().__init__(f"signal {signal_number} after step {step}")
        self.signal_number = signal_number
        self.step = step
