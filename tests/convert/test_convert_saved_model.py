"""Exports: float32 whatever the run computed in, and described beside."""

import json
import pathlib

import numpy as np
import pytest
import tensorflow as tf

import run
from simclr_tf.build import network
from simclr_tf.convert import saved_model
from simclr_tf.models import build_simclr, resnet
from simclr_tf.run_files import loading

SIZE, CLASSES = 8, ("cat", "dog", "owl")
HALVES = ("DT_BFLOAT16", "DT_HALF")


def model_of(dtype, num_classes=3):
    encoder = resnet(depth=10, width=0.1, image_size=SIZE, dtype=dtype, seed=3)
    return build_simclr(encoder, proj_out_dim=5, num_classes=num_classes)


def export(model, folder, **options):
    settings = {"step": 7, "image_size": SIZE, "keep": 2, "metadata": {"a": 1}}
    return saved_model.export(model, str(folder), **{**settings, **options})


def described(path):
    return json.loads((pathlib.Path(path) / "simclr_tf.json").read_text())


def halves_in(function):
    """Types of 16 bits in the graph of a function and of its inner ones."""
    text = str(function.graph.as_graph_def())
    return [name for name in HALVES if name in text]


@pytest.mark.parametrize(
    ("dtype", "name"), [("bfloat16", "DT_BFLOAT16"), ("float16", "DT_HALF")]
)
def test_a_half_is_seen_in_an_inner_function(dtype, name):
    @tf.function(input_signature=[tf.TensorSpec([2])])
    def outer(x):
        return inner(x)

    @tf.function
    def inner(x):
        return tf.cast(tf.cast(x, dtype), tf.float32)

    assert halves_in(outer.get_concrete_function()) == [name]


def test_an_export_is_what_the_model_says(rng, tmp_path):
    model = model_of("float32")
    images = rng.uniform(size=[4, SIZE, SIZE, 3]).astype("float32")
    want = model(images)
    path = export(model, tmp_path)
    assert path == str(tmp_path / "7")
    loaded = tf.saved_model.load(path)
    served = loaded.signatures["serving_default"]
    for outputs in (loaded(images), served(images=tf.constant(images))):
        for name, value in outputs.items():
            np.testing.assert_allclose(
                value, getattr(want, name), rtol=1e-4, atol=1e-5
            )
    assert not halves_in(served)
    assert not halves_in(loaded.__call__.concrete_functions[1])


@pytest.mark.parametrize(
    "mixed_precision",
    ["bfloat16", pytest.param("float16", marks=pytest.mark.slow)],
)
def test_a_runs_export_is_float32_whatever_it_trains_in(
    rng, tmp_path, mixed_precision
):
    status = run.main(
        [
            "run.py",
            "--mode=train",
            f"--data_dir={tmp_path / 'tfds'}",
            f"--model_dir={tmp_path / 'run'}",
            f"--mixed_precision={mixed_precision}",
            "--resnet_depth=10",
            "--width_multiplier=0.1",
            f"--image_size={SIZE}",
            "--train_batch_size=32",
            "--train_steps=1",
            "--warmup_epochs=0",
        ]
    )
    assert status == 0
    path = tmp_path / "run" / "saved_model" / "1"
    loaded = tf.saved_model.load(str(path))
    assert not halves_in(loaded.signatures["serving_default"])
    weights = loading.open_weights(str(tmp_path / "run" / "ckpt-1"))
    exact = network.build_model(weights.config, num_classes=10, dtype="float32")
    loading.load(weights, exact, with_linear_head=True)
    images = rng.uniform(size=[4, SIZE, SIZE, 3]).astype("float32")
    for name, value in loaded(images).items():
        want = getattr(exact(images), name)
        np.testing.assert_allclose(value, want, rtol=1e-4, atol=1e-5)
    assert described(path)["class_names"] == [str(k) for k in range(10)]


@pytest.mark.parametrize("dtype", ["mixed_bfloat16", "mixed_float16"])
def test_a_model_of_another_precision_is_refused(tmp_path, dtype):
    with pytest.raises(ValueError, match=f"computes in {dtype[6:]}"):
        export(model_of(dtype), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_the_file_beside_says_what_the_weights_are(tmp_path):
    path = export(model_of("float32"), tmp_path, class_names=CLASSES)
    assert described(path) == {
        "a": 1,
        "images": "float32[N, 8, 8, 3], RGB, in [0, 1]; no normalisation",
        "class_names": list(CLASSES),
    }


def test_without_logits_or_names_there_are_no_class_names(tmp_path):
    path = export(model_of("float32", None), tmp_path, class_names=CLASSES)
    assert described(path)["class_names"] is None
    path = export(model_of("float32"), tmp_path, step=8)
    assert described(path)["class_names"] is None


def test_as_many_class_names_as_classes(tmp_path):
    with pytest.raises(ValueError, match=r"must be 3.*received 2"):
        export(model_of("float32"), tmp_path, class_names=CLASSES[:2])


def test_older_exports_go(tmp_path):
    for step in (7, 8, 9):
        export(model_of("float32"), tmp_path, step=step)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["8", "9"]
