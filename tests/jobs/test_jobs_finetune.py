"""Classifiers on an encoder, through run.py: what loads, learns, stays."""

import json
import shutil

import numpy as np
import pytest
import tensorflow as tf

import run
from simclr_tf.run_files import checkpoints
from tests.tiny_datasets import write_tfds

WIDTH = ("--resnet_depth=10", "--width_multiplier=0.125", "--proj_out_dim=8")
# Slots of the optimizer carry other names.
STAGES = ("stem_", "group1_", "group2_", "group3_", "group4_")
SHORT = ("--train_batch_size=16", "--eval_batch_size=32", "--warmup_epochs=0")


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    """Ten classes of 16 px under one name, five under another."""
    folder = str(tmp_path_factory.mktemp("tfds"))
    sizes = {"splits": {"train": 80, "test": 20}, "image_shape": (16, 16, 3)}
    write_tfds("cifar10", folder, num_classes=10, **sizes)
    write_tfds("five_kinds", folder, num_classes=5, **sizes)
    return folder


@pytest.fixture(scope="module")
def pretrained(data_dir, tmp_path_factory):
    """A run of three steps, its probe trained along on all labels."""
    folder = tmp_path_factory.mktemp("pretrained")
    arguments = (
        "--dataset=cifar10",
        "--image_size=16",
        "--train_steps=3",
        "--learning_rate=0.3",
        f"--data_dir={data_dir}",
        f"--model_dir={folder}",
    )
    assert run.main(["run.py", *WIDTH, *SHORT, *arguments]) == 0
    return folder


@pytest.fixture
def go(tmp_path, data_dir, pretrained, capsys):
    def call(*arguments, checkpoint=pretrained, model_dir="run"):
        status = run.main(
            [
                "run.py",
                *SHORT,
                f"--checkpoint={checkpoint}",
                f"--data_dir={data_dir}",
                f"--model_dir={tmp_path / model_dir}",
                "--train_mode=finetune",
                "--keep_hub_module_max=0",
                *arguments,
            ]
        )
        out = capsys.readouterr()
        call.out, call.err = out.out, out.err
        return status

    return call


def weights(folder):
    return checkpoints.read(checkpoints.checkpoint_paths(str(folder))[-1])


def test_frozen_encoder_is_the_checkpoints_bit_for_bit(
    go, pretrained, tmp_path
):
    status = go(
        "--fine_tune_after_block=4", "--train_steps=4", "--mode=train_then_eval"
    )
    assert status == 0, go.err
    before, after = weights(pretrained), weights(tmp_path / "run")
    shared = [n for n in after if n in before and "linear_head" not in n]
    moved = [n for n in shared if not np.array_equal(before[n], after[n])]
    assert moved == ["iteration"]  # of the optimizer
    assert any("moving_variance" in n for n in shared)
    assert np.abs(after["linear_head:kernel"]).max() > 0
    encoder = [n for n in before if n.startswith(STAGES)]
    assert f"Frozen and unchanged: {len(encoder)} variables" in go.out
    result = json.loads((tmp_path / "run" / "result.json").read_text())
    assert result["eval/num_examples"] == 20


@pytest.mark.slow
@pytest.mark.parametrize("block", [-1, 0, 2])
def test_what_follows_the_block_learns(go, pretrained, tmp_path, block):
    status = go(f"--fine_tune_after_block={block}", "--train_steps=2")
    assert status == 0, go.err
    before, after = weights(pretrained), weights(tmp_path / "run")

    def changed(prefix):
        names = [n for n in before if n.startswith(prefix) and n in after]
        assert names
        # A kernel behind a gamma of 0 waits; BN's averages move at once.
        return not all(np.array_equal(before[n], after[n]) for n in names)

    assert [changed(stage) for stage in STAGES] == [
        number > block for number in range(5)
    ]


def test_a_planted_leak_of_the_probe_is_left_out(go, pretrained, tmp_path):
    """The probe saw every label: a few-label head must not start from it."""
    probe = weights(pretrained)["linear_head:kernel"]
    assert np.abs(probe).max() > 0.005  # the leak is there to be found
    status = go(
        "--labels_per_class=2",
        "--train_steps=1",
        "--learning_rate=1e-9",
        "--mode=train_then_eval",
    )
    assert status == 0, go.err
    head = weights(tmp_path / "run")["linear_head:kernel"]
    assert np.abs(head).max() < 1e-6  # from zero, one step of 1e-9
    assert "2 variables, the linear head of its own task" in go.out
    result = json.loads((tmp_path / "run" / "result.json").read_text())
    subset = result["label_subset"]
    assert subset["num_examples"] == 20 and len(set(subset["ids"])) == 20
    assert subset["counts"] == [2] * 10


@pytest.mark.slow
def test_the_probe_is_restored_where_it_is_asked_for(go, pretrained, tmp_path):
    status = go(
        "--restore_linear_head", "--train_steps=1", "--learning_rate=1e-9"
    )
    assert status == 0, go.err
    np.testing.assert_allclose(
        weights(tmp_path / "run")["linear_head:kernel"],
        weights(pretrained)["linear_head:kernel"],
        atol=1e-6,
    )


def test_ten_classes_to_five(go, tmp_path):
    status = go("--dataset=five_kinds", "--eval_split=test", "--train_steps=1")
    assert status == 0, go.err
    assert weights(tmp_path / "run")["linear_head:bias"].shape == (5,)
    # With its head by name, it cannot.
    status = go(
        "--dataset=five_kinds",
        "--eval_split=test",
        "--train_steps=1",
        "--restore_linear_head",
        model_dir="other",
    )
    assert status == 2
    assert "linear_head:bias has shape (10,), not (5,)" in go.err


@pytest.mark.slow
def test_a_thousand_classes_to_ten(go, tmp_path, data_dir):
    many = str(tmp_path / "tfds")
    write_tfds(
        "many_kinds",
        many,
        num_classes=1000,
        splits={"train": 40},
        image_shape=(16, 16, 3),
    )
    start = tmp_path / "start"
    arguments = ("--dataset=many_kinds", "--image_size=16", "--train_steps=1")
    places = (f"--data_dir={many}", f"--model_dir={start}")
    assert run.main(["run.py", *WIDTH, *SHORT, *arguments, *places]) == 0
    assert weights(start)["linear_head:bias"].shape == (1000,)
    ten = ("--dataset=cifar10", f"--data_dir={data_dir}", "--train_steps=1")
    assert go(*ten, checkpoint=start) == 0, go.err
    assert weights(tmp_path / "run")["linear_head:bias"].shape == (10,)


@pytest.mark.slow
def test_selector_takes_projection_layers_along(go, pretrained, tmp_path):
    status = go("--ft_proj_selector=1", "--train_steps=2")
    assert status == 0, go.err
    before, after = weights(pretrained), weights(tmp_path / "run")
    first, second = (f"projection_head:dense{i}:kernel" for i in (1, 2))
    assert not np.array_equal(before[first], after[first])
    np.testing.assert_array_equal(before[second], after[second])


@pytest.mark.parametrize("kind", ["prefix", "saved_model"])
def test_every_kind_of_checkpoint_starts_the_same(
    go, pretrained, tmp_path, kind
):
    places = {"prefix": "ckpt-3", "saved_model": "saved_model/3"}
    status = go(
        "--train_steps=1",
        checkpoint=pretrained / places.get(kind, ""),
    )
    assert status == 0, go.err
    started = json.loads((tmp_path / "run/start_weights.json").read_text())
    encoder = [n for n in weights(pretrained) if n.startswith(STAGES)]
    assert started["restored"] == sorted(encoder) and started["step"] == 3


@pytest.mark.slow
def test_resuming_does_not_need_the_checkpoint_again(go, tmp_path):
    arguments = ("--train_steps=3", "--checkpoint_steps=1")
    assert go(*arguments, model_dir="straight") == 0, go.err
    assert go(*arguments) == 0, go.err
    for name in ("ckpt-3.index", "ckpt-3.data-00000-of-00001"):
        (tmp_path / "run" / name).unlink()
    assert go(*arguments) == 0, go.err
    assert "Continuing from" in go.out and "Weights from" not in go.out
    straight, resumed = (
        weights(tmp_path / "straight"),
        weights(tmp_path / "run"),
    )
    for name in straight:
        np.testing.assert_array_equal(straight[name], resumed[name], name)


def test_supervised_from_scratch(tmp_path, data_dir, capsys):
    status = run.main(
        [
            "run.py",
            *WIDTH,
            *SHORT,
            "--mode=train_then_eval",
            "--train_mode=supervised",
            "--dataset=cifar10",
            "--image_size=16",
            "--train_steps=4",
            "--log_steps=2",
            "--label_fraction=0.5",
            f"--data_dir={data_dir}",
            f"--model_dir={tmp_path}",
        ]
    )
    out = capsys.readouterr()
    assert status == 0, out.err
    assert "classifier from scratch: top-1" in out.out
    lines = (tmp_path / "metrics.jsonl").read_text().splitlines()
    assert "train/supervised_loss" in json.loads(lines[0])
    assert "train/contrast_loss" not in json.loads(lines[0])


def truncate(folder):
    path = folder / "ckpt-3.data-00000-of-00001"
    path.write_bytes(path.read_bytes()[:1000])


def rewrite(folder, change):
    path = folder / "config.json"
    saved = json.loads(path.read_text())
    change(saved)
    path.write_text(json.dumps(saved))


@pytest.mark.parametrize(
    "spoil, told",
    [
        (truncate, "cannot be read: it is truncated or corrupt"),
        (lambda f: (f / "config.json").unlink(), "not of a run of ours"),
        (
            lambda f: rewrite(
                f,
                lambda s: s["config"]["model"].update(width_multiplier=0.25),
            ),
            "does not fit the model: ",
        ),
        (
            lambda f: rewrite(
                f, lambda s: s["config"]["model"].update(resnet_depth=18)
            ),
            "is not in it",
        ),
        (
            lambda f: [p.unlink() for p in f.glob("ckpt*")],
            "holds no checkpoint",
        ),
        (shutil.rmtree, "does not exist"),
    ],
    ids=["truncated", "unrelated", "width", "depth", "empty", "absent"],
)
def test_a_checkpoint_that_does_not_fit_costs_one_line(
    go, pretrained, tmp_path, spoil, told
):
    copy = tmp_path / "copy"
    shutil.copytree(pretrained, copy)
    spoil(copy)
    assert go("--train_steps=1", checkpoint=copy) == 2
    assert told in go.err and "--checkpoint" in go.err
    assert len(go.err.strip().splitlines()) == 1
    assert not list(tmp_path.glob("run/ckpt*"))


@pytest.mark.parametrize(
    "flag, told",
    [
        ("--width_multiplier=1", "whose encoder has width_multiplier=0.125"),
        ("--resnet_depth=50", "whose encoder has resnet_depth=10"),
        ("--image_size=64", "trained at 16 px"),
        ("--labels_per_class=9", "--labels_per_class=9"),
        ("--train_mode=supervised", "is not for --train_mode=supervised"),
    ],
)
def test_a_flag_against_the_checkpoint_costs_one_line(go, flag, told):
    assert go("--train_steps=1", flag) == 2
    assert told in go.err and len(go.err.strip().splitlines()) == 1


def test_a_thawed_weight_is_found_at_the_end(go, tmp_path, monkeypatch):
    """Planted: something changes a frozen weight during training."""
    from simclr_tf.train.supervised import SupervisedTrainer

    ends = SupervisedTrainer.train_loop_end

    def thaw(self):
        stem = self._model.encoder.variables[0]
        stem.assign_add(tf.ones_like(stem) * 1e-6)
        return ends(self)

    monkeypatch.setattr(SupervisedTrainer, "train_loop_end", thaw)
    assert go("--fine_tune_after_block=4", "--train_steps=1") == 3
    assert "frozen part of the network" in go.err
