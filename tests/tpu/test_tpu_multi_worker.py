"""Several hosts on loopback: one run, one set of files, stopped together."""

import functools
import json
import re
import signal
import time

import pytest

from tests import processes
from tests.train.test_train_replicas import SGD, TOLERANCE, compare

pytestmark = pytest.mark.slow

SCORED = (
    "--mode=train_then_eval",
    "--linear_eval_labels=20",
    "--linear_eval_draws=2",
    "--keep_hub_module_max=1",
    "--learning_rate_scaling=linear",
    *SGD,
)
# Steps enough that no machine is through before the last signal.
LONG = ("--train_steps=100", "--checkpoint_steps=6", "--keep_checkpoint_max=2")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("hosts")
    processes.write_textures(folder / "tfds")
    return folder


@pytest.fixture(scope="module")
def alone(folder):
    """The run of one process that the others are compared with."""
    processes.run(processes.command(folder / "tfds", folder / "1", *SCORED))
    return folder / "1"


def files_of(model_dir):
    """Their names, less what the clock and the machine put into them."""
    return sorted(
        re.sub(r"tfevents\..*", "tfevents", str(path.relative_to(model_dir)))
        for path in model_dir.rglob("*")
    )


@pytest.mark.parametrize("count", [2, pytest.param(3, marks=pytest.mark.soak)])
def test_hosts_train_and_score_as_one_and_write_one_set_of_files(
    folder, alone, count
):
    together = folder / str(count)
    command = processes.command(folder / "tfds", together, *SCORED)
    statuses, outputs = processes.finish(
        processes.start_workers(command, count)
    )
    assert statuses == [0] * count, outputs
    assert all(f"{count} hosts, this is {i}" in outputs[i] for i in (0, 1))
    losses, weights, _ = compare(alone, together)
    print(f"{count} workers: losses {losses:.1e}, weights {weights:.1e}")
    assert losses < TOLERANCE and weights < TOLERANCE
    assert files_of(together) == files_of(alone)
    one, several = (
        json.loads((d / "result.json").read_text()) for d in (alone, together)
    )
    assert one.keys() == several.keys()
    for key, value in one.items():
        if isinstance(value, float):
            # One more or less of 64 images may be right.
            assert several[key] == pytest.approx(value, abs=0.04), key
    assert several["eval/num_examples"] == one["eval/num_examples"] == 64
    pixels = "linear_20_labels/top_1_raw_pixels"
    assert several[pixels] == one[pixels]  # the same images, in one order


@pytest.mark.soak
def test_twenty_runs_of_two_workers_are_all_done(folder):
    """The chief, which the others find each other by, leaves last."""
    for number in range(20):
        command = processes.command(
            folder / "tfds",
            folder / f"done_{number}",
            "--train_steps=2",
        )
        statuses, outputs = processes.finish(
            processes.start_workers(command, 2)
        )
        assert statuses == [0, 0], (number, outputs)


@pytest.mark.soak
def test_a_worker_that_halts_alone_tells_the_other_why(folder):
    """The chief's disk is full: the other one says so, too."""
    place = folder / "full"
    command = processes.command(folder / "tfds", place)
    # Of the chief alone: the others save, too, to nowhere.
    limited = """
        case $TF_CONFIG in *'"index": 0}}') ulimit -f 300 ;; esac
        exec "$0" "$@"
    """
    workers = processes.start_workers(["bash", "-c", limited, *command], 2)
    statuses, outputs = processes.finish(workers)
    assert statuses == [3, 3], outputs
    assert f"--model_dir={place} can no longer be written" in outputs[0]
    (line,) = (x for x in outputs[1].splitlines() if x.startswith("error: "))
    assert line.startswith("error: another worker has gone"), outputs[1]
    assert "worker 0 " in line, outputs[1]
    assert "Traceback" not in outputs[0] + outputs[1]


def test_two_hosts_fine_tune_as_one(folder, alone):
    ends = {}
    for name in ("one", "two"):
        ends[name] = folder / f"tuned_on_{name}"
        command = processes.command(
            folder / "tfds",
            ends[name],
            "--train_mode=finetune",
            f"--checkpoint={alone}",
            "--optimizer=momentum",
            "--learning_rate=0.05",
        )
        if name == "one":
            processes.run(command)
            continue
        statuses, outputs = processes.finish(
            processes.start_workers(command, 2)
        )
        assert statuses == [0, 0], outputs
    one, two = (
        [line["train/supervised_loss"] for line in processes.logged(end)]
        for end in ends.values()
    )
    assert len(one) == 5 and len(set(one)) == 5
    assert two == pytest.approx(one, rel=1e-5)
    assert files_of(ends["two"]) == files_of(ends["one"])


def test_a_lost_worker_and_a_signal_to_one_of_two(folder):
    """SIGKILL to one, SIGTERM to one, then to the end: the same bits."""
    make = functools.partial(processes.command, folder / "tfds")
    straight, broken = folder / "straight", folder / "broken"
    workers = processes.start_workers(make(straight, *LONG), 2)
    statuses, outputs = processes.finish(workers)
    assert statuses == [0, 0], outputs

    workers = processes.start_workers(make(broken, *LONG), 2)
    processes.wait_for_step(broken, 7, workers)
    workers[1].send_signal(signal.SIGKILL)
    killed = time.monotonic()
    statuses, outputs = processes.finish(workers)
    assert statuses == [3, -signal.SIGKILL], outputs
    (line,) = (x for x in outputs[0].splitlines() if x.startswith("error: "))
    assert line.startswith("error: another worker has gone"), outputs[0]
    assert "worker 1 " in line, outputs[0]  # which, and why, in words
    assert "Graph execution error" not in outputs[0]
    assert time.monotonic() - killed < 90

    workers = processes.start_workers(make(broken, *LONG), 2)
    processes.wait_for_step(broken, 14, workers)
    workers[1].send_signal(signal.SIGTERM)
    statuses, outputs = processes.finish(workers)
    assert statuses == [128 + signal.SIGTERM] * 2, outputs
    assert "Continuing from" in outputs[0] and "Continuing from" in outputs[1]
    stops = [re.search(r"SIGTERM after step (\d+),", o)[1] for o in outputs]
    assert stops[0] == stops[1]
    assert (broken / f"ckpt-{stops[0]}.index").exists()

    workers = processes.start_workers(make(broken, *LONG), 2)
    statuses, outputs = processes.finish(workers)
    assert statuses == [0, 0], outputs
    assert f"step {stops[0]}." in outputs[1]  # nothing was lost
    processes.assert_same_bits(
        processes.state(straight, 100), processes.state(broken, 100)
    )
    assert [x["step"] for x in processes.logged(broken)] == list(range(1, 101))
