"""What a run tells the person who waits for it."""

import os
import sys
import time
from collections.abc import Mapping

_COLUMNS = 80  # of a terminal that doesn't say


class Progress:
    """A line of progress: redrawn on a terminal, appended elsewhere.

    Args:
        total_steps: of training.
        global_batch_size: images per step.
        flops_per_image: of training; None where it is not known.
        stream: where to write; standard output if None.
    """

    def __init__(
        self,
        *,
        total_steps: int,
        global_batch_size: int,
        flops_per_image: float | None = None,
        stream=None,
    ):
        self._total_steps = total_steps
        self._global_batch_size = global_batch_size
        self._flops_per_image = flops_per_image
        self._stream = stream or sys.stdout
        self._steps = 0
        self._seconds = 0.0
        self._wait_seconds: float | None = 0.0
        self._drawn = 0

    def ran(
        self, steps: int, seconds: float, wait_seconds: float | None
    ) -> None:
        """Counts steps that have been run; None: the wait is not known."""
        self._steps += steps
        self._seconds += seconds
        if wait_seconds is None:
            self._wait_seconds = None
        else:
            self._wait_seconds += wait_seconds

    def take_rates(self) -> dict[str, float]:
        """Since the last call: images_per_second and, where they are known,
        input_wait_share and flops_per_second."""
        seconds = max(self._seconds, 1e-9)
        images = self._steps * self._global_batch_size
        rates = {"images_per_second": images / seconds}
        if self._wait_seconds is not None:
            rates["input_wait_share"] = min(self._wait_seconds / seconds, 1.0)
        if self._flops_per_image is not None:
            rates["flops_per_second"] = images * self._flops_per_image / seconds
        self._steps, self._seconds, self._wait_seconds = 0, 0.0, 0.0
        return rates

    def show(self, step: int, scalars: Mapping[str, float]) -> None:
        """Draws the line for what `take_rates` and the trainer gave."""
        images = (self._total_steps - step) * self._global_batch_size
        left = images / max(scalars["images_per_second"], 1e-9)
        # The last are the first to go where the line is too long.
        parts = [
            f"step {step}/{self._total_steps}",
            f"left {_duration(left)}",
            *_objective(scalars),
            f"{scalars['images_per_second']:.0f} images/s",
            *_waiting(scalars),
            *_arithmetic(scalars),
        ]
        if self._stream.isatty():
            self._draw(parts)
        else:
            line = "  ".join(parts)
            self._stream.write(time.strftime("%H:%M:%S ") + line + "\n")
        self._stream.flush()

    def _draw(self, parts: list[str]) -> None:
        # A full line would wrap, and could not be drawn over.
        width = _columns(self._stream) - 1
        while len(parts) > 1 and len("  ".join(parts)) > width:
            parts = parts[:-1]
        line = "  ".join(parts)[:width]
        self._stream.write("\r" + line.ljust(min(self._drawn, width)))
        self._drawn = len(line)

    def note(self, text: str) -> None:
        """Says something between two lines of progress."""
        self.close()
        self._stream.write(text + "\n")
        self._stream.flush()

    def close(self) -> None:
        """Leaves the line, so that what follows starts on a new one."""
        if self._drawn:
            self._stream.write("\n")
            self._stream.flush()
            self._drawn = 0


def _columns(stream) -> int:
    try:
        return os.get_terminal_size(stream.fileno()).columns or _COLUMNS
    except (OSError, ValueError):
        return _COLUMNS


def _arithmetic(scalars: Mapping[str, float]) -> list[str]:
    flops = scalars.get("flops_per_second")
    if flops is None:
        return []
    prefix, unit = ("T", 1e12) if flops >= 1e12 else ("G", 1e9)
    return [f"{flops / unit:.3g} {prefix}FLOP/s"]


def _waiting(scalars: Mapping[str, float]) -> list[str]:
    share = scalars.get("input_wait_share")
    return [] if share is None else [f"input wait {share:.0%}"]


def _objective(scalars: Mapping[str, float]) -> list[str]:
    """Loss and accuracies, of pretraining, distillation or on labels."""
    labelled = scalars.get("train/supervised_acc")
    if "train/distill_loss" in scalars:
        return [
            f"loss {scalars['train/total_loss']:.3f}",
            f"as the teacher {scalars['train/distill_acc']:.1%}",
        ]
    if "train/contrast_loss" not in scalars:
        loss = scalars["train/supervised_loss"]
        return [f"loss {loss:.3f}", f"top-1 {labelled:.1%}"]
    return [
        f"loss {scalars['train/contrast_loss']:.3f}",
        f"contrast {scalars['train/contrast_acc']:.1%}",
        *([] if labelled is None else [f"probe {labelled:.1%}"]),
    ]


def _duration(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}"
