"""1, 2, 4 and 8 replicas train as one does, and what does not is seen.

    python -m tests.train.test_train_replicas      prints the README's table

Two measures. The losses of 5 steps, relative; and the weights after them: the
norm of the difference over that of the distance travelled from the start.

Rounding is not the same on every number of replicas, and a ReLU network passes
it on: a unit whose input is within a rounding of 0 is on here and off there.
With n units and a relative rounding of d, some n*d of them flip, and each has
a share of 1/sqrt(n) in a gradient whose parts add up incoherently: its error
is of the order of sqrt(d), 3e-4 for a d of 1e-7, not d. A step at a high rate
makes that error the next d. Large areas of one gray (digits, Fashion-MNIST)
flip together, and are worse by their size. Hence textures, no two pixels of
which agree, and for SGD a rate that moves the weights and does not throw them
about. Softplus, which has no kink, stands for ReLU in what is held. The table
shows both, and what other rounding alone does on one replica.
"""

import functools
import json
import pathlib
import subprocess
import tempfile

import numpy as np
import pytest
import tensorflow as tf

from simclr_tf.build import network
from simclr_tf.config import resolve
from simclr_tf.run_files import checkpoints
from tests import processes

REPLICAS = (1, 2, 4, 8)
STEPS = 5
TOLERANCE = 1e-3
# LARS hides the scale of a gradient; SGD without momentum shows it.
SGD = ("--optimizer=momentum", "--momentum=0", "--learning_rate=0.002")
LARS = ("--optimizer=lars", "--learning_rate=0.3")
# Flags, and what is planted: "smooth" is softplus for ReLU.
KINDS = {
    "SGD, softplus": (SGD, "smooth"),
    "SGD": (SGD, None),
    "LARS, softplus": (LARS, "smooth"),
    "LARS": (LARS, None),
}
# Whether a ReLU's unit flips is luck: with these views one does on 8.
HELD = ("SGD, softplus", "LARS, softplus")
# The other losses, whose gradients are smaller. A triplet at its margin, and
# a negative about to be semi-hard, are kinks as a ReLU's is.
LOSSES = {
    name: ((*SGD[:2], "--learning_rate=0.02", *flags), "smooth")
    for name, flags in {
        "NT-Xent, other view": ["--negative_views=other"],
        "NT-Logistic": ["--loss=nt_logistic"],
        "NT-Logistic (sh)": ["--loss=nt_logistic", "--semi_hard"],
        "margin triplet": ["--loss=margin_triplet"],
        "margin triplet (sh)": ["--loss=margin_triplet", "--semi_hard"],
    }.items()
}
# TensorFlow's own kernels for oneDNN's: the same run, rounded otherwise.
OTHER_ROUNDING = {"TF_ENABLE_ONEDNN_OPTS": "0"}
FAULTS = ("scaled", "negated", "lost")
OFTEN = "lost"  # of them, in the slow suite
SEEN = "SGD"  # by which faults are


def on_devices(count, device_type="CPU"):
    """Flags, and environment, for so many replicas of a kind."""
    if device_type == "CPU":
        return (f"--virtual_devices={count}",), {}
    visible = ",".join(map(str, range(count)))
    strategy = "mirrored" if count > 1 else "one_device"
    return (f"--strategy={strategy}",), {"CUDA_VISIBLE_DEVICES": visible}


def train(
    folder, kind, count, device_type="CPU", fault=None, rounded_otherwise=False
):
    """Trains in a process of its own; returns the model_dir."""
    flags, environment = on_devices(count, device_type)
    if rounded_otherwise:
        environment |= OTHER_ROUNDING
    of_kind, planted = (KINDS | LOSSES)[kind]
    fault = fault or planted
    model_dir = pathlib.Path(tempfile.mkdtemp(dir=folder))
    arguments = processes.command(
        folder / "tfds",
        model_dir,
        *of_kind,
        "--learning_rate_scaling=linear",
        f"--train_steps={STEPS}",
        *flags,
        program="tests/planted.py" if fault else "run.py",
    )
    if fault:
        arguments[2:2] = ["blind", fault] if fault in FAULTS else [fault]
    processes.run(arguments, environment=environment)
    return model_dir


def start(model_dir):
    """Checkpoint key -> the value that the seed gives it."""
    saved = json.loads((model_dir / "config.json").read_text())
    model = network.build_model(
        resolve.from_dict(saved["config"]),
        num_classes=saved["data"]["num_classes"],
        dtype=saved["dtype_policy"],
    )
    return {
        f"state/{key}/.ATTRIBUTES/VARIABLE_VALUE": variable.numpy()
        for key, variable in checkpoints.named_variables(
            model.trainable_variables
        ).items()
    }


def compare(one, other):
    """The largest relative difference of a step's loss, and the weights'
    difference over the distance travelled."""
    losses = [
        np.array([line["train/contrast_loss"] for line in processes.logged(d)])
        for d in (one, other)
    ]
    assert len(losses[0]) == STEPS
    begin = start(one)
    ends = [processes.state(d, STEPS) for d in (one, other)]
    vectors = [
        np.concatenate([values[key].ravel() for key in begin])
        for values in (begin, *ends)
    ]
    travelled = np.linalg.norm(vectors[1] - vectors[0])
    return (
        np.max(np.abs(losses[0] - losses[1]) / losses[0]),
        np.linalg.norm(vectors[1] - vectors[2]) / travelled,
        travelled / np.linalg.norm(vectors[0]),
    )


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """train, once for the same arguments."""
    folder = tmp_path_factory.mktemp("replicas")
    processes.write_textures(folder / "tfds")
    return functools.cache(functools.partial(train, folder))


def hold(trained, kind, count):
    """Several replicas train as one does."""
    losses, weights, moved = compare(trained(kind, 1), trained(kind, count))
    print(f"{kind} on {count}: {losses:.1e} {weights:.1e}, moved {moved:.2f}")
    assert moved > 0.001
    assert losses < TOLERANCE
    assert weights < TOLERANCE


@pytest.mark.slow
@pytest.mark.parametrize(
    "count",
    [
        pytest.param(2, marks=pytest.mark.soak),
        4,
        pytest.param(8, marks=pytest.mark.soak),
    ],
)
@pytest.mark.parametrize("kind", HELD)
def test_replicas_train_as_one_does(trained, kind, count):
    hold(trained, kind, count)


@pytest.mark.soak
@pytest.mark.parametrize("count", (2, 4))
@pytest.mark.parametrize("kind", LOSSES)
def test_replicas_train_as_one_does_with_every_loss(trained, kind, count):
    hold(trained, kind, count)


@pytest.mark.slow
@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(fault, marks=[] if fault == OFTEN else pytest.mark.soak)
        for fault in FAULTS
    ],
)
def test_the_measure_sees_a_wrong_gradient(trained, fault):
    _, weights, _ = compare(trained(SEEN, 1), trained(SEEN, 2, fault=fault))
    print(f"{fault}: {weights:.1e}")
    assert weights > 100 * TOLERANCE


@pytest.mark.slow
def test_a_run_with_a_broken_gather_does_not_begin(tmp_path):
    processes.write_textures(tmp_path / "tfds")
    arguments = processes.command(
        tmp_path / "tfds",
        tmp_path / "run",
        "--virtual_devices=2",
        program="tests/planted.py",
    )
    arguments.insert(2, "lost_rows")
    done = subprocess.run(arguments, capture_output=True, text=True)
    assert done.returncode == 3, done.stderr[-2000:]
    (line,) = [x for x in done.stderr.splitlines() if x.startswith("error:")]
    assert "Self-check: on 2 replicas" in line
    assert not processes.logged(tmp_path / "run")


@pytest.mark.gpu
@pytest.mark.parametrize("kind", HELD)
def test_gpus_train_as_one_does(trained, kind):
    count = len(tf.config.list_physical_devices("GPU"))
    if count < 2:
        pytest.skip(f"{count} GPUs here; two replicas need two")
    one, all_of_them = (trained(kind, n, "GPU") for n in (1, 2))
    losses, weights, _ = compare(one, all_of_them)
    assert losses < TOLERANCE and weights < TOLERANCE


def main():
    """Prints the README's table."""
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        processes.write_textures(folder / "tfds")
        trained = functools.cache(functools.partial(train, folder))
        print("| run | losses | weights | moved |\n|---|---|---|---|")
        for kind in KINDS:
            one = trained(kind, 1)
            for count in REPLICAS[1:]:
                figures = compare(one, trained(kind, count))
                _print_row(f"{kind}, on {count}", *figures)
            other = trained(kind, 1, rounded_otherwise=True)
            _print_row(f"{kind}, on 1, other rounding", *compare(one, other))
        one = trained(SEEN, 1)
        for fault in FAULTS:
            other = trained(SEEN, 2, fault=fault)
            _print_row(f"{SEEN}, on 2, gradient {fault}", *compare(one, other))


def _print_row(run, losses, weights, moved):
    print(f"| {run} | {losses:.1e} | {weights:.1e} | {moved:.1%} |", flush=True)


if __name__ == "__main__":
    main()
