"""Which run a folder holds, and who may go on with it."""

import json
import pathlib
import re

import pytest

from simclr_tf.build import inheritance
from simclr_tf.config import resolve
from simclr_tf.errors import UserError
from simclr_tf.run_files import loading, places
from simclr_tf.run_files.folder import RunFolder
from simclr_tf.run_files.following import as_follower, wait_for_run

FACTS = {"fingerprint": "abc", "num_examples": 10}
NAMED = ("pictures", "more")


def claim(folder, facts=FACTS, **given):
    resolved = resolve.resolve(given)
    claimed = RunFolder(str(folder))
    claimed.claim(
        resolved.config,
        origins=resolved.origins,
        given=given,
        facts=facts,
        dtype_policy="float32",
    )
    claimed.release()


def test_folder_remembers_its_run(tmp_path):
    claim(tmp_path, temperature=0.3)
    saved = RunFolder(str(tmp_path)).saved()
    assert saved.config.optim.temperature == 0.3
    assert saved.origins["temperature"] == "flag"
    assert saved.data == FACTS
    assert json.loads((tmp_path / "flags.json").read_text()) == {
        "temperature": 0.3
    }


def test_whoever_looks_at_a_run_may_stand_elsewhere(tmp_path, monkeypatch):
    """Its places are those of the folder that it was started in."""
    for name in ("here", "here/pictures", "here/more", "here/c,d", "there"):
        (tmp_path / name).mkdir()
    for place, expected in (
        ("pictures,./more", [f"{tmp_path}/here/{n}" for n in NAMED]),
        ("c,d", [f"{tmp_path}/here/c,d"]),
        ("gs://b/d", ["gs://b/d"]),
    ):
        monkeypatch.chdir(tmp_path / "here")
        claim(tmp_path / "run", dataset="folder", data_dir=place)
        monkeypatch.chdir(tmp_path / "there")
        saved = RunFolder(str(tmp_path / "run")).saved()
        assert saved.config.data.data_dir == place
        seen = places.seen_from(saved.config, saved.cwd)
        assert seen.data.data_dir == ",".join(expected)
        asked = resolve.resolve({"mode": "eval", "model_dir": "X"}).config
        follower = as_follower(saved, asked, {}, path=str(tmp_path / "run"))
        assert follower.data.data_dir == ",".join(expected)


@pytest.mark.parametrize(
    ("given", "taken", "said"),
    [
        ({}, True, False),
        ({"data_dir": "A"}, True, False),
        ({"data_dir": "link"}, True, False),
        ({"data_dir": "B"}, False, True),
        ({"data_dir": "B", "labels": "b.csv"}, False, False),
        ({"data_dir": "B", "dataset": "folder"}, False, False),
    ],
)
def test_that_a_table_of_labels_is_left_out_is_said(
    tmp_path, monkeypatch, capsys, given, taken, said
):
    monkeypatch.chdir(tmp_path)
    pathlib.Path("A").mkdir()
    pathlib.Path("link").symlink_to("A")
    pathlib.Path("a.csv").write_text("file,label\n")
    claim("run", dataset="folder", data_dir="A", labels="a.csv")
    pathlib.Path("run", "ckpt-5.index").write_text("x")
    found = inheritance.of_checkpoint(
        {"mode": "embed", "checkpoint": "run", **given}
    )
    assert ("labels" in found) is taken
    line = f"--labels={tmp_path}/a.csv of --checkpoint=run is left out"
    assert (line in capsys.readouterr().out) is said


def test_a_project_that_was_moved_is_gone_on_with(tmp_path, monkeypatch):
    """As a whole, with its pictures and what it starts from."""
    (tmp_path / "old" / "pictures").mkdir(parents=True)
    given = {
        "train_mode": "finetune",
        "dataset": "folder",
        "data_dir": "pictures",
        "checkpoint": "RUN",
    }
    monkeypatch.chdir(tmp_path / "old")
    claim("run", **given)
    pathlib.Path("run", "ckpt-5.index").write_text("x")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "old").rename(tmp_path / "new")
    monkeypatch.chdir(tmp_path / "new")
    claim("run", **given)
    saved = RunFolder("run").saved()
    seen = places.seen_from(saved.config, f"{tmp_path}/old")
    assert seen.data.data_dir == "pictures"


def test_same_run_again_is_welcome_elsewhere_too(tmp_path):
    claim(tmp_path, temperature=0.3)
    claim(tmp_path, temperature=0.3, virtual_devices=2, data_dir="other")


@pytest.mark.parametrize(
    ("change", "names"),
    [
        ({"temperature": 0.4}, "--temperature=0.4, was 0.3"),
        ({"temperature": 0.3, "resnet_depth": 18}, "--resnet_depth=18"),
        ({"temperature": 0.3, "seed": 1}, "--seed=1, was 0"),
        ({"temperature": 0.3, "train_steps": 9}, "--train_steps=9"),
    ],
    ids=str,
)
def test_another_run_is_refused_and_nothing_harmed(tmp_path, change, names):
    claim(tmp_path, temperature=0.3)
    (tmp_path / "ckpt-5.index").write_text("x")
    before = (tmp_path / "config.json").read_bytes()
    with pytest.raises(ValueError, match=names):
        claim(tmp_path, **change)
    assert (tmp_path / "config.json").read_bytes() == before


def test_a_run_that_saved_nothing_may_be_started_otherwise(tmp_path):
    claim(tmp_path, temperature=0.3)
    claim(tmp_path, temperature=0.4)
    saved = RunFolder(str(tmp_path)).saved()
    assert saved.config.optim.temperature == 0.4


def test_a_config_of_somebody_else_is_refused(tmp_path):
    (tmp_path / "config.json").write_text('{"hidden_size": 768}')
    with pytest.raises(ValueError, match="not of a run of ours"):
        claim(tmp_path)


def test_home_is_understood():
    assert "~" not in RunFolder("~/runs").path


def test_other_data_is_refused(tmp_path):
    claim(tmp_path)
    (tmp_path / "ckpt-5.index").write_text("x")
    with pytest.raises(ValueError, match="other data"):
        claim(tmp_path, facts={**FACTS, "fingerprint": "def"})


def test_bn_over_another_number_of_images_is_refused(tmp_path):
    """Of a replica's own moments; older versions did not save how many."""
    claim(tmp_path, facts={**FACTS, "images_per_moment": 8})
    (tmp_path / "ckpt-5.index").write_text("x")
    with pytest.raises(UserError, match="BN over 4 images at once, then 8"):
        claim(tmp_path, facts={**FACTS, "images_per_moment": 4})
    claim(tmp_path, facts={**FACTS, "images_per_moment": 8})
    old = json.loads((tmp_path / "config.json").read_text())
    del old["data"]["images_per_moment"]
    (tmp_path / "config.json").write_text(json.dumps(old))
    claim(tmp_path, facts={**FACTS, "images_per_moment": 4})


def test_checkpoints_of_nobody_are_refused(tmp_path):
    (tmp_path / "ckpt-5.index").write_text("x")
    with pytest.raises(ValueError, match=r"no config\.json"):
        claim(tmp_path)


def follow(folder, **given):
    asked = resolve.resolve({"mode": "eval", **given})
    saved = wait_for_run(RunFolder(str(folder)), patience_seconds=0.1)
    return as_follower(saved, asked.config, asked.given, path=str(folder))


def test_a_follower_inherits_the_run_and_keeps_its_machine(tmp_path):
    claim(tmp_path, temperature=0.3, resnet_depth=18, strategy="multi_worker")
    config = follow(tmp_path, eval_steps=3, virtual_devices=2)
    assert config.optim.temperature == 0.3
    assert config.model.resnet_depth == 18
    assert config.eval.eval_steps == 3
    assert config.job.mode == "eval"
    assert config.device.strategy == "auto"
    assert config.device.virtual_devices == 2


def test_a_follower_scores_as_large_a_sample_as_its_run(tmp_path):
    claim(tmp_path, eval_steps=2, eval_batch_size=64)
    assert follow(tmp_path).eval.eval_batch_size == 64
    assert follow(tmp_path, eval_batch_size=8).eval.eval_batch_size == 8


def test_of_a_whole_split_a_follower_takes_its_own_batches(tmp_path):
    claim(tmp_path, eval_batch_size=64)
    assert follow(tmp_path).eval.eval_batch_size == 256


def test_a_follower_that_contradicts_the_run_is_refused(tmp_path):
    claim(tmp_path, resnet_depth=18)
    with pytest.raises(UserError, match="--resnet_depth=34, was 18"):
        follow(tmp_path, resnet_depth=34)


def test_following_nothing_names_the_flag(tmp_path):
    with pytest.raises(UserError, match="--model_dir"):
        follow(tmp_path)


@pytest.mark.parametrize(
    ("now", "said"),
    [
        ({"num_examples": 8}, "^8 images, then 7$"),
        ({"class_names": ["cat", "eel"]}, r"2 classes, then 1 \(new: eel\)"),
        ({"fingerprint": "b"}, "as many images, of other contents or labels"),
        ({"images_per_moment": 8}, "^BN over 8 images at once, then None"),
    ],
)
def test_other_data_is_said_in_words(now, said):
    before = {"num_examples": 7, "class_names": ["cat"], "fingerprint": "a"}
    from simclr_tf.run_files.folder import differences

    found = differences(before, {**before, **now})
    assert re.search(said, found)
    assert "{" not in found


@pytest.mark.parametrize("left", [None, "", '{"global_step": 2}'])
def test_a_kill_between_the_two_results_is_made_up_for(tmp_path, left):
    folder, config = RunFolder(str(tmp_path)), resolve.resolve({}).config
    result = {"global_step": 4, "top_1": 0.5, "config": config.to_dict()}
    result = json.loads(json.dumps(result))  # as it is read
    folder.write_result(4, result)
    path = tmp_path / "result.json"
    whole = path.read_bytes()
    path.unlink()
    if left is not None:
        path.write_text(left)
    folder.keep_result(result)
    assert path.read_bytes() == whole
    stamp = path.stat().st_mtime_ns
    folder.keep_result(result)
    assert path.stat().st_mtime_ns == stamp


def test_the_result_of_a_later_step_stays_the_newest(tmp_path):
    """A follower also scores the checkpoints of a run that is finished."""
    folder = RunFolder(str(tmp_path))

    def write(step, **given):
        config = resolve.resolve(given).config.to_dict()
        folder.write_result(step, {"global_step": step, "config": config})
        return json.loads((tmp_path / "result.json").read_text())["global_step"]

    assert write(4) == 4
    assert write(2) == 4
    assert (tmp_path / "result_2.json").exists()
    assert write(6) == 6
    assert write(2, temperature=0.3) == 2  # of another run
    (tmp_path / "result.json").write_text("{")
    assert write(1) == 1


def test_a_linear_head_of_other_classes_is_refused_whatever_their_number():
    def weights(*class_names):
        config = resolve.resolve({}).config
        return loading.Weights("RUN/ckpt-1", 1, config, {}, class_names)

    loading.require_classes(weights("cat", "dog"), ["cat", "dog"])
    loading.require_classes(weights(), ["cat", "dog"])  # nobody knows
    for others in (["ape", "bee"], ["dog", "cat"]):
        with pytest.raises(UserError, match="cat, dog, and the data has"):
            loading.require_classes(weights("cat", "dog"), others)
