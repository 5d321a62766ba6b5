"""Which shipped flagfile fits which slice, as the TPU's own compiler says.

    python tests/bench/verdicts.py [NAME ...]

compiles the training step of the flagfiles flags/NAME.flags (of all, where
none is named) for four slices, minutes each, and writes the table of
tpu/README.md anew. What the compiler said is kept in tpu/verdicts.json, so
that the command can be stopped and goes on; a program that was compiled before,
by the same libtpu for the same slice, is not compiled again. Of a checkpoint
that a flagfile names, only the network counts: a stand-in is written to a
temporary folder (`tests.official.stand_ins`; 3.2 GB for a distillation's
teacher, and 21 GB of memory). Needs `make preflight`.
"""

import argparse
import concurrent.futures
import hashlib
import multiprocessing
import os
import pathlib
import re
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).parents[2]))
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from simclr_tf import files
from simclr_tf.errors import UserError
from tests.bench import measuring
from tests.official import stand_ins
from tpu import compiler

ROOT = measuring.ROOT
SLICES = ("v4:2x2x4", "v5e:4x4", "v5p:2x2x4", "v6e:4x4")
KEPT = ROOT / "tpu" / "verdicts.json"
PAGE = ROOT / "tpu" / "README.md"
_BEGIN, _END = "<!-- verdicts -->\n", "<!-- end of verdicts -->\n"
# What tells programs of one shape apart: the numbers of their schedules, and
# names that count the functions of a process.
_NAME = re.compile(r"@[\w.]+")
_NUMBER = re.compile(r"dense<[^>\[\]]*> : tensor<(f32|i64)>")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "flagfiles", nargs="*", metavar="NAME", help="of a shipped flagfile"
    )
    parser.add_argument("--slices", nargs="+", choices=SLICES, default=SLICES)
    arguments = parser.parse_args()
    if unknown := set(arguments.flagfiles).difference(shipped()):
        parser.error(
            f"no such flagfile: {', '.join(sorted(unknown))}. There are "
            f"{', '.join(shipped())}."
        )
    try:
        compiler.check_installed()
        with tempfile.TemporaryDirectory() as folder:
            for topology in arguments.slices:
                for name in arguments.flagfiles or shipped():
                    path = ROOT / "flags" / f"{name}.flags"
                    _judge_aside(path, topology, pathlib.Path(folder))
                    write_page()
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(2) from error


def _judge_aside(*arguments) -> None:
    """`judge`, in a process of its own, whose memory ends with it."""
    with concurrent.futures.ProcessPoolExecutor(
        1, mp_context=multiprocessing.get_context("spawn")
    ) as process:
        process.submit(judge, *arguments).result()


def judge(
    path: pathlib.Path,
    topology: str,
    folder: pathlib.Path,
    compile_module=None,
) -> None:
    """Compiles what one flagfile trains, unless that was done before.

    Args:
        path: of the flagfile.
        topology: of the slice.
        folder: for stand-ins of checkpoints.
        compile_module: of `tpu.preflight.run`.
    """
    kept = _kept()
    print(f"{path.stem} on {topology}", flush=True)
    found = _verdict(path, topology, folder, kept, compile_module)
    kept.setdefault(path.stem, {})[topology] = found
    files.write_json(str(KEPT), dict(sorted(kept.items())))


def shipped() -> list[str]:
    """The names of the flagfiles, without their ends."""
    return sorted(path.stem for path in ROOT.glob("flags/*.flags"))


def _kept() -> dict:
    """Name of a flagfile -> slice -> what was found."""
    return files.read_json(str(KEPT)) if KEPT.exists() else {}


def resolve(path: pathlib.Path, topology: str, folder: pathlib.Path):
    """The configuration of a flagfile's preflight, and its origins.

    Args:
        path, topology, folder: as of `judge`.
    """
    flags = [
        "--mode=preflight",
        f"--flagfile={path}",
        f"--topology={topology}",
        "--model_dir=gs://BUCKET/RUN",
    ]
    config, origins = measuring.resolve(flags)
    if not (checkpoint := config.job.checkpoint):
        return config, origins
    stand_in = stand_ins.write(checkpoint, folder)
    return measuring.resolve(
        [*flags, f"--checkpoint={stand_in}"], inherits=True
    )


def _verdict(path, topology, folder, kept, compile_module):
    from simclr_tf.build.core_step import CoreStep
    from simclr_tf.jobs.preflight.job import data_facts
    from tpu import chips, preflight, preflight_report

    config, origins = resolve(path, topology, folder)
    facts, place = data_facts(config), chips.parse_topology(topology)
    core = CoreStep(
        config,
        num_examples=facts.num_examples,
        num_classes=facts.num_classes,
        num_replicas=place.num_cores,
        origins=origins,
    )
    batch_size = core.plan.global_batch_size // place.num_cores
    program = {
        "program": _digest(compiler.lower(*core.step(batch_size))),
        "libtpu": compiler.check_installed()["libtpu"],
    }
    for other in kept.values():
        before = other.get(topology, {})
        # A compiler that ended without a word may have lacked memory.
        if before.items() >= program.items() and before["memory_bytes"]:
            return before
    verdict = preflight.run(
        core.step,
        place,
        per_core_batch_size=batch_size,
        at_most=0,  # the table does not say which batch would fit
        compile_module=compile_module,
    )
    report = preflight_report.as_json(
        verdict,
        preflight_report.Job(core.views_per_example, core.plan.train_steps),
        [],
    )
    names = ("verdict", "reason", "global_batch_size", "memory_bytes")
    found = {name: report[name] for name in names} | program
    if "estimate" in report:
        found["step_seconds"] = report["estimate"]["step_seconds"]
        found["images_per_second"] = report["estimate"]["images_per_second"]
    return found


def _digest(module: bytes) -> str:
    """Of a program, but for its schedule and names."""
    from jax._src.interpreters import mlir

    from tpu import stablehlo

    with mlir.make_ir_context():
        operation = stablehlo.parse(module).operation
        text = operation.get_asm(enable_debug_info=False)
    text = _NAME.sub("", _NUMBER.sub(r"\1", text))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def write_page() -> None:
    """Writes the table of what is kept."""
    page = PAGE.read_text(encoding="utf-8")
    before, rest = page.split(_BEGIN)
    _, after = rest.split(_END)
    page = before + _BEGIN + table() + _END + after
    PAGE.write_text(page, encoding="utf-8")


def table() -> str:
    """Of what is kept, in Markdown: a row for each flagfile."""
    kept = _kept()
    lines = [f"| flagfile | batch | {' | '.join(SLICES)} |"]
    lines.append("|---" * (len(SLICES) + 2) + "|")
    for name, by_slice in kept.items():
        batches = [f.get("global_batch_size", "") for f in by_slice.values()]
        cells = [cell(by_slice.get(topology)) for topology in SLICES]
        lines.append(f"| `{name}` | {batches[0]} | {' | '.join(cells)} |")
    if missing := [f"`{name}`" for name in shipped() if name not in kept]:
        lines += ["", f"Not asked yet: {', '.join(missing)}."]
    return "\n".join(lines) + "\n"


def cell(found) -> str:
    """What the table says of one verdict."""
    if found is None:
        return "not asked"
    if "step_seconds" not in found:
        return found["verdict"]
    return (
        f"{found['verdict']}, {found['memory_bytes'] / 2**30:.2f} GiB, "
        f"{1e3 * found['step_seconds']:.3g} ms"
    )


if __name__ == "__main__":
    main()
