"""Every benchmark runs, at sizes that say nothing, and writes what it says."""

import json
import pathlib
import subprocess
import sys

import pytest

BENCH = pathlib.Path(__file__).parent / "bench"

pytestmark = pytest.mark.slow


def run(name, path, *arguments):
    subprocess.run(
        [
            sys.executable,
            str(BENCH / name),
            f"--json={path}",
            "--rounds=1",
            *arguments,
        ],
        check=True,
    )
    return json.loads(path.read_text())["rows"]


def test_loss(tmp_path):
    imported, tiles, at_once = run(
        "loss.py", tmp_path / "loss.json", "--rows=2048", "--dim=8"
    )
    # All logits at once are 2 * 33 MB, several times over.
    assert imported["peak_gb"] < tiles["peak_gb"] < at_once["peak_gb"]
    assert tiles["time_over_at_once"] > 0
    assert tiles["seconds"] > 0


@pytest.mark.soak
def test_micro_batches(tmp_path):
    (row,) = run(
        "micro_batches.py",
        tmp_path / "micro.json",
        "--batches=8",
        "--micro_batch=4",
        "--depth=10",
        "--width=0.125",
        "--image_size=16",
        "--dtype=float32",
    )
    assert row["batch"] == 8
    assert row["time_over_plain"] > 0
    assert row["cached_peak_gb"] > 0 and row["at once_peak_gb"] > 0


def test_features(tmp_path):
    forward, extract = run(
        "features.py",
        tmp_path / "features.json",
        "--images=20",
        "--batch_size=8",
        "--depth=10",
        "--width=0.125",
        "--image_size=16",
    )
    assert (forward["what"], forward["to_forward"]) == ("forward", 1)
    assert extract["to_forward"] > 0
    assert extract["images_per_second"] > 0


def test_step(tmp_path):
    full, mixed = run(
        "step.py",
        tmp_path / "step.json",
        "--batch_size=8",
        "--depths=10",
        "--widths=0.125",
        "--image_sizes=16",
    )
    assert (full["precision"], full["time_over_float32"]) == ("float32", 1)
    assert mixed["images_per_second"] > 0
    assert mixed["gflop_per_second"] > 0


@pytest.mark.parametrize(
    "depth", [10, pytest.param(18, marks=pytest.mark.soak)]
)
def test_startup(tmp_path, depth):
    """The first step of a small ResNet is done soon after the imports.

    Within six times what TensorFlow and Keras alone take to import, so that
    slow machines and busy ones are asked for the same.
    """
    (row,) = run(
        "startup.py",
        tmp_path / "startup.json",
        "--",
        f"--resnet_depth={depth}",
        "--width_multiplier=0.25",
        "--image_size=32",
        "--train_batch_size=64",
    )
    assert row["times imports"] < 6
    parts = [row[p] for p in ("import", "data", "model", "first step")]
    assert sum(parts) == pytest.approx(row["wall"], abs=1)


def test_end_to_end(tmp_path):
    (ours,) = run(
        "end_to_end.py",
        tmp_path / "end_to_end.json",
        "--images=40",
        "--steps=1",
        "--batch_size=8",
        "--depth=10",
        "--image_size=16",
    )
    assert ours["images_per_wall_second"] > 0
    assert ours["images_per_cpu_second"] > 0


@pytest.mark.soak
def test_input(tmp_path):
    rows = run(
        "input.py",
        tmp_path / "input.json",
        "--images=8",
        "--image_size=64",
        "--batch_size=4",
        "--seconds=0.1",
    )
    assert [row["what"] for row in rows] == [
        "order, draw",
        "read, decode",
        "crop, resize, flip",
        "colour",
        "blur",
        "cached",
    ]
    assert all(row["images_per_second"] > 0 for row in rows)
