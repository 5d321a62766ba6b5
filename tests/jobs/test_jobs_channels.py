"""Bands of NPY files, and grey of 16 bits, from pretraining to features."""

import json

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

import run
import simclr_tf

TINY = (
    "--dataset=folder",
    "--resnet_depth=10",
    "--width_multiplier=0.125",
    "--image_size=16",
    "--train_batch_size=4",
    "--train_steps=2",
    "--warmup_epochs=0",
    "--mode=train",
)


def go(*arguments):
    return run.main(["run.py", *map(str, arguments)])


def write_bands(root, rng):
    for number in range(12):
        path = root / "ab"[number % 2] / f"{number:02d}.npy"
        path.parent.mkdir(parents=True, exist_ok=True)
        np.save(path, rng.integers(0, 1 << 12, (20, 24, 5)).astype(np.uint16))


def write_grey(root, rng):
    for number in range(12):
        path = root / "ab"[number % 2] / f"{number:02d}.tif"
        path.parent.mkdir(parents=True, exist_ok=True)
        image = rng.integers(900, 1100, (20, 24)).astype(np.uint16)
        Image.fromarray(image).save(path)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("write", "channels"), [(write_bands, 5), (write_grey, 1)]
)
def test_from_pretraining_to_features(write, channels, tmp_path, rng, capsys):
    write(tmp_path / "all", rng)
    there = (f"--data_dir={tmp_path}/all", f"--model_dir={tmp_path}/run")
    more = (f"--num_channels={channels}", "--intensity_range=own")
    assert go(*TINY, *there, *more) == 0
    out = capsys.readouterr().out
    assert "12 of more than 8 bits, in their own range" in out
    assert "no colour distortion (--color_jitter_strength=0)" in out
    assert (tmp_path / "run" / "views.png").exists()
    # The checkpoint says how many channels, and of which range.
    on = (f"--checkpoint={tmp_path}/run", "--eval_batch_size=4")
    scored = ("--mode=evaluate", "--protocol=knn", "--eval_split=train[50%:]")
    assert go(*scored, "--train_split=train[:50%]", *on) == 0
    if channels == 1:
        # What is given away takes one channel, too.
        out = tmp_path / "given"
        assert go("--mode=export", *on[:1], f"--model_dir={out}") == 0
        record = json.loads((out / "export.json").read_text())
        assert record["num_channels"] == channels
        assert "CHANNELS = 1\n" in (out / "preprocess.py").read_text()
        tflite = ("--format=tflite", f"--model_dir={tmp_path}/lite")
        assert go("--mode=export", *on[:1], *tflite) == 0
        assert "Read again by" in capsys.readouterr().out
        return
    assert go("--mode=embed", *on) == 0
    out = capsys.readouterr().out
    assert "shown: bands 1, 2, 3 of 5" in out
    [folder] = (tmp_path / "run" / "embeddings").iterdir()
    assert np.isfinite(np.load(folder / "features.npz")["features"]).all()
    assert (folder / "neighbours.png").exists()
    assert (folder / "map.png").exists()
    # What is exported takes the same channels, and so does a notebook.
    [exported] = (tmp_path / "run" / "saved_model").iterdir()
    images = np.zeros([2, 16, 16, channels], np.float32)
    saved = tf.saved_model.load(str(exported))(images)["features"]
    encoder = simclr_tf.load(tmp_path / "run")
    np.testing.assert_allclose(encoder(images), saved, atol=1e-5)
    raw = np.zeros([2, 30, 20, channels], np.uint8)
    assert encoder.prepare(raw).shape == images.shape
    with pytest.raises(ValueError, match=r"channels|uint8\["):
        encoder.prepare(np.zeros([2, 30, 20, 4], np.uint8))
    status = go("--mode=embed", *on, "--num_channels=3")
    assert status == 2
    assert "--num_channels=3 contradicts" in capsys.readouterr().err
