"""--profile_steps: where the time of some steps goes, for TensorBoard."""

import tensorflow as tf

_NEVER = 2**31 - 1


class Profiler:
    """Profiles steps a to b (the first is 1) into plugins/profile.

    Args:
        steps: (a, b); empty for no profile.
        folder: of the run.
        writes: whether this process writes a profile. The other processes
            only end their inner loops at the same steps, because all of them
            must train equally many steps at a time.
    """

    def __init__(self, steps: tuple[int, ...], folder: str, *, writes: bool):
        self._first, self._last = steps or (_NEVER, 0)
        self._folder = folder
        self._writes = writes
        self._running = False

    def steps_until_due(self, step: int) -> int:
        """How many steps may run before `before` or `after` has work to do.

        Args:
            step: the number of steps that are done.
        """
        if step < self._first - 1:
            return self._first - 1 - step
        return self._last - step if step < self._last else _NEVER

    def before(self, step: int) -> None:
        """Starts the profile if the next step is the first of it.

        Args:
            step: the number of steps that are done.
        """
        wanted = self._first - 1 <= step < self._last
        if wanted and self._writes and not self._running:
            tf.profiler.experimental.start(self._folder)
            self._running = True

    def after(self, step: int) -> str | None:
        """Writes the profile if its last step is done.

        Args:
            step: the number of steps that are done.

        Returns:
            A line for the log that says where the profile is; None as long
            as there is none.
        """
        if not self._running or step < self._last:
            return None
        self.close()
        return (
            f"Profile of steps {self._first} to {self._last}: "
            f"tensorboard --logdir={self._folder}"
        )

    def close(self) -> None:
        """Ends a profile that is still running, and writes it."""
        if self._running:
            self._running = False
            tf.profiler.experimental.stop()
