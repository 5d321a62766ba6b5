"""The program of R TPU cores, run without them: on XLA's own CPU client.

Knows TensorFlow and nothing of SimCLR.
"""

import dataclasses
import json
import pathlib
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence

import numpy as np
import tensorflow as tf

from tpu import compiler

_ROOT = pathlib.Path(__file__).parents[1]


@dataclasses.dataclass(frozen=True)
class Performed:
    """What a program did to its variables.

    Attributes:
        reason: why it could not be run; None where it ran.
        watched: name -> its values, [steps, R, ...].
        after: name of every other variable -> its value after the last step
            on the first replica.
        differing: names of those others that ended differently on another
            replica, by a bit or more.
        compile_seconds, run_seconds: that it took.
    """

    reason: str | None
    watched: Mapping[str, np.ndarray] = dataclasses.field(default_factory=dict)
    after: Mapping[str, np.ndarray] = dataclasses.field(default_factory=dict)
    differing: Sequence[str] = ()
    compile_seconds: float = 0.0
    run_seconds: float = 0.0


def perform(
    function,
    specs: Sequence[tf.TensorSpec],
    steps: Sequence[Sequence[np.ndarray]],
    variables: Mapping[str, tf.Variable],
    watched: Sequence[str] = (),
) -> Performed:
    """Runs the steps of all replicas, from the variables as they are now.

    Args:
        function: the step of a replica, with jit_compile=True; its results
            are what it leaves in variables.
        specs: of its arguments.
        steps: of each step, its arguments, [R, ...] each.
        variables: those that it uses, by name.
        watched: names of those that are wanted after every step, of every
            replica.

    Raises:
        ValueError: the function uses a variable that is not among them.
    """
    names = captured_names(function.get_concrete_function(*specs), variables)
    plan = {
        "replicas": len(steps[0][0]),
        "steps": len(steps),
        "watched": [names.index(n) for n in watched if n in names],
    }
    with tempfile.TemporaryDirectory() as folder:
        there = pathlib.Path(folder)
        (there / "module.pb").write_bytes(compiler.lower(function, specs))
        (there / "plan.json").write_text(json.dumps(plan))
        state = [variables[name].numpy() for name in names]
        _save(there / "state.npz", state)
        for number, arguments in enumerate(steps):
            _save(there / f"step_{number}.npz", arguments)
        process = subprocess.run(
            [sys.executable, "-m", "tpu.rehearsal_process", folder],
            cwd=_ROOT,
            capture_output=True,
            text=True,
        )
        result = there / "result.json"
        if not result.exists():
            return Performed(_why_it_died(process))
        said = json.loads(result.read_text())
        if "error" in said:
            return Performed(" ".join(said["error"].split())[:400])
        with np.load(there / "result.npz") as arrays:
            found = {names[int(place)]: arrays[place] for place in arrays}
    seen = {names[place] for place in plan["watched"]}
    return Performed(
        None,
        {name: found[name] for name in seen},
        {name: a for name, a in found.items() if name not in seen},
        [names[place] for place in said["differing"]],
        said["compile_seconds"],
        said["run_seconds"],
    )


def captured_names(concrete, variables) -> list[str]:
    """Names of what a function captured, in the order of its program."""
    by_handle = {id(v.handle): name for name, v in variables.items()}
    names = [by_handle.get(id(c)) for c in concrete.captured_inputs]
    if None in names:
        unknown = concrete.captured_inputs[names.index(None)]
        raise ValueError(f"The step uses what has no name here: {unknown}.")
    return names


def _save(path, arrays) -> None:
    np.savez(path, **{str(place): each for place, each in enumerate(arrays)})


def _why_it_died(process: subprocess.CompletedProcess) -> str:
    status = process.returncode
    if status < 0:
        ended = f"was ended by {signal.Signals(-status).name}"
        return f"XLA {ended}; by SIGKILL, memory was missing."
    said = process.stderr.strip().splitlines() or ["nothing"]
    return f"XLA ended with status {status}, and said: {said[-1]}"
