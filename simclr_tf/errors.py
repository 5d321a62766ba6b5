"""How a job ends before its end.

UserError   something the user can mend: one line, before and during the work
Halted      the job stopped itself, and says why; what was saved stays
Stopped     a signal arrived; nothing is lost that was to be saved

Anything else that is raised is a fault of this program, and a traceback.
"""

import signal


class UserError(ValueError):
    """The user's to mend.

    The message is one sentence or two: the flag or the file, what was
    received, and what to do.
    """


class NotHere(UserError):
    """Data that lies elsewhere, or that this machine doesn't reach.

    A preflight goes on without; of any other mistake a run would say the same.
    """


class Halted(Exception):
    """The job stopped itself; the message says why and what to do."""


class Stopped(BaseException):
    """A signal arrived, and what there was to save is saved.

    Like KeyboardInterrupt no Exception: what catches those lets it pass.

    Attributes:
        signal_number: of the signal.
        step: of training that is saved; None outside training.
    """

    def __init__(self, signal_number: int, step: int | None = None):
        super().__init__(f"{signal.Signals(signal_number).name} stopped it")
        self.signal_number = signal_number
        self.step = step
