"""Writes the real training step as a program that needs no TensorFlow.

    python tests/bench/step_program.py FOLDER --replicas=1 -- FLAGS

FLAGS are those of run.py. FOLDER then holds the step that
`--mode=preflight` compiles, as portable StableHLO, with its variables at the
start, the inputs of some steps, and, where TensorFlow can carry it here, what
one device makes of them. `run_step_program.py FOLDER` runs it on a machine
with jax: see "On a GPU" in docs/speed.md. Needs `make preflight`.
"""

import argparse
import dataclasses
import json
import os
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parents[2]))
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np

import simclr_tf
from simclr_tf.errors import UserError
from tests.bench import measuring, run_step_program

# FLOPs of all steps that two cores carry in a minute or so.
_MOST = 1.5e12


def main() -> None:
    arguments = parse(sys.argv[1:])
    try:
        write(
            pathlib.Path(arguments.folder),
            arguments.flags,
            replicas=arguments.replicas,
            steps=arguments.steps,
            expect=arguments.expect,
        )
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(2) from error


def write(
    folder: pathlib.Path,
    flags: list[str],
    *,
    replicas: int,
    steps: int = 3,
    expect: str = "auto",
) -> None:
    """Writes a folder; program.json last, so that it is whole or none.

    Args:
        folder: a new one, or an empty one.
        flags: of run.py.
        replicas: R, among which they divide the batch.
        steps: how many have inputs.
        expect: "yes", "no", or "auto": whether TensorFlow takes the steps.

    Raises:
        UserError: something is wrong with the flags or the folder.
    """
    if folder.exists() and any(folder.iterdir()):
        raise UserError(f"{folder} is not empty. Name a new folder.")
    from jax._src.interpreters import mlir

    from simclr_tf.build.rehearsal import Rehearsal
    from simclr_tf.jobs.preflight.job import data_facts
    from tpu import compiler, rehearsal, stablehlo

    compiler.check_installed()
    config, origins = measuring.resolve(["--mode=preflight", *flags])
    facts = data_facts(config)

    def rehearse(mixed_precision):
        model = dataclasses.replace(
            config.model, mixed_precision=mixed_precision
        )
        return Rehearsal(
            dataclasses.replace(config, model=model),
            num_examples=facts.num_examples,
            num_classes=facts.num_classes,
            num_replicas=replicas,
            num_steps=steps,
            origins=origins,
        )

    job = rehearse(config.model.mixed_precision)
    names = rehearsal.captured_names(
        job.function.get_concrete_function(*job.specs), job.variables
    )
    folder.mkdir(parents=True, exist_ok=True)
    module = compiler.lower(job.function, job.specs)
    (folder / "module.stablehlo").write_bytes(stablehlo.portable(module))
    with mlir.make_ir_context():
        replaced = stablehlo.replaced_parameters(stablehlo.parse(module))
    written = [number - len(job.specs) for number in replaced]
    _save(folder / "start.npz", [job.variables[n].numpy() for n in names])
    for number, inputs in enumerate(job.steps):
        _save(folder / f"step_{number}.npz", inputs)
    expected = None
    if expect == "yes" or (expect == "auto" and job.flops <= _MOST):
        expected = _expected(job, rehearse, config, folder, names)
    program = {
        **_contents(job, names, written, expected),
        "about": f"simclr_tf {simclr_tf.__version__}: {replicas} x "
        f"{config.optim.train_batch_size // replicas} images, "
        f"{' '.join(flags)}",
        "replicas": replicas,
        "steps": steps,
        "images_per_step": config.optim.train_batch_size,
        "model_flops_per_step": job.flops / steps,
        "files": {
            path.name: [path.stat().st_size, run_step_program.sha256(path)]
            for path in sorted(folder.iterdir())
        },
    }
    text = json.dumps(program, indent=1) + "\n"
    (folder / "program.json").write_text(text, encoding="utf-8")
    size = sum(size for size, _ in program["files"].values()) / 1e6
    print(
        f"{folder}: {program['about']}; {size:.0f} MB, "
        f"{'with' if expected else 'without'} what TensorFlow makes of it"
    )


def _contents(job, names: list[str], written: list[int], expected) -> dict:
    """What the variables are, in the order of the program's captures."""
    moved = {names[place] for place in written}
    return {
        "format": run_step_program.FORMAT,
        "variables": names,
        # By each result, in their order: a teacher is only read.
        "written": written,
        # Each replica's own: sums of scalars.
        "own": [names.index(n) for n in job.watched if n in names],
        "scalars": {
            name.removesuffix(" total"): names.index(name)
            for name in job.watched
            if name.endswith(" total") and name in names
        },
        "groups": {
            words: [names.index(n) for n in group if n in moved]
            for words, group in job.groups.items()
            if expected
            and words in expected["allowed"]
            and moved.intersection(group)
        },
        "expected": expected,
    }


def _expected(job, rehearse, config, folder, names):
    """What one device makes of the steps, and how far from it one may be."""
    from simclr_tf import agreement
    from simclr_tf.train import precision

    expected = job.on_one_device()
    rounded = job.roundings()
    own = config.model.mixed_precision
    if precision.dtype_policy(own, "TPU") != "float32":
        rounded.append(rehearse("none").on_one_device())
    quantities = job.compare(expected, expected, rounded)
    np.savez(
        folder / "expected.npz",
        **{
            str(place): expected.after[name]
            for place, name in enumerate(names)
            if name in expected.after
        },
    )
    return {
        "scalars": {
            name: [float(value) for value in values]
            for name, values in expected.scalars.items()
        },
        "scales": {
            name: 1.0
            if agreement.counts_images(name)
            else float(np.max(np.abs(values))) or 1.0
            for name, values in expected.scalars.items()
        },
        "allowed": {q.name: float(q.allowed) for q in quantities},
    }


def _save(path, arrays):
    np.savez(path, **{str(place): each for place, each in enumerate(arrays)})


def parse(argv: list[str]) -> argparse.Namespace:
    """Ours, and as `flags` what stands after a --, which is run.py's."""
    # argparse itself gives what follows a -- to nobody once FOLDER is taken.
    place = argv.index("--") if "--" in argv else len(argv)
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0],
        usage="%(prog)s [options] FOLDER -- FLAGS of run.py",
    )
    parser.add_argument("folder", help="a new one")
    parser.add_argument("--replicas", type=int, default=1)
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument(
        "--expect",
        choices=("auto", "yes", "no"),
        default="auto",
        help="whether TensorFlow takes the steps here: auto, if that takes a "
        "minute or so",
    )
    parsed = parser.parse_args(argv[:place])
    parsed.flags = argv[place + 1 :]
    return parsed


if __name__ == "__main__":
    main()
