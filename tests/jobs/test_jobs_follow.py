"""--mode=eval beside a run: every checkpoint, the patience asked for."""

import json
import subprocess
import sys
import threading
import time

import pytest

import run
from simclr_tf.build import splits
from simclr_tf.jobs import follow as jobs_follow
from tests import processes
from tests.tiny_datasets import write_tfds

TINY = (
    "--dataset=cifar10",
    "--image_size=16",
    "--resnet_depth=10",
    "--width_multiplier=0.125",
    "--proj_out_dim=8",
    "--train_batch_size=32",
    "--eval_batch_size=32",
    "--warmup_epochs=0",
    "--train_steps=4",
    "--checkpoint_steps=1",
    "--keep_hub_module_max=0",
)


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    folder = str(tmp_path_factory.mktemp("tfds"))
    write_tfds(
        "cifar10",
        folder,
        splits={"train": 128, "test": 40},
        image_shape=(16, 16, 3),
    )
    return folder


@pytest.fixture
def train(data_dir, tmp_path):
    def call(*more):
        places = (f"--data_dir={data_dir}", f"--model_dir={tmp_path}/run")
        return run.main(["run.py", *TINY, *places, *more])

    return call


@pytest.fixture
def follow(tmp_path, capsys):
    def call(*more):
        capsys.readouterr()
        places = ("--mode=eval", f"--model_dir={tmp_path}/run")
        status = run.main(["run.py", *places, *more])
        said = capsys.readouterr()
        call.out, call.err = said.out, said.err
        return status

    return call


def results(folder):
    return sorted(
        int(path.stem.split("_")[1]) for path in folder.glob("result_*.json")
    )


def test_every_checkpoint_of_a_finished_run_is_scored(train, follow, tmp_path):
    assert train() == 0
    assert follow() == 0, follow.err
    assert results(tmp_path / "run") == [1, 2, 3, 4]
    newest = json.loads((tmp_path / "run" / "result.json").read_text())
    assert newest["global_step"] == 4
    assert newest["eval/num_examples"] == 40


def test_the_newest_result_stays_that_of_the_newest_step(
    train, follow, tmp_path
):
    """A follower that comes late scores what came before, too."""
    assert train("--mode=train_then_eval", "--checkpoint_steps=2") == 0
    before = (tmp_path / "run" / "result.json").read_text()
    assert follow() == 0, follow.err
    assert results(tmp_path / "run") == [2, 4]
    assert (tmp_path / "run" / "result.json").read_text() == before


def test_the_follower_sees_the_images_that_the_run_named(
    train, follow, tmp_path
):
    """A slice as --eval_split, which the follower isn't told again."""
    assert train("--eval_split=train[50%:]", "--mode=train_then_eval") == 0
    path = tmp_path / "run" / "result_4.json"
    before = json.loads(path.read_text())
    assert before["eval_split"] == "train[50%:]"
    assert before["overlap"] == 64  # and it is said
    path.unlink()
    assert follow() == 0, follow.err
    after = json.loads(path.read_text())
    for key in ("eval_split", "eval_fingerprint", "eval/label_top_1_accuracy"):
        assert after[key] == before[key]
    assert "64 of the 64 images of the evaluation are trained on" in follow.out


@pytest.mark.slow
def test_the_followers_machine_is_its_own(train, follow, tmp_path):
    assert train() == 0
    path = tmp_path / "run" / "config.json"
    saved = json.loads(path.read_text())
    # As if it had been trained on several hosts, and on a TPU.
    saved["config"]["device"] |= {
        "strategy": "multi_worker",
        "tpu_name": "somewhere",
        "use_tpu": True,
    }
    del saved["origins"]  # what it does without
    path.write_text(json.dumps(saved))
    assert follow() == 0, follow.err
    assert results(tmp_path / "run") == [1, 2, 3, 4]


@pytest.mark.slow
def test_a_run_that_is_dead_is_waited_for_and_given_up(train, follow, tmp_path):
    assert train("--train_steps=3") == 0
    path = tmp_path / "run" / "config.json"
    saved = json.loads(path.read_text())
    saved["config"]["optim"]["train_steps"] = 9
    path.write_text(json.dumps(saved))
    patience = 3.0
    started = time.monotonic()
    assert follow(f"--eval_timeout_seconds={patience}") == 3
    assert results(tmp_path / "run") == [1, 2, 3]
    assert "the last one is of step 3" in follow.err
    assert "--eval_timeout_seconds" in follow.err
    assert time.monotonic() - started > patience


def test_a_checkpoint_that_comes_late_is_scored(train, follow, tmp_path):
    """Nothing new for most of the patience asked for, then the last ones."""
    assert train() == 0
    folder = tmp_path / "run"
    late = [p for n in (3, 4) for p in folder.glob(f"ckpt-{n}.*")]
    for path in late:
        path.rename(tmp_path / path.name)

    def bring_back():
        for path in late:
            (tmp_path / path.name).rename(path)

    timer = threading.Timer(6.0, bring_back)
    timer.start()
    try:
        assert follow("--eval_timeout_seconds=60") == 0, follow.err
    finally:
        timer.join()
    assert results(folder) == [1, 2, 3, 4]


def damage(folder, step):
    """Flips bits of a checkpoint; returns what puts it right again."""
    (path,) = folder.glob(f"ckpt-{step}.data-*")
    whole = path.read_bytes()
    middle = len(whole) // 2
    flipped = bytes(255 - byte for byte in whole[middle : middle + 64])
    path.write_bytes(whole[:middle] + flipped + whole[middle + 64 :])
    return lambda: path.write_bytes(whole)


def later(seconds, action):
    timer = threading.Timer(seconds, action)
    timer.start()
    return timer


def test_a_last_checkpoint_that_stays_unreadable_ends_with_3(
    train, follow, tmp_path
):
    """It is said which file, and the others are scored."""
    assert train() == 0
    damage(tmp_path / "run", 4)
    assert follow("--eval_timeout_seconds=1") == 3
    assert results(tmp_path / "run") == [1, 2, 3]
    assert f"{tmp_path}/run/ckpt-4 cannot be read" in follow.err
    assert "the run's own command" in follow.err
    assert follow.out.count("cannot be read") == 1


@pytest.mark.slow
def test_a_last_checkpoint_that_is_whole_later_is_scored(
    train, follow, tmp_path
):
    assert train() == 0
    timer = later(8.0, damage(tmp_path / "run", 4))
    try:
        assert follow() == 0, follow.err
    finally:
        timer.join()
    assert results(tmp_path / "run") == [1, 2, 3, 4]


def test_the_patience_for_a_last_checkpoint_is_bounded(
    train, follow, tmp_path, monkeypatch
):
    """Hours of --eval_timeout_seconds are for a run that still trains."""
    assert train() == 0
    damage(tmp_path / "run", 4)
    monkeypatch.setattr(jobs_follow, "_WHOLE_SECONDS", 1.0)
    monkeypatch.setattr(jobs_follow, "_RETRY_SECONDS", 0.1)
    assert follow() == 3
    assert "tried for 1 s" in follow.err


def test_an_older_unreadable_checkpoint_is_passed_over(train, follow, tmp_path):
    assert train() == 0
    damage(tmp_path / "run", 2)
    assert follow("--eval_timeout_seconds=60") == 0, follow.err
    assert results(tmp_path / "run") == [1, 3, 4]
    assert "ckpt-2 cannot be read" in follow.out


@pytest.mark.slow
def test_an_unreadable_checkpoint_of_a_run_that_goes_on_is_passed_over(
    train, follow, tmp_path, monkeypatch
):
    """Also where it is the newest for longer than a last one is tried."""
    assert train() == 0
    monkeypatch.setattr(jobs_follow, "_WHOLE_SECONDS", 0.1)
    folder = tmp_path / "run"
    damage(folder, 3)
    late = list(folder.glob("ckpt-4.*"))
    for path in late:
        path.rename(tmp_path / path.name)

    def bring_back():
        for path in late:
            (tmp_path / path.name).rename(path)

    timer = later(8.0, bring_back)
    try:
        assert follow("--eval_timeout_seconds=60") == 0, follow.err
    finally:
        timer.join()
    assert results(folder) == [1, 2, 4]


def test_what_is_unreadable_is_named_where_a_run_is_given_up(
    train, follow, tmp_path
):
    assert train() == 0
    for path in (tmp_path / "run").glob("ckpt-4.*"):
        path.unlink()
    damage(tmp_path / "run", 3)
    assert follow("--eval_timeout_seconds=1") == 3
    assert results(tmp_path / "run") == [1, 2]
    assert "the last one is of step 2" in follow.err
    assert f"{tmp_path}/run/ckpt-3 cannot be read" in follow.err


def test_a_result_is_not_replaced_by_a_poorer_one(
    train, follow, tmp_path, monkeypatch
):
    assert train("--mode=train_then_eval") == 0
    path = tmp_path / "run" / "result_4.json"
    before = path.read_text()
    config = tmp_path / "run" / "config.json"
    saved = json.loads(config.read_text())
    # Nobody named the split, and it is not there any more.
    saved["config"]["data"]["eval_split"] = "gone"
    config.write_text(json.dumps(saved))
    monkeypatch.setattr(splits, "_EVALUATION_SPLITS", ())
    assert follow() == 0, follow.err
    assert "was scored better before" in follow.out
    assert path.read_text() == before


@pytest.mark.slow
def test_beside_a_live_run(data_dir, tmp_path):
    """The follower starts first, and ends with the last step's result."""
    places = (f"--data_dir={data_dir}", f"--model_dir={tmp_path}/run")
    program = [sys.executable, str(processes.ROOT / "run.py")]
    follower = subprocess.Popen(
        [*program, "--mode=eval", places[1], "--eval_timeout_seconds=120"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    with follower:
        processes.run([*program, *TINY, *places, "--train_steps=12"])
        out, _ = follower.communicate(timeout=300)
    assert follower.returncode == 0, out
    assert "Result at step 12" in out
    assert results(tmp_path / "run")[-1] == 12
