"""A process of its own around libtpu, for a module and a topology.

    python -m tpu.compiler_process MODULE.pb TOPOLOGY REPLICAS RESULT.json

It writes RESULT.json, and the compiled module beside it as RESULT.json.hlo. A
process of its own, because libtpu ends the process it is in where something is
wrong, and gives no memory back. Needs jax and libtpu, and no TensorFlow.
"""

import json
import math
import os
import sys

# libtpu would look for the TPU machine that it is on.
os.environ.update(
    TPU_SKIP_MDS_QUERY="1",
    TPU_WORKER_HOSTNAMES="localhost",
    TPU_ACCELERATOR_TYPE="v5litepod-4",  # any: the topology comes by name
    ALLOW_MULTIPLE_LIBTPU_LOAD="true",  # no device is touched: no lock
    JAX_PLATFORMS="",
)
_CHIPS_OF_HOST = 4


def main(module_path: str, topology: str, replicas: str, result_path: str):
    """Compiles, and writes what came of it."""
    import jax

    with open(module_path, "rb") as file:
        module = file.read()
    try:
        executable = _compile(module, topology, int(replicas))
    except jax.errors.JaxRuntimeError as error:
        _write(result_path, {"error": str(error)})
        return
    memory = executable.get_compiled_memory_stats()
    cost = executable.cost_analysis()
    cost = cost[0] if isinstance(cost, list) else cost
    text = "\n".join(m.to_string() for m in executable.hlo_modules())
    with open(f"{result_path}.hlo", "w", encoding="utf-8") as file:
        file.write(text)
    _write(
        result_path,
        {
            "flops": cost["flops"],
            "bytes": cost["bytes accessed"],
            "memory": {
                name: getattr(memory, f"{name}_size_in_bytes")
                for name in (
                    "argument",
                    "output",
                    "alias",
                    "temp",
                    "generated_code",
                )
            },
        },
    )


def _compile(module: bytes, topology: str, replicas: int):
    """The module, an HLO proto, as an executable for R replicas."""
    import numpy as np
    from jax._src import compiler
    from jax._src.interpreters import mlir
    from jax.experimental import topologies
    from jaxlib import xla_client

    from tpu import stablehlo

    devices = topologies.get_topology_desc(
        platform="tpu", topology_name=topology, **_of_host(topology)
    ).devices
    if len(devices) != replicas:
        raise SystemExit(
            f"{topology} has {len(devices)} devices, not {replicas}"
        )
    client = devices[0].client
    options = compiler.get_compile_options(
        num_replicas=replicas,
        num_partitions=1,
        device_assignment=np.array(devices).reshape(replicas, 1),
        backend=client,
    )
    with mlir.make_ir_context():
        return client.compile(
            stablehlo.parse(module),
            executable_devices=xla_client.DeviceList(tuple(devices)),
            compile_options=options,
        )


def _of_host(topology: str):
    """What libtpu has to be told of a slice smaller than a host.

    A host has 2x2 chips, it would say, and refuse what these don't divide.
    """
    shape = [int(chips) for chips in topology.partition(":")[2].split("x")]
    if math.prod(shape) >= _CHIPS_OF_HOST:
        return {}
    return {"chips_per_host_bounds": (shape + [1])[:3]}


def _write(path, result):
    with open(path, "w", encoding="utf-8") as file:
        json.dump(result, file)


if __name__ == "__main__":
    main(*sys.argv[1:])
