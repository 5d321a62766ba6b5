"""How long a run takes until its first step is done, part by part."""

import time


class StartupClock:
    """Measures the parts of a start; each begins where the last one ended.

    Args:
        started: time.monotonic() when the process began; None where it has
            done other work before.
    """

    def __init__(self, started: float | None = None):
        self._began = self._last = time.monotonic()
        self._seconds: dict[str, float] = {}
        if started is not None:
            self._began = self._last = started
            self.ended("import")

    def ended(self, part: str) -> None:
        """Records that a part of this name ends now."""
        now = time.monotonic()
        self._seconds[part] = now - self._last
        self._last = now

    def describe(self) -> str:
        """One line: seconds until the last part ended, and each part's."""
        parts = [f"{name} {s:.1f}" for name, s in self._seconds.items()]
        return (
            f"First step after {self._last - self._began:.1f} s: "
            f"{', '.join(parts)}."
        )
