"""model_dir and pictures on ram://, in one process: it stands for gs://."""

import json

import numpy as np
import pytest
import tensorflow as tf

import run
from tests import image_files

gfile = tf.io.gfile
HERE = "ram://simclr_tf_test"


@pytest.fixture
def photos():
    for number in range(16):
        kind = ("cat", "dog")[number % 2]
        for split in ("train", "val"):
            gfile.makedirs(f"{HERE}/photos/{split}/{kind}")
            with gfile.GFile(
                f"{HERE}/photos/{split}/{kind}/{number}.png", "wb"
            ) as file:
                pixels = image_files.pixels(number, height=24, width=24)
                file.write(image_files.encode(pixels, "PNG"))
    yield f"{HERE}/photos"
    gfile.rmtree(HERE)


def go(photos, *more):
    return run.main(
        [
            "run.py",
            "--dataset=folder",
            f"--data_dir={photos}",
            f"--model_dir={HERE}/run",
            "--resnet_depth=10",
            "--width_multiplier=0.125",
            "--image_size=16",
            "--proj_out_dim=8",
            "--train_batch_size=8",
            "--eval_batch_size=8",
            "--warmup_epochs=0",
            "--train_steps=4",
            "--checkpoint_steps=2",
            *more,
        ]
    )


@pytest.mark.slow
def test_a_run_and_its_pictures_need_no_local_file(
    photos, capsys, monkeypatch, tmp_path
):
    monkeypatch.chdir(tmp_path)
    scored = (
        "--mode=train_then_eval",
        "--linear_eval_labels=4",
        "--linear_eval_draws=1",
    )
    status = go(photos, *scored)
    assert status == 0, capsys.readouterr().err
    names = set(gfile.listdir(f"{HERE}/run"))
    for name in ("config.json", "metrics.jsonl", "result.json", "views.png"):
        assert name in names
    assert {"ckpt-2.index", "ckpt-4.index"} <= names
    assert not any(".tmp" in name for name in names)
    with gfile.GFile(f"{HERE}/run/result.json") as file:
        result = json.loads(file.read())
    assert result["eval/num_examples"] == 16
    loaded = tf.saved_model.load(f"{HERE}/run/saved_model/4")
    features = loaded(tf.zeros([1, 16, 16, 3]))["features"]
    assert np.isfinite(features).all()

    # The same command again finds it finished; without its last checkpoint,
    # training goes on from the one before.
    assert go(photos, *scored) == 0
    assert "Training is finished: step 4" in capsys.readouterr().out
    for name in names:
        if name.startswith("ckpt-4"):
            gfile.remove(f"{HERE}/run/{name}")
    assert go(photos) == 0
    assert "step 2." in capsys.readouterr().out
    assert gfile.exists(f"{HERE}/run/ckpt-4.index")

    assert run.main(["run.py", "--mode=eval", f"--model_dir={HERE}/run"]) == 0
    assert list(tmp_path.iterdir()) == []
