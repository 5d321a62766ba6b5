"""The programs that a job runs beside its training step: verdict and report.

Of a program, see `Step`; what is said of it is a dict, for the JSON report
and its table.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from tpu import preflight
from tpu.chips import Topology


class Step(Protocol):
    """What is to be known of such a program.

    Attributes:
        name: in words.
        step: gives it for a per-core batch.
        per_replica_batch_size: examples per core.
        resident_bytes: of a core's memory, what lies there beside it.
        flag: that sets the batch, without its dashes; None: nothing does.
        crosses_replicas: whether the replicas must meet in it.
    """

    name: str
    step: preflight.MakeStep
    per_replica_batch_size: int
    resident_bytes: int
    flag: str | None
    crosses_replicas: bool


def compile_all(
    steps: Sequence[Step], topology: Topology, **options
) -> list[dict[str, Any]]:
    """Compiles each; for one that doesn't fit, looks for the batch that does.

    Args:
        steps: of a job.
        topology: for which.
        options: `compile_module` and `say` of `preflight.run`.

    Returns:
        Of each step, what the report says; bytes and FLOPs are of one core.
    """
    return [_compiled(step, topology, **options) for step in steps]


def _compiled(step: Step, topology: Topology, **options) -> dict[str, Any]:
    verdict = preflight.run(
        step.step,
        topology,
        per_core_batch_size=step.per_replica_batch_size,
        crosses_replicas=step.crosses_replicas,
        resident_bytes=step.resident_bytes,
        what=step.name,
        **options,
    )
    compiled, cores = verdict.compiled, topology.num_cores
    found = {
        "name": step.name,
        "fits": verdict.fits,
        "verdict": verdict.words,
        "reason": verdict.reason,
        "advice": None,
        "memory_bytes": compiled.used_bytes,
        "resident_bytes": step.resident_bytes,
        "flops": compiled.flops,
        "bytes": compiled.bytes,
        "per_core_batch_size": verdict.per_core_batch_size,
        "global_batch_size": verdict.per_core_batch_size * cores,
        "largest_per_core_batch_size": verdict.largest,
        "compile_seconds": compiled.seconds,
    }
    if verdict.too_large and step.flag:
        found["advice"] = f"lower --{step.flag}"
        if verdict.largest:
            found["advice"] += f" to {verdict.largest * cores}"
    return found


def headline(steps: Sequence[Mapping[str, Any]]) -> str:
    """What is wrong, by name, and what to do; empty where nothing is."""
    return "; ".join(
        f"{step['name']} {step['verdict']}"
        + (f": {step['advice']}" if step["advice"] else "")
        for step in steps
        if not step["fits"]
    )


def reasons(steps: Sequence[Mapping[str, Any]]) -> list[str]:
    """Why those that are wrong are, by name."""
    return [f"{s['name']}: {s['reason']}" for s in steps if not s["fits"]]


def rows(steps: Sequence[Mapping[str, Any]]) -> list[tuple[str, str]]:
    """Lines of the table, name and text each."""
    return [(step["name"], _text(step)) for step in steps]


def _text(step: Mapping[str, Any]) -> str:
    batch, total = step["per_core_batch_size"], step["global_batch_size"]
    parts = [step["verdict"].upper()]
    if step["memory_bytes"]:
        parts.append(f"{step['memory_bytes'] / 2**30:.2f} GiB of a core")
    if step["flops"]:
        parts.append(f"{step['flops'] / 1e9:.3g} GFLOP")
    parts.append(f"batch {total} = {total // batch} cores x {batch}")
    return ", ".join(parts)
