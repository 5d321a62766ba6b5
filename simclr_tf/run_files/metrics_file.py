"""metrics.jsonl: a line per log point, every scalar, steps in their order.

It may be gigabytes, so it is read from its end, and no further than needed.
"""

import json
import os
from collections.abc import Iterator, Mapping
from typing import Any

import tensorflow as tf

from simclr_tf import files

gfile = tf.io.gfile

_BLOCK_BYTES = 1 << 20


class MetricsFile:
    """The file of a run that is trained on.

    What a killed run logged beyond the step that it continues from will be
    logged again, so it goes. A whole line there that cannot be read goes to
    <path>.damaged, and is told of.

    Args:
        path: the file.
        from_step: the step that training continues from.
        log_steps: between log points; a gap before `from_step` is told of.

    Attributes:
        at_start: every scalar that is logged of `from_step`.
    """

    def __init__(self, path: str, *, from_step: int, log_steps: int):
        self._path = path
        self.at_start: dict[str, float] = {}
        last = self._forget_after(from_step) if gfile.exists(path) else 0
        due = from_step - from_step % log_steps
        if last < due:
            print(
                f"{path} holds nothing of steps {last + 1} to {due}: it was "
                "damaged, removed, or logged less often. What follows is "
                "complete.",
                flush=True,
            )

    def append(self, step: int, scalars: Mapping[str, float]) -> None:
        """Adds one line."""
        line = json.dumps({"step": step, **scalars})
        with gfile.GFile(self._path, "a") as file:
            file.write(line + "\n")

    def sync(self) -> None:
        """Returns once every line so far would outlast a power cut."""
        if gfile.exists(self._path):
            files.sync(self._path)
            files.sync_folder(os.path.dirname(self._path))

    def _forget_after(self, step: int) -> int:
        """Returns the last step that is kept; 0 where none is."""
        last, end, damaged = 0, 0, []
        for start, line in lines_from_end(self._path):
            row = _row(line)
            if row is None:
                if not _is_cut(line):
                    damaged.append(line)
            elif row["step"] <= step:
                end = end or start + len(line)
                last = last or row["step"]
                if row["step"] < step:
                    break
                self.at_start = {**row, **self.at_start}
            elif step <= 0:
                break  # nothing is kept, and all is logged again
        if damaged:
            self._say_damaged(damaged[::-1])
        self._truncate(end)
        return last

    def _say_damaged(self, lines: list[bytes]) -> None:
        files.write_bytes(f"{self._path}.damaged", b"".join(lines))
        print(
            f"{self._path} is damaged: {len(lines)} of its last lines cannot "
            f"be read, and were moved to {self._path}.damaged.",
            flush=True,
        )

    def _truncate(self, size: int) -> None:
        if size == gfile.stat(self._path).length:
            return
        if "://" not in self._path:
            os.truncate(self._path, size)
            return
        with gfile.GFile(self._path, "rb") as file:
            kept = file.read(size)
        files.write_bytes(self._path, kept)


def lines_from_end(path: str) -> Iterator[tuple[int, bytes]]:
    """(offset, line) of a file, the last line first.

    A line ends with a newline, but the last one may lack it.
    """
    with gfile.GFile(path, "rb") as file:
        place = file.size()
        # The beginning of the line in hand may lie in blocks still to be read.
        offset, parts = place, []
        while place > 0:
            size = min(_BLOCK_BYTES, place)
            place -= size
            file.seek(place)
            first, *lines = file.read(size).split(b"\n")
            if lines:
                parts.append(lines.pop())
                for line in [*reversed(lines), None]:
                    whole = b"".join(reversed(parts))
                    offset -= len(whole)
                    if whole:
                        yield offset, whole
                    parts = [b"\n"] if line is None else [b"\n", line]
            parts.append(first)
        if whole := b"".join(reversed(parts)):
            yield 0, whole


def last_rows(path: str, count: int) -> list[dict[str, Any]]:
    """Up to `count` rows at the end, oldest first, without damaged ones."""
    found = []
    for _, line in lines_from_end(path):
        if (row := _row(line)) is not None:
            found.append(row)
        if len(found) == count:
            break
    return found[::-1]


def row_at(path: str, step: int) -> dict[str, Any] | None:
    """The training metrics of the last log point up to a step.

    Args:
        path: the file; None is found where there is none.
        step: of the weights.
    """
    if not gfile.exists(path):
        return None
    for _, line in lines_from_end(path):
        row = _row(line)
        # A line of the nearest neighbours has no loss.
        if row and row["step"] <= step and "train/total_loss" in row:
            return row
    return None


def _is_cut(line: bytes) -> bool:
    """The last line of a run that was killed while it wrote it."""
    start = b'{"step": '
    return not line.endswith(b"\n") and (
        line.startswith(start) or start.startswith(line)
    )


def _row(line: bytes) -> dict[str, Any] | None:
    """A line's content; None where it is damaged."""
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        return None
    fine = isinstance(row, dict) and type(row.get("step")) is int
    return row if fine and line.endswith(b"\n") else None
