"""Weights from strangers: numbers and names, never a program."""

import json
import os
import pathlib
import time

import numpy as np
import pytest
import tensorflow as tf

from simclr_tf import files
from simclr_tf.build import inheritance, network
from simclr_tf.config import resolve, roles
from simclr_tf.convert import saved_model
from simclr_tf.errors import UserError
from simclr_tf.jobs import requests, table
from simclr_tf.run_files import (
    checkpoints,
    loading,
    places,
    weights_location,
)

GIVEN = {
    "resnet_depth": 10,
    "width_multiplier": 0.1,
    "image_size": 8,
    "proj_out_dim": 5,
}


class WritesAFile(tf.saved_model.experimental.TrackableResource):
    """Does on loading what its author likes."""

    def __init__(self, path):
        super().__init__()
        self._path = path

    def _create_resource(self):
        return tf.raw_ops.MutableHashTableV2(
            key_dtype=tf.string, value_dtype=tf.int64
        )

    def _initialize(self):
        tf.io.write_file(self._path, "I was here")


def model_of(config):
    return network.build_model(config, num_classes=3, dtype="float32")


def export(folder, config, *, then=lambda saved: None):
    """An export of a run, with what a stranger adds."""
    model = model_of(config)
    honest = saved_model.reusable

    def reusable(model, **options):
        saved, inference = honest(model, **options)
        then(saved)
        return saved, inference

    saved_model.reusable = reusable
    try:
        path = saved_model.export(
            model,
            str(folder),
            step=7,
            image_size=8,
            keep=1,
            metadata={"config": roles.of_export(config), "global_step": 7},
        )
    finally:
        saved_model.reusable = honest
    return path, model


def test_the_program_of_a_saved_model_is_not_run(tmp_path):
    trace = tmp_path / "trace"

    def hostile(saved):
        saved.evil = WritesAFile(str(trace))

    config = resolve.resolve(GIVEN).config
    path, model = export(tmp_path / "saved_model", config, then=hostile)
    tf.saved_model.load(path)
    assert trace.exists()  # so it would act
    trace.unlink()
    weights = loading.open_weights(path)
    loaded = loading.load(weights, model_of(config), with_linear_head=True)
    inherited = inheritance.of_checkpoint({"checkpoint": path})
    assert not trace.exists()
    assert inherited["resnet_depth"] == 10
    expected = checkpoints.named_variables(model.variables)
    assert weights.values.keys() == expected.keys()
    assert set(loaded.matched) == set(expected)
    for name, variable in expected.items():
        np.testing.assert_array_equal(weights.values[name], variable.numpy())


def test_a_saved_model_of_others_is_named(tmp_path):
    path = str(tmp_path / "other")
    module = tf.Module()
    module.kernel = tf.Variable([1.0])
    tf.saved_model.save(module, path)
    text = json.dumps({"config": {}, "global_step": 1})
    pathlib.Path(path, "simclr_tf.json").write_text(text)
    with pytest.raises(UserError, match="no SavedModel of ours"):
        loading.open_weights(path)


def test_an_empty_saved_model_is_named(tmp_path):
    config = resolve.resolve(GIVEN).config
    path, _ = export(tmp_path / "saved_model", config)
    for file in pathlib.Path(path, "variables").iterdir():
        file.write_bytes(b"")
    with pytest.raises(UserError, match=f"--checkpoint={path} cannot be read"):
        loading.open_weights(path)


@pytest.mark.parametrize(
    "said",
    [
        {"global_step": 1},
        {"config": [], "global_step": 1},
        {"config": {"model": 3}, "global_step": 1},
        {"config": {"model": {"resnet_depth": "50"}}, "global_step": 1},
        {"config": {"model": {"width_multiplier": 1e300}}, "global_step": 1},
        {"config": {"data": {"dataset": "../../etc"}}, "global_step": 1},
        {"config": {"eval": {"eval_name": "../x"}}, "global_step": 1},
        {"config": {"data": {"dataset": "a\x1b[2J"}}, "global_step": 1},
        {"config": {}, "global_step": "7"},
        [],
        None,
    ],
    ids=str,
)
def test_a_description_of_other_things_is_named(tmp_path, said):
    config = resolve.resolve(GIVEN).config
    path, _ = export(tmp_path / "saved_model", config)
    pathlib.Path(path, "simclr_tf.json").write_text(json.dumps(said))
    for opened in (
        lambda: loading.open_weights(path),
        lambda: inheritance.of_checkpoint({"checkpoint": path}),
    ):
        with pytest.raises(UserError, match=r"simclr_tf\.json") as raised:
            opened()
        assert "\x1b" not in str(raised.value)


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"train_mode": "finetune", "checkpoint": "/private/first/run"},
        {"dataset": "folder"},
    ],
    ids=str,
)
def test_an_export_says_nothing_of_places(tmp_path, given):
    """It is still read back, and decides the architecture."""
    secrets = {
        "model_dir": str(tmp_path / "private"),
        "data_dir": "/private/data",
        "tpu_name": "private-tpu",
        "gcp_project": "private-project",
        "tpu_zone": "private-zone",
        "master": "private-master",
        "eval_name": "private-name",
    }
    config = resolve.resolve({**GIVEN, **secrets, **given}).config
    path, _ = export(tmp_path / "saved_model", config)
    for folder, _, names in os.walk(path):
        for name in names:
            content = pathlib.Path(folder, name).read_bytes()
            for secret in (b"private", str(tmp_path).encode()):
                assert secret not in content, name
    weights = loading.open_weights(path)
    assert weights.config.model == config.model
    inherited = inheritance.of_checkpoint({"checkpoint": path})
    assert inherited["dataset"] == config.data.dataset
    assert "data_dir" not in inherited


def test_a_pickle_in_an_npz_is_refused(tmp_path):
    class Acts:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "acted"),)

    path = tmp_path / "features.npz"
    np.savez(path, values=np.array([Acts()], object))
    with pytest.raises(UserError, match=r"features\.npz"):
        files.read_npz(str(path))
    assert not (tmp_path / "acted").exists()


@pytest.mark.parametrize(
    "place", ["foo://x", "http://a.b/c", "gs://", "s3://b"]
)
def test_places_that_nobody_knows_are_named(place):
    with pytest.raises(UserError, match=f"--data_dir={place} cannot be") as it:
        places.require_reachable("data_dir", place)
    assert len(str(it.value).splitlines()) == 1


def test_a_store_that_does_not_answer_is_given_up(monkeypatch):
    monkeypatch.setattr(places.gfile, "exists", lambda path: time.sleep(5))
    started = time.monotonic()
    with pytest.raises(UserError, match="--model_dir=gs://b/x did not answer"):
        places.require_reachable("model_dir", "gs://b/x", patience_seconds=0.2)
    assert time.monotonic() - started < 2


@pytest.mark.parametrize(
    ("name", "is_found"),
    [
        ("[2024] cats", False),
        ("RUN[1]", False),
        ("back\\slash", False),
        ("a[b", True),
        ("a]b", True),
        ("what? * {1} 50% ü, all", True),
    ],
)
def test_where_no_checkpoint_would_be_found_is_refused(
    tmp_path, name, is_found
):
    """As TensorFlow reads what it wrote there."""
    variable = tf.Variable([1.0])
    path = tf.train.Checkpoint(v=variable).write(str(tmp_path / name / "c"))
    try:
        tf.compat.v1.train.NewCheckpointReader(path)
        found = True
    except (tf.errors.OpError, ValueError, RuntimeError):
        found = False
    assert found is is_found
    try:
        places.require_no_pattern("model_dir", str(tmp_path / name))
        refused = False
    except UserError as error:
        refused = "--model_dir=" in str(error)
    assert refused is not is_found
    if refused:
        with pytest.raises(UserError, match="pattern"):
            weights_location.locate(path)
        given = {"dataset": "digits", "model_dir": str(tmp_path / name)}
        request = requests.Request(resolve.resolve(given), place=None)
        with pytest.raises(UserError, match="pattern"):
            table.make(request)
        given |= {"mode": "benchmark_input"}  # which saves no checkpoint
        config = resolve.resolve(given).config
        table._require_places(config, roles.job(config))


def test_local_places_and_ram_are_not_waited_for():
    for place in ("runs/x", "/nowhere", "ram://a/b"):
        places.require_reachable("model_dir", place)


@pytest.mark.parametrize(
    ("place", "run"),
    [("RUN/saved_model/7", "RUN"), ("RUN/exports/mine", "RUN"), ("MINE", None)],
)
def test_results_go_into_a_run_and_into_nothing_else(tmp_path, place, run):
    """Two folders above an export that came from elsewhere is anywhere."""
    path = tmp_path / place
    path.mkdir(parents=True)
    (path / "saved_model.pb").write_text("")
    given = {"mode": "evaluate", "protocol": "knn", "checkpoint": str(path)}
    config = resolve.resolve(given).config
    if run:
        folder = loading.results_folder(config, "evaluations")
        assert folder == str(tmp_path / run / "evaluations")
        return
    with pytest.raises(UserError, match="is an export, and no run"):
        loading.results_folder(config, "evaluations")
    asked = resolve.overlay(config, {"model_dir": str(tmp_path / "R")})
    assert loading.results_folder(asked, "x") == str(tmp_path / "R")
