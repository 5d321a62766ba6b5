"""--profile_steps: where the time of some steps goes, for TensorBoard."""

import tensorflow as tf

_NEVER = 2**31 - 1


class Profiler:
    """Profiles steps a to b (the first is 1) into plugins/profile.

    Args:
        steps: (a, b); empty for no profile.
        folder: of the run.
        writes: whether this process does; the others only end their inner
            loops where it does.
    """

    def __init__(self, steps: tuple[int, ...], folder: str, *, writes: bool):
        self._first, self._last = steps or (_NEVER, 0)
        self._folder = folder
        self._writes = writes
        self._running = False

    def steps_until_due(self, step: int) -> int:
        """Steps to do before it must be asked again, `step` being done."""
        if step < self._first - 1:
            return self._first - 1 - step
        return self._last - step if step < self._last else _NEVER

    def before(self, step: int) -> None:
        """`step` being done, the next is about to begin."""
        wanted = self._first - 1 <= step < self._last
        if wanted and self._writes and not self._running:
            tf.profiler.experimental.start(self._folder)
            self._running = True

    def after(self, step: int) -> str | None:
        """`step` is done; what to say where the profile is, too."""
        if not self._running or step < self._last:
            return None
        self.close()
        return (
            f"Profile of steps {self._first} to {self._last}: "
            f"tensorboard --logdir={self._folder}"
        )

    def close(self) -> None:
        """Writes what there is, should it still be running."""
        if self._running:
            self._running = False
            tf.profiler.experimental.stop()
