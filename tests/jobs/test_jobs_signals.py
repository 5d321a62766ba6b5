"""Signals at every moment of every job: status, seconds, the same end."""

import hashlib
import json
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from tests import processes, signalled

pytestmark = pytest.mark.slow

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
# Where the C++ of TensorFlow is waited for, and the step is saved.
SECONDS = 10.0
NET = ("--resnet_depth=10", "--width_multiplier=0.25", "--mixed_precision=none")
TRAIN = (
    *NET,
    "--train_batch_size=64",
    "--train_steps=4",
    "--checkpoint_steps=2",
    "--log_steps=1",
    "--warmup_epochs=0",
)
RUN = (
    *TRAIN,
    "--mode=train_then_eval",
    "--linear_eval_labels=20",
    "--linear_eval_draws=1",
)
AFTER_TRAINING = ("last save", "export", "scoring", "few labels")


@pytest.fixture(scope="module")
def server():
    with signalled.Server() as server:
        yield server


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("signals")


@pytest.fixture(scope="module")
def straight(server, folder):
    """The run that nobody interrupts."""
    status, output, _ = server.run([*RUN, f"--model_dir={folder}/straight"])
    assert status == 0, output
    return folder / "straight"


def jobs(moment, straight, place):
    """The command whose moment it is, and the files that it shall leave."""
    on = ("--mode=evaluate", f"--checkpoint={straight}", f"--model_dir={place}")
    if moment in ("features", "record"):
        return (*on, "--protocol=knn")
    if moment == "regressions":
        return (*on, "--protocol=logistic")
    if moment == "embedding":
        return ("--mode=embed", *on[1:])
    if moment in AFTER_TRAINING:
        return (*RUN, f"--model_dir={place}")
    return (*TRAIN, "--keep_hub_module_max=0", f"--model_dir={place}")


def left(place):
    """What a job has left, less what clocks and paths put into it."""
    found = {}
    for path in sorted(place.rglob("*")):
        name = str(path.relative_to(place))
        if path.suffix == ".npz":
            with np.load(path) as arrays:
                found[name] = {
                    key: hashlib.sha256(arrays[key].tobytes()).hexdigest()
                    for key in arrays.files
                }
        elif path.name.startswith("result") and path.suffix == ".json":
            result = json.loads(path.read_text())
            found[name] = {k: v for k, v in result.items() if k != "config"}
        elif path.suffix == ".jsonl":
            lines = map(json.loads, path.read_text().splitlines())
            found[name] = [
                {k: v for k, v in line.items() if k.startswith(("step", "tra"))}
                for line in lines
            ]
        elif path.suffix in (".png", ".index", ".pb") or path.is_dir():
            found[name] = None
    return found


def interrupt(server, moment, number, straight, place):
    command = jobs(moment, straight, place)
    whole = straight
    if "--mode=evaluate" in command or "--mode=embed" in command:
        whole = place.with_name(f"whole_{place.name}")
        status, output, _ = server.run(jobs(moment, straight, whole))
        assert status == 0, output
    status, output, seconds = server.run(command, moment=moment, number=number)
    name = signal.Signals(number).name
    print(f"{moment}, {name}: {status}, {seconds} s")
    assert status == 128 + number, output
    assert seconds < SECONDS, output
    assert "Traceback" not in output
    (line,) = (x for x in output.splitlines() if f"Stopped by {name}" in x)
    assert "The same command" in line
    assert output.rstrip().endswith(line)  # nothing is done after it
    status, output, _ = server.run(command)
    assert status == 0, output
    expected = left(whole)
    if whole is straight and moment not in AFTER_TRAINING:
        late = ("eval", "result", "saved_model")
        expected = {k: v for k, v in expected.items() if not k.startswith(late)}
    assert left(place) == expected
    if whole is straight:
        for step in (2, 4):
            processes.assert_same_bits(
                processes.state(straight, step), processes.state(place, step)
            )


# Every job and kind of moment once, the signals in turn.
CHOSEN = (
    "building",
    "tracing",
    "training",
    "last save",
    "export",
    "few labels",
    "features",
    "embedding",
)
ALL = [
    moment
    for moment in signalled.MOMENTS
    if moment not in ("following", "sweep")
]


@pytest.mark.parametrize("moment", CHOSEN)
def test_a_signal_at_a_moment(server, straight, folder, moment):
    number = SIGNALS[CHOSEN.index(moment) % 3]
    interrupt(
        server, moment, number, straight, folder / moment.replace(" ", "")
    )


@pytest.mark.soak
@pytest.mark.parametrize("number", SIGNALS)
@pytest.mark.parametrize("moment", ALL)
def test_every_signal_at_every_moment(server, straight, folder, moment, number):
    place = folder / f"{moment.replace(' ', '')}_{number}"
    interrupt(server, moment, number, straight, place)


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_amid_the_imports(tmp_path, number):
    started = time.monotonic()
    done = subprocess.run(
        [
            sys.executable,
            "tests/signalled.py",
            str(int(number)),
            *RUN,
            f"--model_dir={tmp_path}/run",
        ],
        capture_output=True,
        text=True,
        cwd=processes.ROOT,
    )
    assert time.monotonic() - started < SECONDS + 10
    assert done.returncode == 128 + number, done.stderr
    assert "Traceback" not in done.stderr
    assert f"Stopped by {number.name} before any work" in done.stdout
