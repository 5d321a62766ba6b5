"""Signals at every moment of every job: status, seconds, the same end."""

import hashlib
import json
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from tests import processes, signalled, tiny_transfer

pytestmark = pytest.mark.soak

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
# From a signal to the end, of the processor and, as the machine may have other
# things to do, of the clock: C++ is waited for, and the step is saved.
SECONDS, WAIT_SECONDS = 10.0, 60.0
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
MOMENTS = [
    moment
    for moment in signalled.MOMENTS
    if moment not in ("following", "sweep")
]
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


@pytest.fixture(scope="module")
def whole(server, straight, folder):
    """What a moment's job leaves that nobody interrupts, each made once."""
    made = {}

    def of(moment):
        command = jobs(moment, straight, folder)
        if not {"--mode=evaluate", "--mode=embed"} & set(command):
            return straight
        if command not in made:
            place = folder / f"whole_{len(made)}"
            status, output, _ = server.run(jobs(moment, straight, place))
            assert status == 0, output
            made[command] = place
        return made[command]

    return of


def require_prompt(what, seconds, output):
    waited, worked = seconds
    print(
        f"{what}: gone after {waited:.1f} s, of work {worked:.1f}", flush=True
    )
    assert worked < SECONDS and waited < WAIT_SECONDS, output


@pytest.mark.parametrize("number", SIGNALS)
@pytest.mark.parametrize("moment", MOMENTS)
def test_every_signal_at_every_moment(
    server, straight, whole, folder, moment, number
):
    place = folder / f"{moment.replace(' ', '')}_{number}"
    command, whole = jobs(moment, straight, place), whole(moment)
    status, output, seconds = server.run(command, moment=moment, number=number)
    name = signal.Signals(number).name
    assert status == 128 + number, output
    require_prompt(f"{moment}, {name}", seconds, output)
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
    assert time.monotonic() - started < WAIT_SECONDS
    assert done.returncode == 128 + number, done.stderr
    assert "Traceback" not in done.stderr
    assert f"Stopped by {number.name} before any work" in done.stdout


def test_a_sweep_continues_after_a_signal(server, straight, tmp_path):
    tiny_transfer.write("dtd", tmp_path / "data")
    command = (
        "--mode=evaluate",
        "--protocol=transfer_finetune",
        f"--checkpoint={straight}",
        "--dataset=dtd",
        f"--data_dir={tmp_path}/data",
        f"--model_dir={tmp_path}/sweep",
        "--train_batch_size=8",
        "--train_steps=2",
        "--sweep_points=0,1",
    )
    status, output, seconds = server.run(
        command, moment="sweep", number=signal.SIGTERM
    )
    assert status == 128 + signal.SIGTERM, output
    require_prompt("sweep, SIGTERM", seconds, output)
    assert "Stopped by SIGTERM after setting 1, which is saved" in output
    status, output, _ = server.run(command)
    assert status == 0, output
    assert output.count("finished before") == 1
    assert list((tmp_path / "sweep").glob("*.json"))


def test_a_follower_leaves_and_comes_back(server, straight):
    command = ("--mode=eval", f"--model_dir={straight}")
    status, output, seconds = server.run(
        command, moment="following", number=signal.SIGHUP
    )
    assert status == 128 + signal.SIGHUP, output
    require_prompt("sweep, SIGTERM", seconds, output)
    status, output, _ = server.run(command)
    assert status == 0, output


SHORT = (*TRAIN, "--keep_hub_module_max=0")


def test_a_full_disk_halts_the_run_and_it_continues(server, straight, tmp_path):
    command = (*SHORT, f"--model_dir={tmp_path}/run")
    status, output, _ = server.run(command, plant="full_disk")
    assert status == 3, output
    (line,) = (x for x in output.splitlines() if x.startswith("error: "))
    assert f"--model_dir={tmp_path}/run can no longer be written" in line
    assert "Traceback" not in output
    status, output, _ = server.run(command)
    assert status == 0, output
    for step in (2, 4):
        processes.assert_same_bits(
            processes.state(straight, step),
            processes.state(tmp_path / "run", step),
        )


def test_a_folder_deleted_in_mid_run_halts_it(server, tmp_path):
    command = (*SHORT, f"--model_dir={tmp_path}/run")
    status, output, _ = server.run(command, plant="deleted_folder")
    assert status == 3, output
    assert f"error: --model_dir={tmp_path}/run was deleted" in output
    assert "Traceback" not in output


def test_more_memory_than_there_is_halts_with_the_flags(server, tmp_path):
    command = (*SHORT, f"--model_dir={tmp_path}/run")
    status, output, _ = server.run(command, plant="no_memory")
    assert status == 3, output
    (line,) = (x for x in output.splitlines() if x.startswith("error: "))
    assert "[20000000,20000000]" in line and "--train_batch_size" in line
    assert "Traceback" not in output


@pytest.mark.parametrize("readers", ["| head -1", ">&- 2>&-"])
def test_a_reader_that_goes_away_loses_nothing(straight, tmp_path, readers):
    """Through a pipe, and with no output at all."""
    flags = " ".join((*SHORT, f"--model_dir={tmp_path}/run"))
    done = subprocess.run(
        [
            "bash",
            "-c",
            f"{sys.executable} run.py {flags} {readers}; "
            "exit ${PIPESTATUS[0]}",
        ],
        capture_output=True,
        text=True,
        cwd=processes.ROOT,
    )
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr and "Broken" not in done.stderr
    processes.assert_same_bits(
        processes.state(straight, 4), processes.state(tmp_path / "run", 4)
    )
