"""What every benchmark needs: ratios of times, peaks of memory, a table.

A busy machine makes seconds mean little. Candidates therefore take turns in
one process, and what is compared is the median over rounds of the ratio
within a round. Peaks are a process's, so each case gets one of its own.
"""

import argparse
import collections
import json
import os
import pathlib
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence

ROOT = pathlib.Path(__file__).parents[2]
CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}


def parser(
    doc: str, *, rounds: int, has_clock: bool = True
) -> argparse.ArgumentParser:
    """With the options that benchmarks share: --rounds, --json, --clock.

    Args:
        doc: of the script; the first line is what --help says.
        rounds: the default.
        has_clock: whether the clock can be chosen.
    """
    made = argparse.ArgumentParser(description=doc.splitlines()[0])
    made.add_argument("--rounds", type=int, default=rounds)
    made.add_argument("--json", help="file to write")
    if has_clock:
        made.add_argument(
            "--clock",
            choices=CLOCKS,
            default="wall",
            help="cpu: seconds of all cores, for a machine in use",
        )
    return made


def resolve(flags: Sequence[str], *, inherits: bool = False):
    """The configuration that flags of run.py ask for, and its origins.

    Args:
        flags: as for run.py.
        inherits: whether to read what --checkpoint says of an architecture.
    """
    from flags import definitions
    from simclr_tf.build import inheritance
    from simclr_tf.config import resolve as resolving

    parsed = definitions.parse(["run.py", *flags])
    given = parsed.given
    resolved = resolving.resolve(
        given,
        defaults=parsed.defaults,
        inherited=inheritance.of_checkpoint(given) if inherits else None,
        from_files=parsed.from_files,
    )
    return resolved.config, resolved.origins


def alternate(
    candidates: Mapping[str, Callable[[], object]],
    *,
    rounds: int,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, list[float]]:
    """Seconds of each candidate in each round, after one that doesn't count.

    Args:
        candidates: name -> what to time; it returns when its work is done.
        rounds: how often each has its turn.
        clock: time.process_time, the seconds of all cores together, says more
            than the default where others use the machine.
    """
    for run in candidates.values():
        run()
    seconds = {name: [] for name in candidates}
    for _ in range(rounds):
        for name, run in candidates.items():
            started = clock()
            run()
            seconds[name].append(clock() - started)
    return seconds


def ratio(above: Sequence[float], below: Sequence[float]) -> float:
    """Median over rounds of one candidate's time over another's."""
    return statistics.median(a / b for a, b in zip(above, below, strict=True))


def peak_memory_gb(pid: str = "self") -> float:
    """Peak resident memory of a process so far, 10^9 bytes (Linux)."""
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    (line,) = (x for x in status.splitlines() if x.startswith("VmHWM"))
    return int(line.split()[1]) * 1024 / 1e9


def in_process(script: str, *arguments: object) -> dict:
    """What a script says as JSON on its last line, run in a new process."""
    done = subprocess.run(
        [sys.executable, script, *map(str, arguments)],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        env={"TF_CPP_MIN_LOG_LEVEL": "3", **os.environ}
        | {"PYTHONPATH": str(ROOT)},
    )
    return json.loads(done.stdout.splitlines()[-1])


def listen(
    command: Sequence[object], heard: Callable[[str, float, float], None]
) -> None:
    """Runs a Python script in a new process, and listens to it.

    Args:
        command: the script and its arguments.
        heard: called with every line that it writes, the seconds since it
            began and those of all cores that it has used (Linux).

    Raises:
        RuntimeError: it failed; with the end of what it said.
    """
    began = time.monotonic()
    process = subprocess.Popen(
        [sys.executable, *map(str, command)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=ROOT,
        env=os.environ | {"PYTHONUNBUFFERED": "1"},
    )
    last = collections.deque(maxlen=30)
    for line in process.stdout:
        last.append(line)
        heard(line, time.monotonic() - began, _cpu_seconds(process.pid))
    if process.wait():
        raise RuntimeError(f"{command[0]} failed:\n{''.join(last)}")


def _cpu_seconds(pid: int) -> float:
    """Of all threads of a process, so far."""
    text = pathlib.Path(f"/proc/{pid}/stat").read_text()
    fields = text.rpartition(")")[2].split()
    return sum(map(int, fields[11:13])) / os.sysconf("SC_CLK_TCK")


def report(
    rows: Sequence[Mapping[str, object]], *, title: str, path: str | None
) -> None:
    """Prints rows as a table; writes them with the machine to a JSON file."""
    machine = f"{_processor()}, {len(os.sched_getaffinity(0))} cores"
    print(f"{title} ({machine})")
    names = list(dict.fromkeys(name for row in rows for name in row))
    cells = [names] + [[_show(row.get(n)) for n in names] for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for line in cells:
        pairs = zip(line, widths, strict=True)
        print("  ".join(cell.rjust(width) for cell, width in pairs))
    if path:
        whole = {"title": title, "machine": machine, "rows": list(rows)}
        whole["command"] = " ".join(sys.argv)
        pathlib.Path(path).write_text(json.dumps(whole, indent=1) + "\n")


def _show(value) -> str:
    if value is None:
        return "-"
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _processor() -> str:
    """The processor's name; Python's own word for it is often empty."""
    try:
        lines = pathlib.Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [x.split(":")[1].strip() for x in lines if "model name" in x]
    return names[0] if names else platform.machine()
