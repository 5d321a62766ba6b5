"""The front door for notebooks, with a run of two steps."""

import json
import pathlib
import re

import numpy as np
import pytest
import tensorflow as tf

import run
import simclr_tf
from simclr_tf.augment import geometry
from simclr_tf.augment.policy import Policy
from simclr_tf.build import views as build_views
from simclr_tf.data import pipeline
from simclr_tf.errors import UserError

PAGE = pathlib.Path(__file__).parents[1] / "docs" / "notebook.md"
SIZE = 16


def train(folder, name, *options):
    status = run.main(
        [
            "run.py",
            "--mode=train",
            f"--data_dir={folder / 'tfds'}",
            f"--model_dir={folder / 'runs' / name}",
            "--resnet_depth=10",
            "--width_multiplier=0.125",
            "--train_batch_size=32",
            "--train_steps=2",
            "--warmup_epochs=0",
            *options,
        ]
    )
    assert status == 0
    return folder / "runs" / name


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("notebook")


@pytest.fixture(scope="module")
def digits(folder):
    return train(folder, "digits", "--mixed_precision=bfloat16")


@pytest.fixture(scope="module")
def encoder(digits):
    return simclr_tf.load(digits)


@pytest.fixture
def images(rng):
    return rng.integers(0, 256, size=[6, SIZE, SIZE, 3], dtype=np.uint8)


def test_what_an_encoder_says_of_itself(encoder, digits):
    assert encoder.image_size == SIZE
    assert encoder.step == 2
    assert encoder.path == str(digits / "ckpt-2")
    assert encoder.class_names == tuple("0123456789")
    assert encoder.config["model"]["resnet_depth"] == 10
    json.dumps(encoder.config)
    text = repr(encoder)
    for part in ("ResNet-10", "0.125x", "step 2", "16x16 -> 64"):
        assert part in text


def test_a_run_a_checkpoint_and_a_saved_model_are_one_encoder(
    encoder, digits, images
):
    want = encoder(images)
    assert np.std(want) > 0
    for path in (str(digits / "ckpt-2"), digits / "saved_model" / "2"):
        other = simclr_tf.load(path)
        np.testing.assert_array_equal(other(images), want)
        assert other.class_names == encoder.class_names
        assert other.config == encoder.config
        assert (other.step, other.image_size) == (2, SIZE)


def test_it_computes_in_float32_whatever_the_run_did(encoder, images):
    dtypes = {
        layer.compute_dtype
        for layer in encoder.model.submodules
        if hasattr(layer, "compute_dtype")
    }
    assert dtypes == {"float32"}
    assert encoder(images).dtype == np.float32


def test_uint8_and_floats_are_the_same_images(encoder, images):
    want = encoder(images)
    assert isinstance(want, np.ndarray)
    assert want.shape == (6, 64)
    for floats in (np.float32, np.float64):
        got = encoder((images / 255).astype(floats))
        np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-6)
    model = encoder.model(np.float32(images / 255))
    np.testing.assert_allclose(model.features, want, rtol=1e-4, atol=1e-6)


def test_a_tensor_gives_a_tensor_with_gradients_and_in_graphs(encoder, images):
    floats = tf.constant(images / 255, tf.float32)
    with tf.GradientTape() as tape:
        tape.watch(floats)
        features = encoder(floats)
    assert tf.is_tensor(features)
    assert np.any(tape.gradient(features, floats))
    for given in (floats, tf.constant(images)):
        in_graph = tf.function(encoder)(given)
        np.testing.assert_allclose(in_graph, features, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    ("change", "kind", "said"),
    [
        (lambda x: x[0], ValueError, r"\[n, 16, 16, 3\]; received \(16, 16"),
        (lambda x: x[:0], ValueError, "images is empty"),
        (lambda x: x[:, :8], ValueError, "`prepare` crops and resizes"),
        (lambda x: x.astype(np.int64), TypeError, "received int64"),
        (lambda x: x.astype(np.float32), ValueError, "to 255. Divide by 255"),
        (lambda x: x / 255 - 0.5, ValueError, "floats must be in"),
        (lambda x: x * np.nan, ValueError, "from nan to nan"),
    ],
)
def test_other_images_are_refused(encoder, images, change, kind, said):
    images[0, 0, 0, 0], images[-1, -1, -1, -1] = 0, 255
    with pytest.raises(kind, match=said):
        encoder(change(images))


def test_the_linear_head_comes_with_it(encoder, digits, images):
    saved = tf.saved_model.load(str(digits / "saved_model" / "2"))
    floats = tf.image.convert_image_dtype(images, tf.float32)
    np.testing.assert_allclose(
        encoder.model(floats).logits,
        saved(floats)["logits"],
        rtol=1e-4,
        atol=1e-6,
    )


def test_a_run_without_labels_or_head_is_loaded(folder, images):
    path = train(folder, "bare", "--nolineareval_while_pretraining")
    encoder = simclr_tf.load(path)
    assert encoder.model.linear_head is None
    assert encoder(images).shape == (6, 64)


def test_what_is_no_run_is_the_users_to_mend(tmp_path):
    with pytest.raises(UserError, match="does not exist"):
        simclr_tf.load(tmp_path / "nothing")


def test_prepare_takes_any_size_and_grey(encoder, rng):
    sizes = [(8, 8, 3), (40, 20, 3), (20, 40, 1)]
    given = [rng.integers(0, 256, size=s, dtype=np.uint8) for s in sizes]
    prepared = encoder.prepare(given)
    assert prepared.shape == (3, SIZE, SIZE, 3)
    assert prepared.dtype == np.uint8
    np.testing.assert_array_equal(prepared[2, ..., 0], prepared[2, ..., 1])
    same = rng.integers(0, 256, size=[2, SIZE, SIZE, 3], dtype=np.uint8)
    whole = simclr_tf.data.from_arrays(same)
    np.testing.assert_array_equal(encoder.prepare(same), encoder.prepare(whole))


def test_prepare_filters_what_it_shrinks_as_the_run_does(
    encoder, rng, monkeypatch
):
    large = rng.integers(
        0, 256, size=[2, 5 * SIZE, 5 * SIZE, 3], dtype=np.uint8
    )
    monkeypatch.setitem(encoder.config["augment"], "antialias", True)
    wanted = [
        geometry.eval_view(
            image, size=SIZE, crop_proportion=0.875, antialias=True
        )
        for image in large
    ]
    np.testing.assert_array_equal(encoder.prepare(large), wanted)


def test_views_are_those_of_training(rng):
    images = rng.integers(0, 256, size=[6, 20, 24, 3], dtype=np.uint8)
    source = simclr_tf.data.from_arrays(images)
    policy = Policy(SIZE, color_jitter_strength=0.5)
    [batch] = pipeline.training_batches(
        source,
        seed=7,
        start_step=1,  # epoch 1
        global_batch_size=6,
        per_replica_batch_size=6,
        draw=build_views.draw_of(policy, 7),
        view=build_views.view_of(policy),
        num_views=2,
        on_batch=build_views.color_of_batch(policy, 2),
    ).take(1)
    found = simclr_tf.views(
        source, image_size=SIZE, seed=7, epoch=1, color_jitter_strength=0.5
    )
    assert found.shape == (2, 6, SIZE, SIZE, 3)
    assert found.dtype == np.float32
    order = batch["id"].numpy()
    for i in range(2):
        np.testing.assert_allclose(
            found[i][order], batch[f"images_{i}"], atol=1e-5
        )


def test_views_are_a_function_of_the_seed(images):
    def views(**options):
        return simclr_tf.views(images, image_size=8, **options)

    first = views(seed=1)
    assert first.min() >= 0 and first.max() <= 1
    np.testing.assert_array_equal(first, views(seed=1))
    np.testing.assert_allclose(first[:, :2], views(seed=1, count=2), atol=1e-6)
    assert views(count=99).shape[1] == len(images)
    with pytest.raises(ValueError, match="count must be at least 1"):
        views(count=0)
    for other in (views(seed=2), views(seed=1, epoch=1), first[::-1]):
        assert np.abs(first - other).max() > 0.1


def test_views_take_what_a_policy_takes(images):
    plain = simclr_tf.views(
        images,
        image_size=SIZE,
        crop=False,
        flip=False,
        color=False,
        use_blur=False,
    )
    for view in plain:
        np.testing.assert_allclose(view, images / 255, atol=1e-6)
    with pytest.raises(TypeError, match="sharpness"):
        simclr_tf.views(images, image_size=SIZE, sharpness=2)


def test_the_page_runs_as_printed(digits, folder, monkeypatch, capsys):
    del digits
    monkeypatch.chdir(folder)
    [code] = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    names = {}
    exec(compile(code, str(PAGE), "exec"), names)
    assert names["first"].shape == names["second"].shape == (8, 16, 16, 3)
    assert names["features"].shape == (1797, 64)
    # One in ten is chance; two steps and a random start do better.
    assert names["accuracy"] > 0.5
    assert re.search(r"^\d+\.\d% of the test", capsys.readouterr().out, re.M)
