"""Jobs that start from official weights, and training that goes on."""

import json
import pathlib
import shutil

import numpy as np
import pytest

import run
from simclr_tf import hashing
from simclr_tf.build import network
from simclr_tf.run_files import checkpoints, loading
from tests.official import tf1_files as tf1
from tests.processes import assert_same_bits, state

SHORT = (
    "--train_split=train[:64]",
    "--train_batch_size=16",
    "--warmup_epochs=0",
    "--mixed_precision=none",
    "--keep_hub_module_max=0",
)


def go(*arguments):
    return run.main(["run.py", *arguments])


def training(source, folder, *more):
    flags = (f"--checkpoint={source}", f"--model_dir={folder}")
    return go(*SHORT, *flags, *more)


@pytest.mark.slow
def test_scored_embedded_and_tuned_as_they_are(tmp_path, capsys):
    """On digits; the folder holds nothing but the official files."""
    variables = tf1.encoder() | tf1.projection([64, 64, 16]) | tf1.linear()
    source = tmp_path / "official"
    tf1.write(source, tf1.momentum(variables))
    of = f"--checkpoint={source}"
    knn = ("--mode=evaluate", "--protocol=knn", of)
    embed = ("--mode=embed", of, "--train_split=train[:64]")
    assert go(*knn) == 2
    assert "Give --model_dir." in capsys.readouterr().err
    few = ("--train_split=train[:200]", "--eval_split=test[:100]")
    assert go(*knn, *few, f"--model_dir={tmp_path / 'knn'}") == 0
    out = capsys.readouterr().out
    assert "Official TF1 weights: ResNet-10 (0.125x), CIFAR stem" in out
    (record,) = (tmp_path / "knn").glob("knn_*.json")
    assert json.loads(record.read_text())
    assert go(*embed, f"--model_dir={tmp_path / 'embedded'}") == 0
    assert any((tmp_path / "embedded").iterdir())
    tune = ("--train_mode=finetune", "--train_steps=2")
    assert training(source, tmp_path / "tuned", *tune) == 0
    capsys.readouterr()
    assert training(source, tmp_path / "n", *tune, "--restore_linear_head") == 2
    assert "--ft_proj_selector=0|1|2" in capsys.readouterr().err


@pytest.mark.slow
def test_pretraining_goes_on_from_weights(tmp_path, capsys):
    """At this rate, two steps leave every bit of the weights as it was."""
    source = tmp_path / "official"
    head = tf1.projection([64, 16])
    path = tf1.write(source, tf1.encoder() | head)
    still = ("--train_steps=2", "--learning_rate=1e-30", "--weight_decay=0")
    first, second = tmp_path / "first", tmp_path / "second"
    assert training(path, first, *still) == 0
    assert "The projection head is the checkpoint's." in capsys.readouterr().out
    mine = checkpoints.read(f"{first}/ckpt-2")
    for i, layer in enumerate(tf1.ORDER):
        number = f"_{i}" if i else ""
        np.testing.assert_array_equal(
            mine[f"{layer.format('conv')}:kernel"],
            tf1.encoder()[f"base_model/conv2d{number}/kernel"],
        )
    np.testing.assert_array_equal(
        mine["projection_head:dense1:kernel"],
        head["head_contrastive/nl_0/dense/kernel"],
    )
    # From ours, with another projection head, for two schedules' steps.
    on = (
        *("--train_steps=4", "--checkpoint_steps=2", "--learning_rate=0.1"),
        *("--proj_out_dim=24", "--keep_checkpoint_max=9"),
    )
    assert training(first, second, *on) == 0
    assert "The projection head is new" in capsys.readouterr().out
    origin = json.loads((second / "start_weights.json").read_text())
    assert origin["checkpoint"] == f"{first}/ckpt-2"
    weights = loading.open_weights(str(first))
    model = network.build_model(
        weights.config, num_classes=None, dtype="float32"
    )
    loading.load(weights, model)
    found = hashing.variables_sha256(model.encoder.variables)
    assert origin["encoder_sha256"] == found
    whole = state(second, 4)
    for file in pathlib.Path(second).glob("ckpt-4.*"):
        file.unlink()
    shutil.rmtree(second / "saved_model", ignore_errors=True)
    assert training(first, second, *on) == 0
    said = capsys.readouterr().out
    assert f"Continuing from {second}/ckpt-2, step 2." in said
    assert "Weights from" not in said
    assert_same_bits(state(second, 4), whole)
    assert training(first, second, *on) == 0
    assert f"--checkpoint={second} and a new" in capsys.readouterr().out
