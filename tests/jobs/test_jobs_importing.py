"""--mode=import: official weights as a run, and jobs that go on from it."""

import json
import pathlib
import shutil

import numpy as np
import pytest
import tensorflow as tf

import run
from simclr_tf.run_files import checkpoints
from tests.official import tf1_files as tf1

HEAD = tf1.projection([64, 64, 16])
PLAIN = tf1.encoder() | HEAD | tf1.linear()
AVERAGES = tf1.encoder(seed=5, prefix="ema_model/")
ALL = tf1.momentum(PLAIN) | AVERAGES

EXACT = ("--mixed_precision=none", "--keep_hub_module_max=0")
SHORT = ("--train_steps=1", "--train_batch_size=8", "--warmup_epochs=0")


def go(*arguments):
    return run.main(["run.py", *arguments])


def importing(source, folder, *more):
    flags = (f"--checkpoint={source}", f"--model_dir={folder}")
    return go("--mode=import", *flags, *more)


def record_of(folder):
    return json.loads(pathlib.Path(folder, "import.json").read_text())


def expect_weights(values, variables, prefix=""):
    """The encoder's, as the official code numbers its layers."""
    for i, layer in enumerate(tf1.ORDER):
        number = f"_{i}" if i else ""
        np.testing.assert_array_equal(
            values[f"{layer.format('conv')}:kernel"],
            variables[f"{prefix}base_model/conv2d{number}/kernel"],
        )


def test_every_variable_is_written_or_named(tmp_path, capsys):
    source, folder = tmp_path / "private" / "official", tmp_path / "run"
    tf1.write(source, ALL)
    assert importing(source, folder) == 0, capsys.readouterr().err
    record = record_of(folder)
    used, left = set(record["used"].values()), record["left_out"]
    assert used | left.keys() == set(ALL)
    assert not used & left.keys()
    assert used == set(tf1.encoder() | HEAD)
    assert (
        "--restore_linear_head"
        in left["head_supervised/linear_layer/dense/bias"]
    )
    assert "--ema_weights" in left["ema_model/base_model/conv2d_3/kernel"]
    assert "optimizer" in left["base_model/conv2d/kernel/Momentum"]
    assert record["format"] == "TF1 checkpoint"
    assert record["source"] == "model.ckpt-77"
    assert set(record["check"]["errors"].values()) == {0.0}
    assert "private" not in (folder / "import.json").read_text()
    values = checkpoints.read(f"{folder}/ckpt-77")
    assert values.keys() == record["used"].keys()
    expect_weights(values, ALL)
    kernel = HEAD["head_contrastive/nl_2/dense/kernel"]
    np.testing.assert_array_equal(
        values["projection_head:dense3:kernel"], kernel
    )
    assert not (folder / "owner.json").exists()


@pytest.mark.slow
def test_what_is_refused_costs_one_line(tmp_path, capsys):
    source, folder = tmp_path / "official", tmp_path / "run"
    tf1.write(source, ALL)
    other = tmp_path / "other"
    tf1.write(other, tf1.encoder(seed=9))
    assert importing(source, folder) == 0
    before = (folder / "import.json").read_bytes()
    capsys.readouterr()
    for arguments, said in (
        (("--mode=import", f"--checkpoint={source}"), "needs --model_dir"),
        (("import", source, source), "holds official weights as they are"),
        (("import", folder, tmp_path / "n"), "is of ours"),
        (("import", other, folder), "other imported weights"),
        (("import", source, folder, "--ema_weights"), "other imported weights"),
        (("import", source, folder, "--image_size=24"), "--image_size=24"),
        (("import", tmp_path / "none", folder), "does not exist"),
        (
            ("import", source, tmp_path / "n", "--restore_linear_head"),
            "--ft_proj_selector=0|1|2",
        ),
        (
            ("--mode=eval", f"--model_dir={folder}"),
            f"--mode=evaluate --checkpoint={folder}",
        ),
        ((*SHORT, f"--model_dir={folder}"), "holds another run"),
    ):
        is_import = arguments[0] == "import"
        made = importing(*arguments[1:]) if is_import else go(*arguments)
        err = capsys.readouterr().err
        assert made == 2, arguments
        assert said in err, err
        assert len(err.strip().splitlines()) == 1, err
    assert not (tmp_path / "n").exists()
    assert (folder / "import.json").read_bytes() == before
    # A run that was trained is no place for weights either.
    config = json.loads((folder / "config.json").read_text())
    del config["data"]["imported"]
    (folder / "config.json").write_text(json.dumps(config))
    assert importing(source, folder) == 2
    assert "holds another run" in capsys.readouterr().err


def _harm(folder, what):
    """What a kill at some moment, or the disk, leaves."""
    data = folder / "ckpt-77.data-00000-of-00001"
    if what in ("claimed", "half"):
        (folder / "ckpt-77.index").unlink()
        (folder / "checkpoint").unlink()
    if what == "claimed":
        data.unlink()
    if what == "damaged":
        data.write_bytes(data.read_bytes()[:1000])
        return
    (folder / "import.json").unlink()


@pytest.mark.slow
def test_a_second_start_does_what_is_left(tmp_path, capsys):
    """`tests.jobs.test_jobs_cuts` kills it at every write."""
    source, folder = tmp_path / "official", tmp_path / "run"
    tf1.write(source, ALL)
    assert importing(source, folder) == 0
    whole = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert importing(source, folder) == 0
    assert "Imported before, and whole" in capsys.readouterr().out
    for what in ("claimed", "half", "unrecorded", "damaged"):
        _harm(folder, what)
        assert importing(source, folder) == 0
        assert "Imported before" not in capsys.readouterr().out
        found = {path.name: path.read_bytes() for path in folder.iterdir()}
        assert found == whole, what


@pytest.mark.slow
def test_averages_and_heads_on_request(tmp_path, capsys):
    source = tmp_path / "official"
    tf1.write(source, ALL)
    assert importing(source, tmp_path / "ema", "--ema_weights") == 0
    expect_weights(
        checkpoints.read(f"{tmp_path}/ema/ckpt-77"), AVERAGES, "ema_model/"
    )
    assert record_of(tmp_path / "ema")["moving_averages"]
    head = ("--restore_linear_head", "--ft_proj_selector=1")
    folder = tmp_path / "classifier"
    assert importing(source, folder, *head) == 0
    values = checkpoints.read(f"{folder}/ckpt-77")
    np.testing.assert_array_equal(
        values["linear_head:kernel"],
        PLAIN["head_supervised/linear_layer/dense/kernel"],
    )
    capsys.readouterr()
    of = (f"--checkpoint={folder}", "--format=torch")
    assert go("--mode=export", *of) == 0, capsys.readouterr().err
    exported = folder / "exports" / "torch_77"
    assert json.loads((exported / "export.json").read_text())["num_classes"]
    card = (exported / "README.md").read_text()
    assert "google-research/simclr" in card and "pretrained by" not in card


@pytest.mark.slow
def test_ram_stands_for_a_bucket(tmp_path, capsys, monkeypatch):
    """Weights are read from there, and the run is written there."""
    monkeypatch.chdir(tmp_path)
    here = "ram://simclr_tf_import"
    prefix = tf1.write(tmp_path / "official", ALL)
    tf.io.gfile.makedirs(f"{here}/official")
    for path in pathlib.Path(prefix).parent.iterdir():
        tf.io.gfile.copy(str(path), f"{here}/official/{path.name}")
    shutil.rmtree(tmp_path / "official")
    for _ in range(2):
        assert importing(f"{here}/official", f"{here}/run") == 0
    assert "Imported before" in capsys.readouterr().out
    expect_weights(checkpoints.read(f"{here}/run/ckpt-77"), ALL)
    assert not any(tmp_path.iterdir())
    tf.io.gfile.rmtree(here)


def _outcomes(source, place, data, capsys):
    """What jobs make of weights: numbers that must not depend on their form."""
    found = {}
    of = (f"--checkpoint={source}", *data)
    few = ("--train_split=train[:300]", "--mixed_precision=none")
    test = "--eval_split=test[:100]"
    knn = ("--mode=evaluate", "--protocol=knn", *of, *few, test)
    assert go(*knn, f"--model_dir={place}/knn") == 0
    (path,) = pathlib.Path(place, "knn").glob("knn_*.json")
    found["knn"] = json.loads(path.read_text())["metrics"]
    embed = ("--mode=embed", *of, *few, f"--model_dir={place}/embedded")
    assert go(*embed) == 0
    (path,) = pathlib.Path(place, "embedded").rglob("features.npz")
    with np.load(path) as arrays:
        found["features"] = arrays["features"].tobytes()
    tune = (
        *("--mode=train_then_eval", "--train_mode=finetune"),
        *("--train_split=train[:6000]", "--label_fraction=0.01", test),
        *("--train_steps=2", "--train_batch_size=16", "--warmup_epochs=0"),
    )
    assert go(*tune, *of, *EXACT, f"--model_dir={place}/tuned") == 0
    values = checkpoints.read(f"{place}/tuned/ckpt-2")
    found["tuned"] = {n: v.tobytes() for n, v in values.items()}
    capsys.readouterr()
    on = (*SHORT, *few, *of, "--keep_hub_module_max=0")
    assert go("--train_mode=pretrain", *on, f"--model_dir={place}/on") == 0
    said = capsys.readouterr().out
    assert "The projection head is the checkpoint's." in said
    values = checkpoints.read(f"{place}/on/ckpt-1")
    found["on"] = {n: v.tobytes() for n, v in values.items()}
    return found


@pytest.mark.slow
def test_jobs_take_it_as_they_take_what_it_was_made_from(
    tmp_path, capsys, fashion_mnist_dir
):
    """Nearest neighbours, features, fine-tuning on 1 % of the labels, and
    pretraining that goes on: from official files and from the import, the
    same bits."""
    source, folder = tmp_path / "official", tmp_path / "run"
    tf1.write(source, ALL)
    data = ("--dataset=fashion_mnist", f"--data_dir={fashion_mnist_dir}")
    assert importing(source, folder, *data) == 0
    direct, imported = (
        _outcomes(of, tmp_path / name, data, capsys)
        for of, name in ((source, "a"), (folder, "b"))
    )
    assert direct == imported
