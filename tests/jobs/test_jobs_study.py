"""A study's worker: every cell once, whatever dies, the same tables."""

import collections
import json
import os
import pathlib
import random
import shutil
import signal
import subprocess
import sys
import time

import pytest

from simclr_tf.config import resolve
from simclr_tf.errors import Halted, Stopped, UserError
from simclr_tf.jobs import table
from simclr_tf.jobs.requests import Request
from simclr_tf.jobs.study import data_here, worker
from simclr_tf.train.stopping import StopRequest
from tests import image_files
from tests.studies import tiny

ROOT = pathlib.Path(__file__).parents[2]
TABLES = ("table.csv", "table.md", "figure.png", "figure.svg")
MINE = "from tests.studies.tiny import STUDY\n"


@pytest.fixture
def study(tmp_path):
    """The tiny study's file."""
    path = tmp_path / "mine.py"
    path.write_text(MINE)
    return str(path)


@pytest.fixture
def small(tmp_path):
    """The file of a part of it, two cells of one command."""
    path = tmp_path / "small.py"
    path.write_text("from tests.studies.tiny import SMALL as STUDY\n")
    return str(path)


@pytest.fixture
def told(tmp_path, monkeypatch):
    """The folder that tells the fake program what to do."""
    folder = tmp_path / "told"
    folder.mkdir()
    monkeypatch.setenv("FAKE_PROGRAM", str(folder))
    return folder


def job(study, folder, **given):
    given = {"mode": "study", "study": study, **given}
    request = Request(
        resolve.resolve({**given, "model_dir": str(folder)}),
        place=None,
        program=tiny.PROGRAM,
        stop=StopRequest(),
    )
    return table.make(request)


def contents(folder):
    return {name: (folder / name).read_bytes() for name in TABLES}


def started(told):
    return (told / "started").read_text().split()


def test_every_cell_is_run_once_and_not_again(small, tmp_path, told, capsys):
    one = job(small, tmp_path / "one")
    assert "2 cells: 2 settings, 1 seeds. To do here: 2." in one.describe()
    assert one.run() == 0
    assert len(started(told)) == len(set(started(told))) == 2
    said = capsys.readouterr().out
    assert "[2/2] crop 0.1, colour 1.0, seed 0: score " in said
    assert "What matters" in said
    before = contents(tmp_path / "one")
    again = job(small, tmp_path / "one")
    assert "To do here: 0." in again.describe()
    assert again.run() == 0
    assert len(started(told)) == 2
    assert contents(tmp_path / "one") == before


def test_one_cell_alone_with_its_evaluation(study, tmp_path, told):
    assert job(study, tmp_path / "one", study_index=2).run() == 0
    crop = "crop_0.5_colour_0.0-seed0-"
    for name, command in zip(started(told), ("run", "knn"), strict=True):
        assert name.startswith(crop) and name.endswith(f"/{command}")
    with pytest.raises(UserError, match="must be at most 7"):
        job(study, tmp_path / "one", study_index=8)


def test_commands_are_printed_and_nothing_is_made(study, tmp_path):
    printing = job(study, tmp_path / "one", commands=True)
    lines = printing.describe().splitlines()
    assert printing.run() == 0
    assert len(lines) == 8
    for cell, line in zip(printing._cells, lines, strict=True):
        train, knn = line.split(" && ")
        assert train.startswith("python run.py --mode=train_then_eval ")
        assert f"--model_dir={tmp_path}/one/cells/{cell.name}/run " in train
        assert "--protocol=knn" in knn
    assert not (tmp_path / "one").exists()


def test_a_failed_cell_is_named_and_the_others_go_on(small, tmp_path, told):
    (told / "fail").write_text("--color_jitter_strength=0")
    with pytest.raises(Halted) as halted:
        job(small, tmp_path / "one").run()
    assert "1 of 2 cells failed" in str(halted.value)
    assert (
        "cell 0 (crop 0.1, colour 0.0, seed 0): status 3: the disk is full."
        in str(halted.value)
    )
    text = (tmp_path / "one" / "table.csv").read_text()
    assert text.count("done") == 1
    assert "failed: status 3: the disk is full." in text
    (told / "fail").unlink()
    assert job(small, tmp_path / "one").run() == 0
    assert (tmp_path / "one" / "table.csv").read_text().count("done") == 2


def test_more_seeds_are_added(small, tmp_path, told):
    job(small, tmp_path / "one").run()
    job(small, tmp_path / "one", study_seeds=2).run()
    seeds = [name.split("-")[1] for name in started(told)]
    assert seeds == ["seed0", "seed0", "seed1", "seed1"]


def test_settings_join_and_leave_a_study_that_is_there(tmp_path, told, capsys):
    """One comes in the middle, one leaves; the rest is run once."""
    path, folder = tmp_path / "grown.py", tmp_path / "one"
    made = "from tests.studies.tiny import SMALL, STUDY as ALL\n"
    made += "import dataclasses\nN = ALL.settings\n"
    made += "STUDY = dataclasses.replace(SMALL, settings=[%s])\n"
    path.write_text(made % "N[0], N[2]")
    job(str(path), folder).run()
    assert len(started(told)) == 2
    path.write_text(made % "N[0], N[1], N[2]")
    grown = job(str(path), folder)
    said = capsys.readouterr().out
    assert "1 new settings, 2 as before, 0 left out" in said
    assert "To do here: 1." in grown.describe()
    grown.run()
    assert len(set(started(told))) == len(started(told)) == 3
    path.write_text(made % "N[2], N[1]")
    job(str(path), folder).run()
    assert len(started(told)) == 3
    assert "0 new settings, 2 as before, 1 left out" in capsys.readouterr().out
    assert (folder / "table.csv").read_text().count("done") == 2
    other = tmp_path / "other"
    job(str(path), other).run()
    assert contents(folder) == contents(other)


def test_the_folder_of_another_study_is_refused(study, tmp_path):
    job(study, tmp_path / "one", temperature=0.7)
    with pytest.raises(UserError, match="holds another study"):
        job(study, tmp_path / "one", temperature=0.8)


def test_cells_of_other_first_weights_are_not_compared(tmp_path, told):
    """Neither beside those of none, nor beside those of a run that went on;
    a run that is merely elsewhere is the same."""
    path, folder = tmp_path / "grown.py", tmp_path / "one"
    made = "from tests.studies.tiny import SMALL, STUDY as ALL\n"
    made += "import dataclasses\nN = ALL.settings\n"
    made += "STUDY = dataclasses.replace(SMALL, settings=N[:%d])\n"
    path.write_text(made % 1)
    start = tiny.plant_weights(tmp_path / "start", 1.0)
    job(str(path), folder).run()
    path.write_text(made % 2)
    with pytest.raises(UserError, match="or from other weights"):
        job(str(path), folder, checkpoint=start)
    other = tmp_path / "other"
    job(str(path), other, checkpoint=start).run()
    moved = str(shutil.move(start, tmp_path / "moved"))
    again = job(str(path), other, checkpoint=moved)
    assert "To do here: 0." in again.describe()
    tiny.plant_weights(moved, 2.0, step=2)
    with pytest.raises(UserError, match="or from other weights"):
        job(str(path), other, checkpoint=moved)
    assert len(started(told)) == 3


@pytest.fixture
def photos(tmp_path, told):
    """A folder of three classes, which the fake program says it has read."""
    for split in ("train", "test"):
        for n, name in enumerate(("cat", "cow", "dog")):
            for number in range(2):
                place = tmp_path / "photos" / split / name
                image_files.write(place / f"{number}.png", 2 * n + number)
    folder = tmp_path / "photos"
    given = {"dataset": "folder", "data_dir": str(folder)}
    config = resolve.resolve(given).config.to_dict()
    said = {"config": config, "data": {}}
    (told / "config.json").write_text(json.dumps(said))
    found = data_here.find(str(told))
    said["data"] = {
        "fingerprint": found["fingerprints"]["train"],
        "num_examples": found["num_examples"],
        "class_names": found["class_names"],
    }
    result = {"eval_fingerprint": found["fingerprints"]["eval"]}
    (told / "config.json").write_text(json.dumps(said))
    (told / "result.json").write_text(json.dumps(result))
    return folder


@pytest.fixture
def on_photos(tmp_path, photos):
    """The study of the first settings, on the folder."""

    def make(count, *, folder=tmp_path / "one"):
        path = tmp_path / "grown.py"
        path.write_text(
            "from tests.studies.tiny import SMALL, STUDY as ALL\n"
            "import dataclasses\n"
            f"N = ALL.settings[:{count}]\n"
            "STUDY = dataclasses.replace(SMALL, settings=N)\n"
        )
        given = {"dataset": "folder", "data_dir": str(photos)}
        return job(str(path), folder, **given)

    return make


def test_a_study_goes_on_with_the_data_it_began_with(
    on_photos, photos, tmp_path, told
):
    assert on_photos(1).run() == 0
    assert on_photos(2).run() == 0
    before = contents(tmp_path / "one")
    for place in photos.glob("*/dog"):
        shutil.rmtree(place)
    with pytest.raises(UserError, match=r"6 images|4 images") as refused:
        on_photos(3)
    said = str(refused.value)
    assert "4 images, then 6; 2 classes, then 3 (gone: dog)" in said
    assert f"--model_dir={tmp_path}/one has cells of other data" in said
    assert "or choose another --model_dir" in said
    assert contents(tmp_path / "one") == before
    assert len(started(told)) == 2
    # What is done can be drawn wherever the data is now.
    shutil.rmtree(photos)
    assert on_photos(2).run() == 0
    assert on_photos(1, folder=tmp_path / "other").run() == 0


def test_data_that_is_gone_costs_a_line(on_photos, photos):
    on_photos(1).run()
    shutil.rmtree(photos)
    with pytest.raises(UserError, match="data_dir") as refused:
        on_photos(2)
    assert "\n" not in str(refused.value)


def test_data_that_changes_amid_a_study_fails_its_cells(
    on_photos, tmp_path, told
):
    assert on_photos(1).run() == 0
    (told / "result.json").write_text('{"eval_fingerprint": "other"}')
    with pytest.raises(Halted, match="this cell is of other data than that"):
        on_photos(2).run()
    assert (tmp_path / "one" / "table.csv").read_text().count("done") == 1


def test_a_signal_is_passed_on_and_the_rest_is_done_later(
    small, tmp_path, told
):
    (told / "seconds").write_text("30")
    stop = StopRequest()
    one = job(small, tmp_path / "one")
    one._request = Request(
        one._request.resolved, place=None, program=tiny.PROGRAM, stop=stop
    )
    began = time.monotonic()
    with stop, pytest.raises(Stopped):
        # When the first child runs.
        child = subprocess.Popen(
            [
                "sh",
                "-c",
                f"while ! [ -e {told}/started ]; do sleep 0.02; done; "
                f"kill -TERM {os.getpid()}",
            ]
        )
        one.run()
    child.wait()
    assert time.monotonic() - began < 20
    (told / "seconds").unlink()
    assert not list((tmp_path / "one").glob("cells/*/claim.json"))
    assert not list((tmp_path / "one").glob("cells/*/failed.json"))
    assert job(small, tmp_path / "one").run() == 0


def test_what_a_dead_worker_leaves_is_taken_over(
    small, tmp_path, told, monkeypatch
):
    """A claim of another machine that beats no more, after a wait."""
    monkeypatch.setattr(worker, "_WAIT_SECONDS", 0.1)
    one = job(small, tmp_path / "one")
    held = pathlib.Path(one._folder.folder_of(one._cells[1]))
    held.mkdir(parents=True)
    beat = time.time() - worker_dead_seconds() + 0.7
    (held / "claim.json").write_text(
        json.dumps({"host": "elsewhere", "token": "t", "beat": beat})
    )
    assert one.run() == 0
    assert [name for name in started(told) if name.endswith("/run")][-1] == (
        f"{held.name}/run"
    )


def worker_dead_seconds():
    from simclr_tf.run_files import owner

    return owner.DEAD_SECONDS


def test_error_lines(tmp_path):
    log = tmp_path / "log"
    first = "error: old\nwords\nerror: new.\n"
    log.write_text(f"{first}more\n")
    assert worker._error_line(log, 0, 2) == "status 2: new."
    assert worker._error_line(log, len(first), 1) == ("status 1: more")
    assert worker._error_line(log, 999, -9) == (
        "killed by SIGKILL; its last line: it printed nothing"
    )


_WORKER = """
import sys
from simclr_tf.config import resolve
from simclr_tf.jobs import table
from simclr_tf.jobs.requests import Request
from tests import image_files
from tests.studies import tiny
given = dict(mode="study", study=sys.argv[1], model_dir=sys.argv[2])
sys.exit(
    table.make(
        Request(resolve.resolve(given), place=None, program=tiny.PROGRAM)
    ).run()
)
"""


def start(study, folder, log):
    return subprocess.Popen(
        [sys.executable, "-c", _WORKER, study, str(folder)],
        cwd=ROOT,
        stdout=log,
        stderr=subprocess.STDOUT,
    )


@pytest.mark.slow
def test_workers_that_are_killed_lose_nothing(study, tmp_path, told):
    """Two workers, one of them killed three times at random moments."""
    job(study, tmp_path / "whole").run()
    (told / "started").unlink()
    (told / "seconds").write_text("0.4")
    rng = random.Random(0)
    folder = tmp_path / "killed"
    with open(tmp_path / "log", "w") as log:
        steady = start(study, folder, log)
        for _ in range(3):
            other = start(study, folder, log)
            until = len(list(folder.glob("cells/*/claim.json"))) + 1
            while (
                len(list(folder.glob("cells/*/claim.json"))) < min(until, 2)
                and other.poll() is None
            ):
                time.sleep(0.05)
            time.sleep(rng.random())
            other.send_signal(signal.SIGKILL)
            other.wait()
        assert steady.wait(300) == 0, (tmp_path / "log").read_text()
    assert contents(folder) == contents(tmp_path / "whole")
    # A cell is started again only where a worker was killed amid it.
    starts = collections.Counter(started(told))
    assert len(starts) == 16
    assert starts.total() <= 16 + 3 * 2
    assert not list(folder.glob("cells/*/*.tmp-*"))


@pytest.mark.slow
def test_a_study_of_real_runs(tmp_path):
    """Two cells on the digits, by run.py."""
    path = tmp_path / "mine.py"
    path.write_text(_REAL)
    command = [
        sys.executable,
        str(ROOT / "run.py"),
        "--mode=study",
        f"--study={path}",
        f"--model_dir={tmp_path / 'one'}",
    ]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stdout + done.stderr
    text = (tmp_path / "one" / "table.csv").read_text()
    assert text.count("done") == 2
    cells = [
        json.loads(path.read_text())
        for path in sorted(tmp_path.glob("one/cells/*/cell.json"))
    ]
    for cell in cells:
        assert set(cell["measures"]) == {"probe", "near", "entropy"}
        assert 0 <= cell["measures"]["near"] <= 1
        assert cell["measures"]["entropy"] > 0


_REAL = """
from simclr_tf.studies import Bars, Measure, Setting, Study

STUDY = Study(
    title="Two temperatures",
    base={
        "dataset": "digits",
        "train_steps": 2,
        "train_batch_size": 32,
        "width_multiplier": 0.25,
        "linear_eval_labels": (),
        "keep_hub_module_max": 0,
    },
    settings=[
        Setting({"tau": tau}, flags={"temperature": tau}) for tau in (0.1, 1.0)
    ],
    figure=Bars(x="tau"),
    measures=[
        Measure("probe", ("run:eval/label_top_1_accuracy",)),
        Measure("near", ("knn:top_1",)),
        Measure("entropy", ("log:train/contrast_entropy",), scale=1.0),
    ],
    evaluations={"knn": {"protocol": "knn"}},
)
"""
