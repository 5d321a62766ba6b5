"""A process of its own that runs a module on R CPU devices of XLA's.

    python -m tpu.rehearsal_process FOLDER

FOLDER holds module.pb; plan.json (replicas, steps, watched); what the variables
are at the start, by their places, in state.npz; and the arguments of each step,
[R, ...] by their places, in step_0.npz, step_1.npz, ... It writes result.json
and, in result.npz, the watched variables of every replica after every step,
[steps, R, ...], and all others that the module writes, of the first replica
after the last.

A process of its own, because the number of devices belongs to a process, and
because XLA ends the process it is in where something is wrong. Needs jax, and
no TensorFlow.
"""

import json
import os
import pathlib
import sys
import time


def main(place: str):
    """Compiles, runs, and writes what came of it."""
    folder = pathlib.Path(place)
    plan = json.loads((folder / "plan.json").read_text())
    flags = [
        f"--xla_force_host_platform_device_count={plan['replicas']}",
        # On a busy machine, replicas wait for one another for minutes.
        "--xla_cpu_collective_call_warn_stuck_timeout_seconds=600",
        "--xla_cpu_collective_call_terminate_timeout_seconds=3600",
    ]
    os.environ.update(
        JAX_PLATFORMS="cpu",
        JAX_ENABLE_X64="1",  # labels and counters are int64
        XLA_FLAGS=" ".join(flags),
    )
    import jax

    try:
        result = _rehearse(folder, plan)
    except jax.errors.JaxRuntimeError as error:
        result = {"error": str(error)}
    (folder / "result.json").write_text(json.dumps(result))


def _rehearse(folder, plan):
    import numpy as np

    started = time.monotonic()
    executable, devices, written = _compile(folder, plan["replicas"])
    compiled = time.monotonic()
    state = [
        _global([value] * len(devices), devices)
        for value in _arrays(folder / "state.npz")
    ]
    seen = {place: [] for place in plan["watched"]}
    for step in range(plan["steps"]):
        arguments = [
            _global(values, devices)
            for values in _arrays(folder / f"step_{step}.npz")
        ]
        results = executable.execute_sharded([*arguments, *state])
        outputs = results.disassemble_into_single_device_arrays()
        if len(outputs) != len(written):
            raise SystemExit(
                f"{len(outputs)} variables came out, {len(written)} are written"
            )
        places = [number - len(arguments) for number in written]
        left = dict(zip(places, outputs, strict=True))
        for place, parts in left.items():
            state[place] = _global(parts, devices)
        for place, values in seen.items():
            values.append(np.stack([np.asarray(p) for p in left[place]]))
    found, differing = {}, []
    for place, parts in left.items():
        if place in seen:
            found[str(place)] = np.stack(seen[place])
            continue
        first, *others = (np.asarray(part) for part in parts)
        found[str(place)] = first
        if any(first.tobytes() != other.tobytes() for other in others):
            differing.append(place)
    np.savez(folder / "result.npz", **found)
    return {
        "differing": differing,
        "compile_seconds": compiled - started,
        "run_seconds": time.monotonic() - compiled,
    }


def _compile(folder, replicas):
    """The module's executable, the devices that it runs on, and which of its
    parameters its results replace, in the order of the results."""
    import jax
    import numpy as np
    from jax._src import compiler
    from jax._src.interpreters import mlir
    from jaxlib import xla_client

    from tpu import stablehlo

    devices = jax.devices()
    client = devices[0].client
    options = compiler.get_compile_options(
        num_replicas=replicas,
        num_partitions=1,
        device_assignment=np.array(devices).reshape(replicas, 1),
        backend=client,
    )
    module = (folder / "module.pb").read_bytes()
    with mlir.make_ir_context():
        parsed = stablehlo.parse(module)
        written = stablehlo.replaced_parameters(parsed)
        executable = client.compile_and_load(
            parsed,
            executable_devices=xla_client.DeviceList(tuple(devices)),
            compile_options=options,
        )
    return executable, devices, written


def _arrays(path):
    """Those of a file, in the order of their places."""
    import numpy as np

    with np.load(path) as arrays:
        for place in range(len(arrays)):
            yield arrays[str(place)]


def _global(parts, devices):
    """One array of all replicas', which is how arguments go in."""
    import jax
    import numpy as np

    # A scalar's place in a global array is a row of its own.
    parts = [
        jax.device_put(part.reshape(1) if part.ndim == 0 else part, device)
        for part, device in zip(parts, devices, strict=True)
    ]
    mesh = jax.sharding.Mesh(np.array(devices), ("replica",))
    sharding = jax.sharding.NamedSharding(
        mesh, jax.sharding.PartitionSpec("replica")
    )
    shape = (len(parts) * parts[0].shape[0], *parts[0].shape[1:])
    return jax.make_array_from_single_device_arrays(shape, sharding, parts)


if __name__ == "__main__":
    main(*sys.argv[1:])
