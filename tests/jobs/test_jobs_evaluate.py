"""--mode=evaluate and --mode=embed through run.py."""

import json

import numpy as np
import pytest
import tensorflow as tf

import run
from simclr_tf.evaluation import records
from simclr_tf.evaluation.fitted import mlp
from simclr_tf.run_files import owner
from tests.tiny_datasets import write_tfds

SHORT = ("--eval_batch_size=32",)


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    folder = str(tmp_path_factory.mktemp("tfds"))
    write_tfds(
        "cifar10",
        folder,
        splits={"train": 200, "test": 60},
        image_shape=(16, 16, 3),
    )
    return folder


@pytest.fixture(scope="module")
def pretrained(data_dir, tmp_path_factory):
    folder = tmp_path_factory.mktemp("pretrained")
    arguments = (
        "--dataset=cifar10",
        "--image_size=16",
        "--resnet_depth=10",
        "--width_multiplier=0.125",
        "--train_batch_size=32",
        "--warmup_epochs=0",
        "--train_steps=2",
        "--keep_hub_module_max=0",
        f"--data_dir={data_dir}",
        f"--model_dir={folder}",
    )
    assert run.main(["run.py", *arguments]) == 0
    return folder


@pytest.fixture
def go(pretrained, capsys):
    def call(*arguments):
        status = run.main(
            ["run.py", *SHORT, f"--checkpoint={pretrained}", *arguments]
        )
        out = capsys.readouterr()
        call.out, call.err = out.out, out.err
        return status

    return call


def newest(folder, pattern):
    """Names end in a hash of all that they depend on."""
    return max(folder.glob(pattern), key=lambda path: path.stat().st_mtime_ns)


def record(pretrained, name):
    path = newest(pretrained / "evaluations", f"{name}_??????????.json")
    records.read(str(path))
    return json.loads(path.read_text()), path.with_suffix(".npz")


@pytest.mark.parametrize(
    "flags, name",
    [
        ((), "knn_cifar10"),
        (("--encoder=random",), "knn_cifar10_random"),
        (("--encoder=pixels",), "knn_cifar10_pixels"),
    ],
)
def test_knn_of_every_encoder(go, pretrained, flags, name):
    assert go("--mode=evaluate", "--protocol=knn", *flags) == 0, go.err
    made, predictions = record(pretrained, name)
    assert set(made["metrics"]) >= {"k20/top_1", "k200/top_1"}
    best = made["metrics"]["k20/top_1"]
    # The tiny classes differ in colour: pixels alone tell them apart.
    assert 0.2 < best["low"] <= best["value"] <= best["high"] <= 1
    assert made["splits"]["test"]["num_examples"] == 60
    assert made["encoder_sha256_before"] == made["encoder_sha256_after"]
    kept = np.load(predictions)
    right = (kept["predictions"] == kept["labels"]).mean()
    assert right == pytest.approx(best["value"])


def test_logistic_on_few_labels(go, pretrained):
    flags = ("--labels_per_class=5", "--holdout_fraction=0.4")
    assert go("--mode=evaluate", *flags) == 0, go.err
    made, _ = record(pretrained, "logistic_cifar10_5_per_class_draw0")
    assert made["label_subset"]["num_examples"] == 50
    assert made["choices"]["num_validation"] == 20
    assert made["choices"]["l2"] in [p["l2"] for p in made["choices"]["path"]]
    assert "top_1" in go.out


def test_a_given_l2_holds_nothing_out(go, pretrained):
    assert go("--mode=evaluate", "--l2=1", "--ft_proj_selector=2") == 0, go.err
    made, _ = record(pretrained, "logistic_cifar10")
    assert made["scored"] == "logistic regression, l2 fixed (1)"
    assert made["choices"]["l2"] == 1 and "path" not in made["choices"]
    assert made["config"]["model"]["ft_proj_selector"] == 2


@pytest.mark.slow
def test_knowledge_is_a_record_and_a_table(go, pretrained, monkeypatch):
    """What it comes to, not how good it is: few updates of few images."""
    monkeypatch.setattr(mlp, "MAX_UPDATES", 20)
    flags = ("--mode=evaluate", "--protocol=knowledge")
    assert go(*flags, "--encoder=pixels") == 0, go.err
    of_pixels, predictions = record(pretrained, "knowledge_cifar10_pixels")
    assert of_pixels["metric"] == "color/pixels/top_1"
    found = of_pixels["metrics"]
    assert set(found) == {
        f"{task}/{column}/top_1"
        for task in ("color", "rotation", "noise", "sobel")
        for column in ("pixels", "chance")
    }
    kept = np.load(predictions)
    right = (kept["predictions"] == kept["labels"]).mean()
    assert right == pytest.approx(found["color/pixels/top_1"]["value"])
    assert go(*flags) == 0, go.err
    of_encoder, _ = record(pretrained, "knowledge_cifar10")
    chance = of_encoder["metrics"]["rotation/chance/top_1"]
    assert chance == found["rotation/chance/top_1"]
    assert {"sobel/h/top_1", "sobel/z/top_1"} < set(of_encoder["metrics"])
    (head,) = (x for x in go.out.splitlines() if x.split()[:1] == ["chance"])
    assert head.split() == ["chance", "h", "g(h)"]
    assert sum(x.startswith("  rotation  ") for x in go.out.splitlines()) == 1


def test_the_probe_is_a_run_and_a_record(go, pretrained):
    flags = ("--protocol=probe", "--train_epochs=2", "--train_batch_size=32")
    assert go("--mode=evaluate", *flags) == 0, go.err
    made, _ = record(pretrained, "probe_cifar10")
    assert made["encoder_sha256_before"] == made["encoder_sha256_after"]
    assert made["protocol"] == "probe" and made["encoder_frozen"]
    assert made["config"]["model"]["fine_tune_after_block"] == 4
    assert made["config"]["optim"]["optimizer"] == "momentum"
    assert 0 <= made["metrics"]["top_1"]["value"] <= 1


def test_embedding_writes_features_and_neighbours(go, pretrained):
    assert go("--mode=embed", "--train_split=test", "--embed_queries=3") == 0
    folder = newest(pretrained / "embeddings", "cifar10_test_*")
    found = np.load(folder / "features.npz")
    assert found["features"].shape == (60, 64)
    assert len(set(found["ids"])) == len(found["names"]) == 60
    assert set(found["labels"]) == set(range(10))
    picture = tf.io.decode_png((folder / "neighbours.png").read_bytes())
    assert picture.shape[-1] == 3 and picture.shape[0] >= 3 * 16


def test_a_second_embedding_beside_the_first_is_refused(go, tmp_path):
    """They would mix features of one with pictures of the other."""
    place = f"--model_dir={tmp_path}"
    with owner.take(str(tmp_path), name=owner.OF_RESULTS):
        assert go("--mode=embed", "--train_split=test", place) == 2
        assert "belongs to a command that is running" in go.err
        assert len(go.err.splitlines()) == 1
        assert not (tmp_path / "features.npz").exists()
    assert go("--mode=embed", "--train_split=test", place) == 0
    assert (tmp_path / "features.npz").exists()
    assert not (tmp_path / owner.OF_RESULTS).exists()


@pytest.mark.parametrize(
    "flags, told",
    [
        (("--mode=evaluate", "--eval_split=nothing"), "--eval_split"),
        (("--mode=evaluate", "--checkpoint="), "--checkpoint"),
        (("--mode=evaluate", "--holdout_fraction=0.001"), "--holdout"),
        (("--mode=embed", "--train_split=nothing"), "--train_split"),
    ],
)
def test_what_cannot_be_evaluated_costs_one_line(go, flags, told):
    assert go(*flags) == 2
    assert told in go.err and len(go.err.strip().splitlines()) == 1
