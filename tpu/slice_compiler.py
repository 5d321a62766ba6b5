"""The TPU's compiler for one slice, as the preflight job of run.py wants it."""

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tpu import (
    chips,
    compiler,
    other_steps,
    preflight,
    preflight_report,
    rehearsal,
)


class SliceCompiler:
    """Compiles a job's steps for a slice, and reports.

    Args:
        topology: of the slice, "v5e:4x4".
        find_batch: look for the largest batch even where the job's fits.

    Attributes:
        num_cores: R, replicas of the job.
        num_hosts: machines of the slice.

    Raises:
        UserError: no such topology, or the compiler is not installed.
    """

    def __init__(self, *, topology: str, find_batch: bool):
        self._topology = chips.parse_topology(topology)
        self._find_batch = find_batch
        self._checks = compiler.version_findings()
        self.num_cores = self._topology.num_cores
        self.num_hosts = self._topology.num_hosts

    def run(
        self,
        make_step: preflight.MakeStep,
        *,
        others: Sequence[other_steps.Step],
        global_batch_size: int,
        num_examples: int,
        views_per_example: int,
        train_steps: int,
        findings: Sequence[tuple[str, str]],
        measured_input: tuple[float, int] | None = None,
        rehearse: Callable[..., Mapping[str, Any] | None] | None = None,
    ) -> tuple[dict[str, Any], str]:
        """Compiles; takes minutes, and says what it does.

        Args:
            make_step: gives the step of a replica for a per-core batch.
            others: what else the replicas run.
            global_batch_size: over all cores.
            num_examples: of the training split; no larger batch is of use.
            views_per_example: of `preflight_report.Job`.
            train_steps: of the job.
            findings: what else is known of it: (level, text).
            measured_input: of `preflight_report.Job`.
            rehearse: of `rehearsal.perform` and whether the job fits, to what
                the report says of a rehearsal; None for none.

        Returns:
            The report as `preflight_report.as_json` gives it, and as a table.
        """
        say = functools.partial(print, flush=True)
        verdict = preflight.run(
            make_step,
            self._topology,
            per_core_batch_size=global_batch_size // self.num_cores,
            find_batch=self._find_batch,
            at_most=num_examples // self.num_cores,
            say=say,
        )
        found = other_steps.compile_all(others, self._topology, say=say)
        rehearsed = rehearse and rehearse(rehearsal.perform, fits=verdict.fits)
        report = preflight_report.as_json(
            verdict,
            preflight_report.Job(
                views_per_example, train_steps, measured_input
            ),
            [
                preflight_report.Finding(*each)
                for each in [*self._checks, *findings]
            ],
            rehearsed,
            found,
        )
        return report, preflight_report.as_table(report)
