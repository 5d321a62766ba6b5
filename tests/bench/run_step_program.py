"""A real training step on whatever jax finds: right, and how fast?

    python run_step_program.py FOLDER --json=step.json

FOLDER is from step_program.py, which stands beside this file. This file needs
nothing else of the checkout, and of packages jax (0.10, with CUDA for a GPU)
and numpy: copy both to the machine. It compiles the step for as many devices
as it has replicas, takes the steps whose inputs lie there, and compares losses
and weights with TensorFlow's, where those lie there, too. Then it measures
images/s, memory, and time by kind of operation.

Ends with 0; with 4 where something is off; with 2, and one line, where the
folder or the devices do not do.

While it is timed, every step starts from the weights that the first steps
left, and takes their inputs in turn: to feed weights back would time Python.
"""

import argparse
import collections
import glob
import hashlib
import json
import math
import os
import pathlib
import platform
import re
import statistics
import sys
import tempfile
import time

import numpy as np

FORMAT = "simclr_tf step program 2"
_OFF = 4
_ALIAS = "mhlo.input_output_alias"
_BETWEEN = re.compile(
    r"(all-reduce|all-gather|reduce-scatter|all-to-all|collective-permute)"
)
# What holds other operations, whose time is counted by itself.
_CONTAINERS = ("while", "call", "conditional")
_LAYOUT = {"copy", "transpose", "copy-start", "copy-done", "bitcast"}
_SUMS = {"reduce", "reduce-window", "select-and-scatter", "scatter", "sort"}
# What a name says where the program's text does not know it.
_BY_NAME = {
    "cudnn": "convolutions",
    "convolve": "convolutions",
    "fprop": "convolutions",
    "dgrad": "convolutions",
    "wgrad": "convolutions",
    "gemm": "matrix products",
    "cublas": "matrix products",
    "nccl": "between replicas",
    "memcpy": "copies, layout",
    "memset": "copies, layout",
}


def main() -> int:
    """Checks, measures, prints; returns the exit status."""
    arguments = _parse()
    folder = pathlib.Path(arguments.folder)
    program = read_program(folder)
    _set_up(program["replicas"], arguments)
    try:
        import jax
    except ImportError as error:
        _refuse(f"jax is not here ({error})", advice="Install jax 0.10.")
    try:
        report = run(folder, program, arguments)
    except jax.errors.JaxRuntimeError as error:
        said = " ".join(str(error).split())[:400]
        _refuse(f"XLA: {said}", advice="")
    print(as_text(report))
    if arguments.json:
        text = json.dumps(report, indent=1) + "\n"
        pathlib.Path(arguments.json).write_text(text, encoding="utf-8")
    off = [each for each in report["compared"] if not each["agrees"]]
    return _OFF if off else 0


def run(folder: pathlib.Path, program: dict, arguments) -> dict:
    """Compiles, takes the steps, compares and measures; gives the report."""
    import jax

    devices = choose_devices(program["replicas"])
    print(f"{program['about']}\n{_about(devices)}", flush=True)
    started = time.monotonic()
    step = Step(folder, program, devices, precise=not arguments.tf32)
    report = {
        "program": program["about"],
        "device": devices[0].device_kind,
        "devices": len(devices),
        "versions": {
            "jax": jax.__version__,
            "platform": devices[0].client.platform_version,
            "python": platform.python_version(),
        },
        "command": sys.argv,
        "xla_flags": os.environ["XLA_FLAGS"],
        "tf32": arguments.tf32,
        "compile_seconds": time.monotonic() - started,
    }
    found = step.take_all()
    report["compared"] = compare(folder, program, found)
    report |= measure(step, program["images_per_step"], arguments.steps)
    report["model_flops"] = program["model_flops_per_step"]
    if arguments.profiled:
        report["seconds_by_kind"] = profile(step, arguments.profiled)
    return report


def read_program(folder: pathlib.Path) -> dict:
    """program.json of a folder whose files are all there, and whole.

    Raises:
        SystemExit: they are not; says which, in a line.
    """
    try:
        text = (folder / "program.json").read_text(encoding="utf-8")
        program = json.loads(text)
    except (OSError, ValueError) as error:
        _refuse(f"{folder}: no program.json that can be read ({error})")
    if not isinstance(program, dict) or program.get("format") != FORMAT:
        _refuse(f"{folder}/program.json is not of the format {FORMAT!r}")
    for name, (size, digest) in program["files"].items():
        path = folder / name
        if not path.exists():
            _refuse(f"{path} is missing")
        if path.stat().st_size != size:
            _refuse(f"{path} has {path.stat().st_size} bytes of {size}")
        if sha256(path) != digest:
            _refuse(f"{path} is not what was written: its SHA-256 differs")
    return program


def sha256(path: pathlib.Path) -> str:
    """Of a file's bytes, in hexadecimal."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 22):
            digest.update(block)
    return digest.hexdigest()


def choose_devices(replicas: int) -> list:
    """The first R of jax's devices.

    Raises:
        SystemExit: there are fewer; says so in a line.
    """
    import jax

    try:
        devices = jax.devices()
    except (RuntimeError, AssertionError) as error:
        asked = os.environ.get("JAX_PLATFORMS") or "any platform"
        why = " ".join(str(error).split()) or "it is not installed"
        _refuse(f"jax finds no device of {asked}: {why}", advice="")
    if len(devices) < replicas:
        _refuse(
            f"the program is of {replicas} replicas, and jax finds "
            f"{len(devices)} devices ({devices[0].device_kind})",
            advice=f"Write one with --replicas={len(devices)}.",
        )
    return devices[:replicas]


class Step:
    """The compiled step, its variables and its inputs.

    Args:
        folder: of `read_program`.
        program: what it said.
        devices: R of them.
        precise: whether float32 stays float32 in products, where a GPU would
            round their factors to 10 bits (TF32).
    """

    def __init__(self, folder, program, devices, *, precise):
        self._program, self._devices = program, devices
        self.executable = _compile(
            (folder / "module.stablehlo").read_bytes(), devices, precise
        )
        with np.load(folder / "start.npz") as start:
            self._state = [
                self._on_all([start[str(place)]] * len(devices))
                for place in range(len(start.files))
            ]
        self._inputs = []
        for number in range(program["steps"]):
            with np.load(folder / f"step_{number}.npz") as arrays:
                self._inputs.append(
                    [
                        self._on_all(arrays[str(place)])
                        for place in range(len(arrays.files))
                    ]
                )

    def take_all(self) -> dict:
        """The steps of the folder, one after another, variables fed back.

        Returns:
            scalars: name -> mean over replicas at every step.
            after: place -> the variable of the first replica, of those that
                the program writes.
            differing: how many of them ended differently on another replica.
        """
        written = self._program["written"]
        totals = {name: [] for name in self._program["scalars"]}
        for number in range(len(self._inputs)):
            results = self._start(number)
            outputs = results.disassemble_into_single_device_arrays()
            parts = dict(zip(written, outputs, strict=True))
            for place, each in parts.items():
                self._state[place] = self._together(each)
            for name, place in self._program["scalars"].items():
                value = np.mean([np.asarray(p) for p in parts[place]], axis=0)
                totals[name].append(float(np.float64(value).sum()))
        values = {
            place: [np.asarray(p) for p in each]
            for place, each in parts.items()
        }
        own = set(self._program["own"])
        differing = [
            place
            for place, (first, *others) in values.items()
            if place not in own
            and any(first.tobytes() != other.tobytes() for other in others)
        ]
        return {
            # A variable holds the sum over steps.
            "scalars": {
                n: np.diff(t, prepend=0.0).tolist() for n, t in totals.items()
            },
            "after": {place: each[0] for place, each in values.items()},
            "differing": len(differing),
        }

    def run(self, number: int) -> None:
        """One step more, to its end; the variables stay as they are."""
        results = self._start(number % len(self._inputs))
        [first] = results.disassemble_prefix_into_single_device_arrays(1)
        for part in first:
            part.block_until_ready()

    def _start(self, number):
        return self.executable.execute_sharded(
            [*self._inputs[number], *self._state]
        )

    def _on_all(self, values):
        import jax

        return self._together(
            [
                jax.device_put(value, device)
                for value, device in zip(values, self._devices, strict=True)
            ]
        )

    def _together(self, parts):
        """One array of all replicas', which is how arguments go in."""
        import jax

        if len(parts) == 1:
            return parts[0]
        # A scalar's place in a global array is a row of its own.
        parts = [p.reshape(1) if p.ndim == 0 else p for p in parts]
        mesh = jax.sharding.Mesh(np.array(self._devices), ("r",))
        sharding = jax.sharding.NamedSharding(
            mesh, jax.sharding.PartitionSpec("r")
        )
        shape = (len(parts) * parts[0].shape[0], *parts[0].shape[1:])
        return jax.make_array_from_single_device_arrays(shape, sharding, parts)


def compare(folder, program, found) -> list[dict]:
    """Every quantity with how far it is off, and what is allowed.

    Losses relative to their size, shares of images as they are, variables by
    |difference| / |distance travelled|.
    """
    rows = [
        _row("the replicas among themselves", float(found["differing"]), 0.0)
    ]
    expected = program["expected"]
    if expected is None:
        finite = all(np.isfinite(v).all() for v in found["scalars"].values())
        return [*rows, _row("not finite", 0.0 if finite else math.inf, 0.0)]
    allowed = expected["allowed"]
    for name, right in expected["scalars"].items():
        apart = np.abs(np.subtract(found["scalars"][name], right))
        scale = expected["scales"][name]
        rows.append(_row(name, float(np.max(apart)) / scale, allowed[name]))
    with (
        np.load(folder / "start.npz") as start,
        np.load(folder / "expected.npz") as after,
    ):
        for words, places in program["groups"].items():
            far = apart = 0.0
            for place in places:
                right = after[str(place)].astype(np.float64)
                far += np.sum((right - start[str(place)]) ** 2)
                apart += np.sum((right - found["after"][place]) ** 2)
            error = math.sqrt(apart)
            if far:
                error /= math.sqrt(far)
            elif error:
                error = math.inf
            rows.append(_row(words, error, allowed[words]))
    return rows


def _row(name, error, allowed):
    agrees = error <= allowed  # a NaN does not
    return {"name": name, "error": error, "allowed": allowed, "agrees": agrees}


def measure(step: Step, images: int, steps: int) -> dict:
    """Images/s, and what memory it took."""
    seconds = []
    for number in range(steps):
        started = time.perf_counter()
        step.run(number)
        seconds.append(time.perf_counter() - started)
    median = statistics.median(seconds)
    cost = step.executable.cost_analysis()
    cost = cost[0] if isinstance(cost, list) else cost
    stats = step.executable.get_compiled_memory_stats()
    memory = {
        name: getattr(stats, f"{name}_size_in_bytes")
        for name in ("argument", "output", "temp", "generated_code")
    }
    said = step.executable.local_devices()[0].memory_stats() or {}
    return {
        "images_per_second": images / median,
        "step_seconds": seconds,
        "flops": cost.get("flops"),
        "bytes": cost.get("bytes accessed"),
        "peak_bytes": said.get("peak_bytes_in_use"),
        "compiled_bytes": memory,
    }


def profile(step: Step, steps: int) -> dict[str, float]:
    """Seconds of a device and step by kind of operation, from a trace."""
    import jax

    with tempfile.TemporaryDirectory() as folder:
        jax.profiler.start_trace(folder)
        for number in range(steps):
            step.run(number)
        jax.profiler.stop_trace()
        [path] = glob.glob(f"{folder}/**/*.xplane.pb", recursive=True)
        data = jax.profiler.ProfileData.from_file(path)
    text = "\n".join(m.to_string() for m in step.executable.hlo_modules())
    kinds = kinds_of(text)
    devices = len(step.executable.local_devices())
    seconds = collections.Counter()
    on_host = step.executable.local_devices()[0].platform == "cpu"
    for name, nanoseconds in events(data, on_host=on_host):
        if kind := kind_of_event(name, kinds):
            seconds[kind] += nanoseconds / 1e9 / steps / devices
    return dict(seconds.most_common())


def events(data, *, on_host: bool):
    """(name of an operation, nanoseconds) of everything that devices did.

    Args:
        data: a `jax.profiler.ProfileData`.
        on_host: whether the devices are the host's own.
    """
    for plane in data.planes:
        for line in plane.lines:
            # Other lines of a device say the same in sums.
            on_device = plane.name.startswith("/device:") and (
                line.name.startswith("Stream") or line.name == "XLA Ops"
            )
            if on_device or (on_host and plane.name.startswith("/host:")):
                for event in line.events:
                    stats = dict(event.stats)
                    if on_device or "hlo_op" in stats:
                        name = stats.get("hlo_op") or event.name
                        yield str(name), event.duration_ns


def kind_of_event(name: str, kinds: dict[str, str | None]) -> str | None:
    """The kind of an operation by its name; None for what holds others."""
    if name in kinds:
        return kinds[name]
    for part, kind in _BY_NAME.items():
        if part in name.lower():
            return kind
    return "unknown"


def kinds_of(text: str) -> dict[str, str | None]:
    """Name of an operation -> its kind, from a compiled module's text.

    A fusion is what weighs most of what it holds: a convolution, a matrix
    product, a sum, arithmetic. None for what holds others.
    """
    inside = collections.defaultdict(set)
    found = []
    computation = ""
    for line in text.splitlines():
        head = re.match(r"(?:ENTRY )?%?([\w.\-]+)[^=]*\{$", line)
        if head and not line.startswith(" "):
            computation = head[1]
        elif operation := _operation(line):
            name, opcode = operation
            inside[computation].add(opcode)
            called = re.search(r"(?:calls|to_apply)=%?([\w.\-]+)", line)
            found.append((name, opcode, called and called[1], line))
    return {
        name: _kind(opcode, inside.get(called, ()), line)
        for name, opcode, called, line in found
    }


def _operation(line):
    """(name, opcode) of a line such as `%a.1 = (f32[2], s32[]) add(...)`."""
    match = re.match(r"\s+(?:ROOT )?%?([\w.\-]+) = (.*)", line)
    if not match:
        return None
    rest = match[2]
    if rest.startswith("("):
        depth = 0
        for place, character in enumerate(rest):
            depth += {"(": 1, ")": -1}.get(character, 0)
            if not depth:
                rest = rest[place + 1 :]
                break
    opcode = re.match(r"(?:\S+)? ?([a-z][\w\-]*)\(", rest)
    return (match[1], opcode[1]) if opcode else None


def _kind(opcode, inside, line):
    if opcode in _CONTAINERS:
        return None
    if _BETWEEN.match(opcode):
        return "between replicas"
    names = {opcode} | (set(inside) if opcode == "fusion" else set())
    target = re.search(r'custom_call_target="([^"]*)"', line)
    library = target[1].lower() if target else ""
    if "convolution" in names or "conv" in library:
        return "convolutions"
    if "dot" in names or any(n in library for n in ("gemm", "cublas", "dot")):
        return "matrix products"
    if names & _SUMS:
        return "sums, pooling"
    if names <= _LAYOUT | {"fusion", "parameter", "tuple"}:
        return "copies, layout"
    return "arithmetic"


def as_text(report: dict) -> str:
    """The report, for a terminal."""
    lines = []
    for each in report["compared"]:
        mark = "" if each["agrees"] else "   OFF"
        lines.append(
            f"  {each['name']:36} off by {each['error']:.1e}, allowed "
            f"{each['allowed']:.1e}{mark}"
        )
    median = statistics.median(report["step_seconds"])
    flops = report["model_flops"] / report["devices"]
    peak = report["peak_bytes"]
    lines += [
        f"  {'compilation':36} {report['compile_seconds']:.1f} s",
        f"  {'images/s':36} {report['images_per_second']:.4g} (median of "
        f"{len(report['step_seconds'])} steps, {median * 1e3:.4g} ms)",
    ]
    lines.append(
        f"  {'model, a device and step':36} {flops / 1e12:.3g} TFLOP, "
        f"{flops / median / 1e12:.3g} TFLOP/s"
    )
    total = sum(report["compiled_bytes"].values()) / 2**30
    lines.append(f"  {'memory, as compiled':36} {total:.3g} GiB")
    if peak:
        lines.append(f"  {'memory, at its peak':36} {peak / 2**30:.3g} GiB")
    by_kind = report.get("seconds_by_kind")
    if by_kind == {}:
        lines.append("  The profiler's trace names no operations here.")
    whole = sum((by_kind or {}).values())
    for kind, seconds in (by_kind or {}).items():
        lines.append(
            f"  {kind:36} {seconds * 1e3:.3g} ms, {seconds / whole:.0%}"
        )
    if report["versions"]["platform"].startswith("cpu"):
        lines.append("  On a CPU, images/s say nothing of any GPU or TPU.")
    return "\n".join(lines)


def _compile(module, devices, precise):
    """A portable StableHLO module as an executable for the devices."""
    try:
        from jax._src import compiler
        from jax._src.interpreters import mlir
        from jaxlib import xla_client
        from jaxlib.mlir import ir
        from jaxlib.mlir.dialects import stablehlo
    except ImportError as error:
        _refuse(f"this jax is none that is known: {error}", "Install jax 0.10.")
    client = devices[0].client
    options = compiler.get_compile_options(
        num_replicas=len(devices),
        num_partitions=1,
        device_assignment=np.array(devices).reshape(-1, 1),
        backend=client,
    )
    with mlir.make_ir_context() as context:
        parsed = stablehlo.deserialize_portable_artifact(context, module)
        # Timed steps start from the same variables again: none is given up.
        if _ALIAS in parsed.operation.attributes:
            del parsed.operation.attributes[_ALIAS]
        if precise:
            _keep_float32(parsed, ir)
        return client.compile_and_load(
            parsed,
            executable_devices=xla_client.DeviceList(tuple(devices)),
            compile_options=options,
        )


def _keep_float32(module, ir):
    """Products of float32 may not round their factors."""
    highest = ir.Attribute.parse("#stablehlo<precision HIGHEST>")

    def visit(operation):
        kind = operation.operation.name
        if kind in ("stablehlo.convolution", "stablehlo.dot_general"):
            element = ir.ShapedType(operation.operands[0].type).element_type
            if str(element) == "f32":
                operation.attributes["precision_config"] = ir.ArrayAttr.get(
                    [highest, highest]
                )
        return ir.WalkResult.ADVANCE

    module.operation.walk(visit)


def _set_up(replicas, arguments):
    """What jax reads when it is imported."""
    flags = os.environ.get("XLA_FLAGS", "").split()
    if not any("host_platform_device_count" in flag for flag in flags):
        flags.append(f"--xla_force_host_platform_device_count={replicas}")
    if arguments.platform == "cpu":
        # On a busy machine, replicas wait for one another for minutes.
        flags += [
            "--xla_cpu_collective_call_warn_stuck_timeout_seconds=600",
            "--xla_cpu_collective_call_terminate_timeout_seconds=3600",
        ]
    if arguments.layout:
        flags.append(f"--xla_gpu_force_conv_{arguments.layout}=true")
    # Labels and counters are int64.
    os.environ.update(JAX_ENABLE_X64="1", XLA_FLAGS=" ".join(flags))
    if arguments.platform:
        os.environ["JAX_PLATFORMS"] = arguments.platform


def _about(devices):
    first = devices[0]
    return (
        f"On {len(devices)} x {first.device_kind} "
        f"({first.client.platform_version.splitlines()[0]})"
    )


def _refuse(what, advice="Write it anew with step_program.py."):
    print(f"error: {what}. {advice}".strip(), file=sys.stderr)
    raise SystemExit(2)


def _parse():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", help="from step_program.py")
    parser.add_argument("--json", help="file to write")
    parser.add_argument("--platform", help="jax's: cuda, cpu")
    parser.add_argument("--steps", type=int, default=20, help="timed")
    parser.add_argument(
        "--profiled", type=int, default=3, help="steps in the trace; 0 for none"
    )
    parser.add_argument(
        "--layout",
        choices=("nchw", "nhwc"),
        help="of every convolution on a GPU; without it, XLA chooses",
    )
    parser.add_argument(
        "--tf32",
        action="store_true",
        help="let a GPU round the factors of float32 products",
    )
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
