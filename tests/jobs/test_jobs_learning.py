"""What a newcomer is promised: the digits are learnt without labels."""

import json
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[2]

pytestmark = pytest.mark.slow


def test_quickstart_keeps_its_promise(tmp_path):
    """At least 95 %, 4 points over raw pixels, 30 over the random encoder."""
    done = subprocess.run(
        [
            sys.executable,
            str(ROOT / "run.py"),
            f"--flagfile={ROOT}/flags/digits_quickstart.flags",
            f"--data_dir={tmp_path}/tfds",
            f"--model_dir={tmp_path}/run",
        ],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    result = json.loads((tmp_path / "run" / "result.json").read_text())
    score = result["linear_100_labels/top_1"]
    assert score >= 0.95
    assert score >= result["linear_100_labels/top_1_raw_pixels"] + 0.04
    assert score >= result["linear_100_labels/top_1_random_encoder"] + 0.30
