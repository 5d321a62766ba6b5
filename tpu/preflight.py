"""A TPU job without a TPU: does its step compile, fit, and at what cost?

Given the training step of one replica as a function, compiles it with the
TPU's own compiler for a real topology, and reports. Knows TensorFlow and
nothing of SimCLR.
"""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

from tpu import compiled_text, compiler
from tpu.chips import Topology

# Batches are tried in steps of a TPU register's sublanes, or of so much of the
# batch asked for.
_GRANULE = 8
_FINEST = 1 / 128
_MOST_COMPILATIONS = 12

# (examples per core) -> (function with jit_compile=True, its arguments' specs)
MakeStep = Callable[[int], tuple[Any, Sequence[tf.TensorSpec]]]


@dataclasses.dataclass(frozen=True)
class Estimate:
    """Roofline of a step: what the chip's peaks allow, not a measurement.

    Attributes:
        compute_seconds: all FLOPs at the peak.
        memory_seconds: all bytes at the peak.
        collective_seconds: all collectives, with nothing overlapped.
        step_seconds: the longer of the first two, and the third.
    """

    compute_seconds: float
    memory_seconds: float
    collective_seconds: float

    @property
    def step_seconds(self) -> float:
        longer = max(self.compute_seconds, self.memory_seconds)
        return longer + self.collective_seconds


@dataclasses.dataclass(frozen=True)
class Verdict:
    """What the preflight of a job found.

    Attributes:
        topology: for which it was compiled.
        per_core_batch_size: examples per core.
        compiled: what the compiler said of that.
        reason: why the job can't run so; None where it can.
        largest: the largest per-core batch that fits, where it was looked
            for; 0 where none does.
        tried: per-core batch -> whether it fits.
    """

    topology: Topology
    per_core_batch_size: int
    compiled: compiler.Compiled
    reason: str | None
    largest: int | None
    tried: dict[int, bool]

    @property
    def fits(self) -> bool:
        return self.reason is None

    @property
    def words(self) -> str:
        """In words."""
        if self.too_large:
            return "does not fit"
        if self.compiled.reason is not None:
            return "does not compile"
        return "fits" if self.fits else "compiles, but could not run"

    @property
    def too_large(self) -> bool:
        """Whether memory is what is missing."""
        return _too_large(self.compiled, self.topology)

    def estimate(self) -> Estimate:
        """Needs an executable."""
        chip = self.topology.chip
        cores = self.topology.num_cores
        # The best all-reduce sends and receives everything twice, less its
        # own part.
        moved = sum(
            (2 if c.kind == "all-reduce" else 1)
            * c.bytes
            * (c.group_size - 1)
            / c.group_size
            for c in self.compiled.collectives
        )
        per_core = chip.cores  # the chip's peaks are for all of its cores
        return Estimate(
            self.compiled.flops * per_core / chip.flops_per_second,
            self.compiled.bytes * per_core / chip.hbm_bytes_per_second,
            moved * per_core / chip.ici_bytes_per_second if cores > 1 else 0.0,
        )


def run(
    make_step: MakeStep,
    topology: Topology,
    *,
    per_core_batch_size: int,
    find_batch: bool = False,
    at_most: int | None = None,
    crosses_replicas: bool = True,
    resident_bytes: int = 0,
    what: str = "",
    compile_module: Callable | None = None,
    say: Callable[[str], None] = print,
) -> Verdict:
    """Compiles a step; where it doesn't fit, looks for the batch that does.

    Args:
        make_step: gives the step for a per-core batch.
        topology: for which.
        per_core_batch_size: examples per core that are wanted.
        find_batch: look for the largest batch even where this one fits.
        at_most: no larger batch is of use.
        crosses_replicas: whether a program in which the replicas don't meet is
            wrong.
        resident_bytes: of a core's memory, what lies there beside the program
            and its arguments.
        what: is compiled, in words, where it isn't the training step.
        compile_module: stands in for `compiler.compile_module` in tests.
        say: told what is being done, as it takes minutes.
    """
    compile_module = compile_module or compiler.compile_module

    def attempt(batch: int) -> compiler.Compiled:
        words = f"{what}, {batch}" if what else f"{batch}"
        say(f"Compiling for {topology.describe()}: {words} examples per core")
        result = compile_module(compiler.lower(*make_step(batch)), topology)
        result = result.beside(resident_bytes)
        say(f"  {_outcome(result, topology)}, {result.seconds:.0f} s")
        return result

    def refuses(result: compiler.Compiled) -> str | None:
        return why_not(result, topology, crosses_replicas=crosses_replicas)

    first = attempt(per_core_batch_size)
    reason = refuses(first)
    largest, tried = None, {per_core_batch_size: reason is None}
    if find_batch or _too_large(first, topology):
        largest = _largest_fitting(
            attempt,
            refuses,
            per_core_batch_size,
            first,
            topology,
            at_most,
            tried,
        )
    return Verdict(topology, per_core_batch_size, first, reason, largest, tried)


def why_not(
    result: compiler.Compiled, topology: Topology, *, crosses_replicas: bool
) -> str | None:
    """Why a job can't run with this executable; None where it can.

    Args:
        result: of the compiler.
        topology: of the job.
        crosses_replicas: as of `run`.
    """
    cores = topology.num_cores
    if result.reason is not None:
        return result.reason
    if result.used_bytes > topology.hbm_bytes_per_core:
        return "The step needs more memory than a core has."
    crosses = crosses_replicas and cores > 1
    if crosses and not compiled_text.crosses_all_replicas(
        result.collectives, num_replicas=cores
    ):
        return f"No collective over all {cores} replicas is in the program."
    if result.host_operations:
        return (
            "Every step would wait for the host: "
            f"{', '.join(result.host_operations)}."
        )
    return None


def granularity(per_core_batch_size: int) -> int:
    """The steps in which batches around this one are tried."""
    if per_core_batch_size < _GRANULE:
        return 1
    coarse = int(per_core_batch_size * _FINEST) // _GRANULE
    return max(1, coarse) * _GRANULE


def _too_large(result: compiler.Compiled, topology: Topology) -> bool:
    used = result.used_bytes
    return result.out_of_memory or (
        used is not None and used > topology.hbm_bytes_per_core
    )


def _largest_fitting(
    attempt,
    refuses,
    start: int,
    first: compiler.Compiled,
    topology,
    at_most,
    tried,
) -> int:
    """The largest multiple of the granule that fits, 0 if none does."""
    granule = granularity(start)
    limit = first.limit_bytes or topology.hbm_bytes_per_core
    batch, result, low, high = start, first, 0, None
    if at_most is not None:
        high = at_most // granule * granule + granule
    for _ in range(_MOST_COMPILATIONS):
        if refuses(result) is None:
            low = max(low, batch)
        else:
            high = batch if high is None else min(high, batch)
        tried[batch] = low == batch
        least = low // granule * granule + granule
        most = 2 * least if high is None else -(-high // granule) * granule
        most = max(most - granule, 0)
        guess = (least + most) // 2
        if result.used_bytes:  # memory grows about as the batch does
            guess = int(batch * limit / result.used_bytes)
            if high is not None and not least < guess < most:
                guess = (least + most) // 2
        guess = guess // granule * granule
        if least > most:
            break
        batch = min(max(guess, least), most)
        result = attempt(batch)
    return low


def _outcome(result: compiler.Compiled, topology: Topology) -> str:
    if _too_large(result, topology):
        return "does not fit"
    return "refused" if result.reason else "compiles"
