"""--mode=benchmark_input, through run.py on every kind of source."""

import json

import pytest

import run
from simclr_tf.jobs import benchmark_input
from tests import image_files
from tests.tiny_datasets import write_tfds

SHORT = (
    "--mode=benchmark_input",
    "--train_batch_size=8",
    "--benchmark_seconds=0.02",
)


def go(*arguments):
    return run.main(["run.py", *SHORT, *map(str, arguments)])


def names(model_dir):
    report = json.loads((model_dir / "benchmark_input.json").read_text())
    assert sum(stage["share"] for stage in report["stages"]) == pytest.approx(1)
    assert all(stage["images_per_second"] > 0 for stage in report["stages"])
    return [stage["name"] for stage in report["stages"]]


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    root = tmp_path_factory.mktemp("photos")
    return image_files.write_folder(root, 20, kind="JPEG")


def test_digits_without_a_model_dir(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert go() == 0
    out = capsys.readouterr().out
    assert "Reading 1437 images of digits" in out
    assert out.count("images/s\n") == 4  # below 20 px there is no blur
    assert "look up" in out and "The input gives" in out
    assert not list(tmp_path.iterdir())


def test_folder_of_jpegs(photos, tmp_path, capsys):
    options = ("--dataset=folder", f"--data_dir={photos}", "--image_size=24")
    assert go(*options, f"--model_dir={tmp_path}", "--input_threads=1") == 0
    assert f"Written to {tmp_path}" in capsys.readouterr().out
    assert names(tmp_path) == [
        "order, draw",
        "read, decode",
        "crop, resize, flip",
        "colour",
        "blur",
    ]
    cached = (*options, "--cache_dataset", "--augment_on=device")
    assert go(*cached, f"--model_dir={tmp_path}") == 0
    assert "device, not measured here" in capsys.readouterr().out
    assert names(tmp_path) == [
        "order, draw",
        "look up",
        "crop, resize, flip",
    ]


@pytest.mark.slow
def test_stream_of_tfrecords(tmp_path, capsys):
    write_tfds(
        "ragged", tmp_path, splits={"train": 23}, num_classes=7,
        image_shape=(None, None, 3), num_shards=3, sizes=[(10, 14), (17, 9)],
    )  # fmt: skip
    status = go(
        *("--dataset=ragged", f"--data_dir={tmp_path}", "--image_size=24"),
        *("--in_memory_limit_mb=0", "--train_mode=supervised"),
        f"--model_dir={tmp_path / 'run'}",
    )
    assert status == 0
    assert "1 views at 24 px" in capsys.readouterr().out
    assert names(tmp_path / "run")[:2] == ["read in order, draw", "decode"]


def test_a_training_run_is_compared_with(tmp_path, capsys):
    rows = [(1, 10, 0.9), (2, 100, 0.2), (3, 120, 0.3), (4, 110, 0.4)]
    lines = [
        json.dumps(
            {"step": step, "images_per_second": r, "input_wait_share": w}
        )
        for step, r, w in rows
    ]
    # A line of --knn_eval has no rates, and a killed run's last is cut.
    lines += ['{"step": 4, "knn/k20/top_1": 0.5}', '{"step": 5']
    (tmp_path / "metrics.jsonl").write_text("\n".join(lines))
    assert go(f"--model_dir={tmp_path}") == 0
    assert (
        "Training took 110 images/s and waited 30% of its time for images: "
        "the input is what limits it." in capsys.readouterr().out
    )


def test_an_indivisible_batch_is_an_error(capsys):
    assert go("--train_batch_size=9", "--virtual_devices=4") == 2
    assert "error:" in capsys.readouterr().err


def test_costs_are_differences_and_never_negative():
    found = benchmark_input.costs(
        {"order": 1000.0, "decode": 200.0, "crop": 250.0, "colour": 100.0}
    )
    assert [s.ms_per_image for s in found] == [1.0, 5.0, 4.0, 10.0]
    assert [s.added_ms for s in found] == [1.0, 4.0, 0.0, 5.0]
    assert [s.share for s in found] == [0.1, 0.4, 0.0, 0.5]
    assert "50%, goes into: colour" in benchmark_input.verdict(found)
    waits = {"images_per_second": 60.0, "input_wait_share": 0.01}
    assert "the input is not what" in benchmark_input.verdict(found, waits)
