"""The TPU compiler, without a TPU: from a TensorFlow function to its costs."""

import dataclasses
import importlib.metadata
import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence

import tensorflow as tf

from simclr_tf.errors import UserError
from tpu import compiled_text
from tpu.chips import Topology

_ROOT = pathlib.Path(__file__).parents[1]
_NEEDED = ("jax", "jaxlib", "libtpu")
# Two ways in which libtpu says it.
_MEMORY = re.compile(
    r"Used (?P<used>[\d.]+[KMGT]?) of (?P<limit>[\d.]+[KMGT]?) hbm|"
    r"\((?P<used2>[\d.]+[KMGT]?)\) exceeds available HBM "
    r"\((?P<limit2>[\d.]+[KMGT]?)\)"
)
_UNITS = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}


@dataclasses.dataclass(frozen=True)
class Compiled:
    """What became of one step.

    Attributes:
        reason: why there is no executable; None where there is one.
        used_bytes: memory of one core; None where the compiler didn't say.
        limit_bytes: what of a core's memory a program may use, if it said.
        memory: the parts of used_bytes.
        flops: of one core's step, as XLA counts them.
        bytes: read and written by one core's step, as XLA counts them.
        collectives: of one core's step.
        host_operations: what makes a core wait for its host.
        seconds: that the compilation took.
    """

    reason: str | None
    used_bytes: float | None = None
    limit_bytes: float | None = None
    memory: dict[str, int] = dataclasses.field(default_factory=dict)
    flops: float = 0.0
    bytes: float = 0.0
    collectives: Sequence[compiled_text.Collective] = ()
    host_operations: Sequence[str] = ()
    seconds: float = 0.0

    @property
    def out_of_memory(self) -> bool:
        """Whether fewer images per core may help."""
        return self.reason is not None and "memory" in self.reason

    def beside(self, resident_bytes: int) -> "Compiled":
        """The same, where so much else lies in the core's memory."""
        if self.used_bytes is None:
            return self
        used = self.used_bytes + resident_bytes
        return dataclasses.replace(self, used_bytes=used)


def check_installed() -> dict[str, str]:
    """Versions of what the compiler needs.

    Raises:
        UserError: something is missing; says how to install it.
    """
    versions = {name: version(name) for name in _NEEDED}
    missing = [name for name, found in versions.items() if found is None]
    if missing:
        raise UserError(
            f"--mode=preflight needs {', '.join(missing)}. Install the extra, "
            "on Python 3.11: pip install -c constraints.txt -e '.[preflight]'"
        )
    return versions


def version_findings() -> list[tuple[str, str]]:
    """("ok" or "error", text) on the versions here and on a TPU VM.

    Raises:
        UserError: what the compiler needs is missing.
    """
    here = {"tensorflow": tf.__version__, **check_installed()}
    found = [("ok", ", ".join(f"{k} {v}" for k, v in here.items()))]
    on_tpu = version("tensorflow-tpu")
    if on_tpu is None:
        found.append(
            (
                "ok",
                "tensorflow-tpu is not here, and need not be; a TPU VM needs "
                f"tensorflow-tpu=={tf.__version__}",
            )
        )
    elif on_tpu != tf.__version__:
        found.append(
            (
                "error",
                f"tensorflow-tpu is {on_tpu} and tensorflow {tf.__version__}: "
                f"install tensorflow-tpu=={tf.__version__}",
            )
        )
    return found


def version(package: str) -> str | None:
    """Of an installed package; None where it is not."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def lower(function, specs: Sequence[tf.TensorSpec]) -> bytes:
    """The HLO module of a function with jit_compile=True, serialised."""
    get = function.experimental_get_compiler_ir(*specs)
    return get(stage="hlo_serialized")


def compile_module(module: bytes, topology: Topology) -> Compiled:
    """Compiles a module for every core of a topology.

    Args:
        module: of `lower`; the program of one of topology.num_cores replicas.
        topology: for which.
    """
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        source, result = (os.path.join(folder, n) for n in ("in.pb", "out"))
        pathlib.Path(source).write_bytes(module)
        process = subprocess.run(
            [
                sys.executable,
                "-m",
                "tpu.compiler_process",
                source,
                topology.name,
                str(topology.num_cores),
                result,
            ],
            cwd=_ROOT,
            capture_output=True,
            text=True,
        )
        seconds = time.monotonic() - started
        if not os.path.exists(result):
            return Compiled(_why_it_died(process), seconds=seconds)
        found = json.loads(pathlib.Path(result).read_text())
        if "error" in found:
            return _refused(found["error"], seconds)
        text = pathlib.Path(f"{result}.hlo").read_text()
    memory = found["memory"]
    return Compiled(
        None,
        # Results that replace an argument lie in its place.
        used_bytes=memory["argument"]
        + memory["output"]
        - memory["alias"]
        + memory["temp"]
        + memory["generated_code"],
        memory=memory,
        flops=found["flops"],
        bytes=found["bytes"],
        collectives=compiled_text.collectives(
            text, num_replicas=topology.num_cores
        ),
        host_operations=compiled_text.host_operations(text),
        seconds=seconds,
    )


def _why_it_died(process: subprocess.CompletedProcess) -> str:
    status = process.returncode
    if status < 0:
        return (
            f"The compiler itself crashed ({signal.Signals(-status).name}): a "
            "fault of libtpu's, which says nothing of the job on a TPU."
        )
    said = process.stderr.strip().splitlines() or ["nothing"]
    return f"The compiler ended with status {status} and said: {said[-1]}"


def _refused(error: str, seconds: float) -> Compiled:
    used = limit = None
    if match := _MEMORY.search(error):
        used = _bytes(match["used"] or match["used2"])
        limit = _bytes(match["limit"] or match["limit2"])
    first = " ".join(error.split())[:400]
    return Compiled(first, used_bytes=used, limit_bytes=limit, seconds=seconds)


def _bytes(text: str) -> float:
    """Of "15.75G"."""
    unit = text.lstrip("0123456789.")
    return float(text.removesuffix(unit)) * _UNITS[unit]
