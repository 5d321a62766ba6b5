"""Any command line at all: it runs, or it is one line that says what to do.

The command lines are drawn by `fuzzed_flags` from a fixed seed. Jobs are made,
described and not run: what a constructor lets through is the work itself.
"""

import os
import re
import time

import pytest
import tensorflow as tf

import run
from flags import definitions
from simclr_tf import errors
from simclr_tf.config import resolve, roles
from simclr_tf.jobs import table
from tests import fuzzed_flags
from tpu import strategy

FAST, SLOW = 1500, 2400
# Of one command line, TensorFlow imported: of the processor, and of the clock
# on a machine that has other things to do.
WORK_SECONDS, WAIT_SECONDS = 20, 200
# What a message may begin with, where no flag is to blame.
_NAMES_A_FLAG = re.compile(r"--?\w+|Every argument|Unknown|flag")


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """Data, and a run to build upon: {"data_dir", "checkpoint"}."""
    base = tmp_path_factory.mktemp("fuzzed")
    small = [f"--{n}={v}" for n, v in fuzzed_flags.SMALL.items()]
    arguments = [
        f"--data_dir={base / 'data'}",
        f"--model_dir={base / 'run'}",
        "--train_steps=1",
        "--warmup_epochs=0",
        "--train_batch_size=8",
    ]
    assert run.main(["run.py", *small, *arguments]) == 0
    return {"data_dir": str(base / "data"), "checkpoint": str(base / "run")}


class NoCompiler:
    """In the place of the TPU's; it only knows slices."""

    def __init__(self, *, topology, find_batch):
        from tpu import chips

        slice_ = chips.parse_topology(topology)
        self.num_cores, self.num_hosts = slice_.num_cores, slice_.num_hosts


@pytest.fixture
def made_only(monkeypatch):
    """Jobs are made and described, and end; gives those that were made."""
    made, make = [], table.make

    class Made:
        def __init__(self, job):
            self._job = job

        def describe(self):
            return self._job.describe()

        def run(self):
            if run_ := getattr(self._job, "_run", None):
                run_.folder.release()
            made.append(self._job)
            return 0

    def make_small(request):
        if not fuzzed_flags.is_small(roles.flat(request.config)):
            made.append(None)
            raise errors.UserError("--resnet_depth: not small")
        return Made(make(request))

    device = tf.distribute.OneDeviceStrategy("CPU:0")
    monkeypatch.setattr(table, "make", make_small)
    monkeypatch.setattr(run, "_compile_step", NoCompiler)
    monkeypatch.setattr(
        run, "_place", lambda *_: strategy.Placement(device, "CPU", "a test")
    )
    return made


def contents(folder):
    """All that lies in a folder, but for the digits, which are prepared
    wherever --data_dir says."""
    return {
        os.path.join(place, name)
        for place, _, names in os.walk(folder)
        for name in names
        if "digits" not in place.split(os.sep)
    }


def check_error(said: str, words):
    """One line, printable, that names a flag."""
    lines = said.splitlines()
    assert len(lines) == 1 and lines[0].startswith("error: "), (words, said)
    assert lines[0].isprintable(), (words, lines)
    assert len(lines[0]) < 2000, (words, lines)
    assert _NAMES_A_FLAG.search(lines[0]), (words, lines)


@pytest.mark.parametrize("part", range(FAST // 100))
def test_any_flags_come_to_a_configuration_or_are_named(part):
    places = {"data_dir": "D", "model_dir": "M"}
    refused = 0
    for seed in range(part * 100, part * 100 + 100):
        words, _ = fuzzed_flags.draw(seed, places=places, checkpoint="RUN")
        started = time.process_time()
        try:
            parsed = definitions.parse(["run.py", *words])
            resolve.resolve(
                parsed.given,
                defaults=parsed.defaults,
                from_files=parsed.from_files,
            ).table()
        except errors.UserError as error:
            refused += 1
            assert _NAMES_A_FLAG.search(str(error)), (words, error)
        assert time.process_time() - started < 2, words
    assert 20 < refused < 100


@pytest.mark.parametrize(
    "part",
    [
        pytest.param(
            part, marks=pytest.mark.soak if part % 2 else pytest.mark.slow
        )
        for part in range(SLOW // 100)
    ],
)
def test_any_command_line_runs_or_is_one_line(
    prepared, made_only, part, tmp_path, monkeypatch, capsys
):
    """Status 0, or 2 with one line, nothing written: 100 of 2,400."""
    monkeypatch.chdir(tmp_path)
    kept = contents(os.path.dirname(prepared["checkpoint"]))
    first = 10_000 + part * 100
    statuses = []
    for seed in range(first, first + 100):
        place = tmp_path / str(seed)
        words, _ = fuzzed_flags.draw(
            seed,
            places={
                "data_dir": prepared["data_dir"],
                "model_dir": str(place),
            },
            checkpoint=prepared["checkpoint"],
        )
        made_only.clear()
        before = contents(tmp_path)
        worked, started = time.process_time(), time.monotonic()
        status = run.main(["run.py", *words])
        worked = time.process_time() - worked
        waited = time.monotonic() - started
        said = capsys.readouterr()
        assert worked < WORK_SECONDS, (words, worked)
        assert waited < WAIT_SECONDS, (words, waited)
        assert status in (0, 2), (words, status, said.err)
        statuses.append(status)
        if status == 2:
            check_error(said.err, words)
            assert contents(tmp_path) == before, words
            assert contents(os.path.dirname(prepared["checkpoint"])) == kept
        tf.keras.backend.clear_session()
    assert 20 < sum(s == 2 for s in statuses) < 100
