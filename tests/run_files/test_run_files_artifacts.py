"""What a run writes, truthful after a kill."""

import json

import pytest

from simclr_tf.config import resolve
from simclr_tf.run_files import artifacts
from simclr_tf.run_files.folder import RunFolder, inherit


def test_folder_that_cannot_be_written_names_the_flag(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(ValueError, match="--model_dir"):
        artifacts.require_writable(str(tmp_path / "file" / "below"))


def test_metrics_forget_what_will_be_logged_again(tmp_path):
    """A killed run logged to step 30 and saved at 20; half a line is gone."""
    path = tmp_path / "metrics.jsonl"
    path.write_text(
        '{"step": 10, "a": 1}\n{"step": 20, "a": 2}\n'
        '{"step": 30, "a": 3}\n{"step": 4'
    )
    lines = artifacts.MetricsFile(str(path), from_step=20)
    lines.append(30, {"a": 4.0})
    steps = [json.loads(x) for x in path.read_text().splitlines()]
    assert steps == [
        {"step": 10, "a": 1},
        {"step": 20, "a": 2},
        {"step": 30, "a": 4.0},
    ]


FACTS = {"fingerprint": "abc", "num_examples": 10}


def claim(folder, facts=FACTS, **given):
    resolved = resolve.resolve(given)
    RunFolder(str(folder)).claim(
        resolved.config, origins=resolved.origins, given=given, facts=facts
    )


def test_folder_remembers_its_run(tmp_path):
    claim(tmp_path, temperature=0.3)
    saved = RunFolder(str(tmp_path)).saved()
    assert saved["config"]["optim"]["temperature"] == 0.3
    assert saved["origins"]["temperature"] == "flag"
    assert saved["data"] == FACTS
    assert json.loads((tmp_path / "flags.json").read_text()) == {
        "temperature": 0.3
    }


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
    assert saved["config"]["optim"]["temperature"] == 0.4


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


def test_checkpoints_of_nobody_are_refused(tmp_path):
    (tmp_path / "ckpt-5.index").write_text("x")
    with pytest.raises(ValueError, match=r"no config\.json"):
        claim(tmp_path)


def test_eval_inherits_the_runs_configuration(tmp_path):
    claim(tmp_path, temperature=0.3, resnet_depth=18)
    given = {"mode": "eval", "model_dir": str(tmp_path), "eval_steps": 3}
    config_now = inherit(resolve.resolve(given).config, given)
    assert config_now.optim.temperature == 0.3
    assert config_now.model.resnet_depth == 18
    assert config_now.eval.eval_steps == 3
    assert config_now.job.mode == "eval"


def test_eval_contradicting_the_run_is_refused(tmp_path):
    claim(tmp_path, resnet_depth=18)
    given = {"model_dir": str(tmp_path), "resnet_depth": 34}
    with pytest.raises(ValueError, match="--resnet_depth=34, was 18"):
        inherit(resolve.resolve(given).config, given)


def test_eval_of_nothing_names_the_flag(tmp_path):
    given = {"model_dir": str(tmp_path), "eval_timeout_seconds": 0.1}
    with pytest.raises(ValueError, match="--model_dir"):
        inherit(resolve.resolve(given).config, given)
