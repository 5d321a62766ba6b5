"""A process of its own that runs a module on R CPU devices of XLA's.

    python -m tpu.rehearsal_process FOLDER

FOLDER holds module.pb; plan.json (replicas, steps, arguments, watched); what
the variables are at the start, by their places, in state.npz; and the
arguments of each step, [R, ...] by their places, in step_0.npz, step_1.npz, ...
It writes result.json and, in result.npz, the watched variables of every
replica after every step, [steps, R, ...], and all others of the first replica
after the last.

A process of its own, because the number of devices belongs to a process, and
because XLA ends the process it is in where something is wrong. Needs jax, and
no TensorFlow.
"""

import json
import os
import sys
import time

_FOLDER = sys.argv[1] if __name__ == "__main__" else None


def _read_json(name):
    with open(os.path.join(_FOLDER, name), encoding="utf-8") as file:
        return json.load(file)


def main():
    """Compiles, runs, and writes what came of it."""
    plan = _read_json("plan.json")
    os.environ.update(
        JAX_PLATFORMS="cpu",
        JAX_ENABLE_X64="1",  # labels and counters are int64
        XLA_FLAGS=f"--xla_force_host_platform_device_count={plan['replicas']}",
    )
    import jax

    try:
        result = _rehearse(plan)
    except jax.errors.JaxRuntimeError as error:
        result = {"error": str(error)}
    path = os.path.join(_FOLDER, "result.json")
    with open(path, "w", encoding="utf-8") as file:
        json.dump(result, file)


def _rehearse(plan):
    import numpy as np

    started = time.monotonic()
    executable, devices = _compile(plan["replicas"])
    compiled = time.monotonic()
    watched = set(plan["watched"])
    state = _initial_state(devices)
    seen = {place: [] for place in watched}
    for step in range(plan["steps"]):
        arguments = _arguments(step, plan["arguments"], devices)
        results = executable.execute_sharded([*arguments, *state])
        outputs = results.disassemble_into_single_device_arrays()
        if len(outputs) != len(state):
            raise SystemExit(
                f"{len(state)} variables went in, {len(outputs)} came out"
            )
        state = [_global(parts) for parts in outputs]
        for place in watched:
            seen[place].append(
                np.stack([np.asarray(p) for p in outputs[place]])
            )
    found, differing = {}, []
    for place, parts in enumerate(outputs):
        first, *others = (np.asarray(part) for part in parts)
        if place in watched:
            found[str(place)] = np.stack(seen[place])
            continue
        found[str(place)] = first
        if any(first.tobytes() != other.tobytes() for other in others):
            differing.append(place)
    np.savez(os.path.join(_FOLDER, "result.npz"), **found)
    return {
        "differing": differing,
        "compile_seconds": compiled - started,
        "run_seconds": time.monotonic() - compiled,
    }


def _compile(replicas):
    """The module's executable, and the devices that it runs on."""
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
    with open(os.path.join(_FOLDER, "module.pb"), "rb") as file:
        module = file.read()
    with mlir.make_ir_context():
        executable = client.compile_and_load(
            stablehlo.parse(module),
            executable_devices=xla_client.DeviceList(tuple(devices)),
            compile_options=options,
        )
    return executable, devices


def _initial_state(devices):
    """The variables, the same on every replica."""
    import jax
    import numpy as np

    with np.load(os.path.join(_FOLDER, "state.npz")) as state:
        return [
            _global([jax.device_put(state[str(i)], d) for d in devices])
            for i in range(len(state))
        ]


def _arguments(step, names, devices):
    """The arguments of a step, each replica's own."""
    import jax
    import numpy as np

    with np.load(os.path.join(_FOLDER, f"step_{step}.npz")) as arrays:
        return [
            _global(
                [
                    jax.device_put(part, device)
                    for part, device in zip(
                        arrays[str(name)], devices, strict=True
                    )
                ]
            )
            for name in range(names)
        ]


def _global(parts):
    """One array of all replicas', which is how arguments go in."""
    import jax
    import numpy as np

    # A scalar's place in a global array is a row of its own.
    parts = [p.reshape(1) if p.ndim == 0 else p for p in parts]
    mesh = jax.sharding.Mesh(np.array([p.device for p in parts]), ("r",))
    sharding = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec("r"))
    shape = (len(parts) * parts[0].shape[0], *parts[0].shape[1:])
    return jax.make_array_from_single_device_arrays(shape, sharding, parts)


if __name__ == "__main__":
    main()
