"""The preflight's findings as a table and as JSON."""

import dataclasses
import re
from collections.abc import Mapping, Sequence
from typing import Any

from tpu import host_input, other_steps
from tpu.chips import Chip
from tpu.preflight import Verdict

# Where one quantity is off, many are.
_MOST_NAMES = 3


@dataclasses.dataclass(frozen=True)
class Finding:
    """Something checked without hardware.

    Attributes:
        level: "ok", "warning", or "error": the job could not run so.
        text: what was found, and what to do.
    """

    level: str
    text: str


@dataclasses.dataclass(frozen=True)
class Job:
    """What the report must know of the job.

    Attributes:
        views_per_example: how many images a step makes of an example.
        train_steps: of the whole job.
        measured_input: images/s that a host was seen to deliver to such a
            job, and with how many cores; None where nobody looked.
    """

    views_per_example: int
    train_steps: int
    measured_input: tuple[float, int] | None = None


def as_json(
    verdict: Verdict,
    job: Job,
    findings: Sequence[Finding],
    rehearsal: Mapping[str, Any] | None = None,
    others: Sequence[Mapping[str, Any]] = (),
) -> dict[str, Any]:
    """Everything, in bytes, FLOPs and seconds; per core where not said.

    Args:
        verdict: of the compilation.
        job: what was compiled.
        findings: what else was checked.
        rehearsal: what came of running it, of which the report reads "same"
            (None: it could not be run), "off", names of what is not, and
            "lines" for the table, name and text each.
        others: of the other steps, what `other_steps.compile_all` found.
    """
    topology, compiled = verdict.topology, verdict.compiled
    report = {
        "fits": verdict.fits
        and not (_errors(findings) or other_steps.reasons(others)),
        "reason": "; ".join(
            [*filter(None, [verdict.reason]), *_errors(findings)]
            + other_steps.reasons(others)
        )
        or None,
        "verdict": _verdict(verdict, findings, rehearsal, others),
        "topology": topology.name,
        "chip": _chip(topology.chip),
        "num_chips": topology.num_chips,
        "num_replicas": topology.num_cores,
        "per_core_batch_size": verdict.per_core_batch_size,
        "global_batch_size": verdict.per_core_batch_size * topology.num_cores,
        "memory_bytes": compiled.used_bytes,
        "memory_limit_bytes": compiled.limit_bytes
        or topology.hbm_bytes_per_core,
        "memory_parts": compiled.memory,
        "largest_per_core_batch_size": verdict.largest,
        "batches_tried": {str(n): fits for n, fits in verdict.tried.items()},
        "findings": [dataclasses.asdict(f) for f in findings],
        "compile_seconds": compiled.seconds,
        "rehearsal": rehearsal,
        "other_steps": list(others),
    }
    if compiled.reason is None:
        report |= _costs(verdict, job)
    return report


def _chip(chip: Chip) -> dict[str, Any]:
    found = dataclasses.asdict(chip)
    del found["hosts"]  # the slice's are in "input"
    return found


def _verdict(verdict: Verdict, findings, rehearsal, others) -> str:
    step = _of_training(verdict, findings, rehearsal)
    if wrong := other_steps.headline(others):
        return f"training step {step}; {wrong}"
    return step


def _of_training(verdict: Verdict, findings, rehearsal) -> str:
    compiles = _compiles(verdict, findings)
    if not rehearsal or rehearsal["same"] is None:
        return compiles
    if compiles == "fits":
        compiles = "compiles, fits"
    if rehearsal["same"]:
        return f"{compiles}, computes the same"
    off = ", ".join(rehearsal["off"][:_MOST_NAMES])
    return f"{compiles}, does not compute the same: {off}"


def _compiles(verdict: Verdict, findings: Sequence[Finding]) -> str:
    if verdict.fits and _errors(findings):
        return "compiles, but could not run"
    return verdict.words


def _costs(verdict: Verdict, job: Job) -> dict[str, Any]:
    compiled, estimate = verdict.compiled, verdict.estimate()
    cores, batch = verdict.topology.num_cores, verdict.per_core_batch_size
    views = batch * job.views_per_example
    return {
        "flops": compiled.flops,
        "bytes": compiled.bytes,
        "bytes_per_view": compiled.bytes / views,
        "flops_per_view": compiled.flops / views,
        "collectives": [dataclasses.asdict(c) for c in compiled.collectives],
        "host_operations": list(compiled.host_operations),
        "estimate": {
            **dataclasses.asdict(estimate),
            "step_seconds": estimate.step_seconds,
            "images_per_second": batch * cores / estimate.step_seconds,
            "train_steps": job.train_steps,
            "hours": job.train_steps * estimate.step_seconds / 3600,
        },
        "input": host_input.needed(
            verdict.topology,
            batch * cores / estimate.step_seconds,
            job.measured_input,
        ),
    }


def as_table(report: dict[str, Any]) -> str:
    """The JSON report for a reader."""
    cores, batch = report["num_replicas"], report["per_core_batch_size"]
    rows = [
        ("topology", f"{report['topology']}, {cores} replicas"),
        (
            "batch",
            f"{report['global_batch_size']} = {cores} cores x {batch}",
        ),
        ("verdict", _upper(report["verdict"])),
    ]
    if report["rehearsal"]:
        rows += report["rehearsal"]["lines"]
    if report["reason"]:
        rows.append(("reason", report["reason"]))
    if report["memory_bytes"]:
        rows.append(
            (
                "memory of a core",
                f"{_gib(report['memory_bytes'])} of "
                f"{_gib(report['memory_limit_bytes'])} GiB"
                + _parts(report["memory_parts"]),
            )
        )
    if "flops" in report:
        rows += _cost_rows(report)
    if report["largest_per_core_batch_size"] is not None:
        rows.append(("largest batch", _largest(report)))
    rows += other_steps.rows(report["other_steps"])
    width = max(len(name) for name, _ in rows)
    lines = [f"  {f['level']:8}{f['text']}" for f in report["findings"]]
    lines += [f"  {name:{width}}  {text}" for name, text in rows]
    return "\n".join(["Preflight:", *lines])


def _cost_rows(report) -> list[tuple[str, str]]:
    estimate, chip = report["estimate"], report["chip"]
    rows = [
        (
            "per core and step",
            f"{report['flops'] / 1e12:.3g} TFLOP, "
            f"{report['bytes'] / 1e9:.4g} GB moved",
        ),
        (
            "per view",
            f"{report['flops_per_view'] / 1e9:.3g} GFLOP, "
            f"{report['bytes_per_view'] / 1e9:.3f} GB moved",
        ),
    ]
    rows += [
        (
            c["kind"],
            f"{c['count']} over {c['group_size']} replicas, "
            f"{c['bytes'] / 1e6:.4g} MB per step",
        )
        for c in report["collectives"]
    ]
    rows += [
        ("host callbacks", ", ".join(report["host_operations"]) or "none"),
        (
            "estimated step",
            f"{1e3 * estimate['step_seconds']:.4g} ms (arithmetic "
            f"{1e3 * estimate['compute_seconds']:.4g}, memory "
            f"{1e3 * estimate['memory_seconds']:.4g}, collectives "
            f"{1e3 * estimate['collective_seconds']:.3g})",
        ),
        (
            "estimated job",
            f"{estimate['images_per_second']:.0f} images/s, "
            f"{estimate['hours']:.3g} hours for "
            f"{estimate['train_steps']} steps",
        ),
        ("input", host_input.in_words(report["input"])),
        (
            "estimated from",
            f"the peaks of a {chip['name']} chip: "
            f"{chip['flops_per_second'] / 1e12:.0f} TFLOP/s bfloat16, "
            f"{chip['hbm_bytes_per_second'] / 1e9:.0f} GB/s memory, "
            f"{chip['ici_bytes_per_second'] / 1e9:.0f} GB/s links "
            f"({chip['source']}); a lower bound, without the input pipeline",
        ),
    ]
    return rows


def _upper(text: str) -> str:
    """In capitals, but for flags."""
    return re.sub(r"--\w+", lambda flag: flag[0].lower(), text.upper())


def _largest(report) -> str:
    largest, cores = (
        report["largest_per_core_batch_size"],
        report["num_replicas"],
    )
    if not largest:
        return "none fits"
    return (
        f"{largest} per core that was found to fit: "
        f"--train_batch_size={largest * cores}"
    )


def _parts(memory) -> str:
    if not memory:
        return ""
    return (
        f" (variables and inputs {_gib(memory['argument'])}, temporaries "
        f"{_gib(memory['temp'])}, program {_gib(memory['generated_code'])})"
    )


def _gib(count: float) -> str:
    return f"{count / 2**30:.2f}"


def _errors(findings: Sequence[Finding]) -> list[str]:
    return [f.text for f in findings if f.level == "error"]
