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
