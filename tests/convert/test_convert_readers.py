"""Every format, read by its own library, says what the model says.

The libraries are in an environment of their own (`make export-env`); without
them these tests say so and skip. Long because of imports: one process for all.
"""

import os
import pathlib
import subprocess

import numpy as np
import pytest

from simclr_tf.convert import formats
from simclr_tf.convert.network import Architecture, Network
from simclr_tf.models import build_simclr, resnet

ROOT = pathlib.Path(__file__).parents[2]
PYTHON = ROOT / ".venv-export" / "bin" / "python"
_INSIDE = "SIMCLR_TF_EXPORT_ENV"

SMALL = {"depth": 10, "width": 0.25, "image_size": 16}
CASES = [
    ("timm", {"depth": 50, "image_size": 33}, None, 0),
    ("timm", {"depth": 101, "image_size": 40}, 3, 0),
    ("timm", {"depth": 50, "width": 2, "image_size": 33}, None, 0),
    ("torch", {"depth": 18, "width": 0.5, "image_size": 41}, 3, 1),
    ("torch", {**SMALL, "num_channels": 5}, None, 0),
    (
        "torch",
        {
            "depth": 50,
            "width": 0.125,
            "image_size": 37,
            "sk_ratio": 0.0625,
            "se_ratio": 0.25,
        },
        3,
        2,
    ),
    ("keras", {**SMALL, "num_channels": 2}, 3, 1),
    (
        "keras",
        {
            "depth": 50,
            "width": 0.125,
            "image_size": 37,
            "sk_ratio": 0.0625,
            "se_ratio": 0.25,
        },
        3,
        2,
    ),
    ("onnx", SMALL, 3, 0),
    ("tflite", {**SMALL, "num_channels": 1}, 3, 0),
    ("saved_model", {**SMALL, "num_channels": 2}, 3, 0),
]


def network_of(shape, num_classes, selector):
    """A network whose statistics are those of no fresh one."""
    settings = {"width": 1, "sk_ratio": 0.0, "se_ratio": 0.0, **shape}
    encoder = resnet(**settings, dtype="float32", seed=1)
    model = build_simclr(
        encoder, proj_out_dim=6, num_classes=num_classes, selector=selector
    )
    rng = np.random.default_rng(1)
    for variable in model.variables:
        kind = variable.name.split("/")[-1].split(":")[0]
        if kind in ("gamma", "moving_variance"):
            variable.assign(rng.uniform(0.5, 1.5, variable.shape))
        elif kind != "kernel":
            variable.assign(rng.normal(0, 0.3, variable.shape))
    return Network(
        model, Architecture(**settings), classifies=num_classes is not None
    )


@pytest.fixture(scope="module")
def operators():
    """PyPI's torchvision, which timm imports, has operators of its own for
    another build of torch: declared, they need not be there."""
    from torch import library

    declared = library.Library("torchvision", "DEF")
    for operator in ("nms", "qnms"):
        declared.define(
            f"{operator}(Tensor dets, Tensor scores, float iou_threshold)"
            " -> Tensor"
        )
    return declared  # as long as it lives


@pytest.mark.slow
@pytest.mark.skipif(
    _INSIDE not in os.environ, reason="run by the test below, inside"
)
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("name", "shape", "num_classes", "selector"), CASES)
def test_reader(operators, tmp_path, name, shape, num_classes, selector):
    network = network_of(shape, num_classes, selector)
    form = formats.FORMATS[name]
    form.code.write(
        network,
        str(tmp_path),
        class_names=("a", "b", "c") if num_classes else (),
        crop=0.875,
        metadata={"config": {}, "global_step": 1},
    )
    checked = formats.check(form, str(tmp_path), network)
    assert checked["made"], checked
    for file, found in checked["errors"].items():
        assert set(found) == {"features", *(["logits"] * bool(num_classes))}
        most = 1e-2 if "float16" in file else 1e-5
        assert max(found.values()) <= most, (file, found)


@pytest.mark.slow
@pytest.mark.skipif(_INSIDE in os.environ, reason="this is inside")
def test_every_format_is_read_by_its_library():
    if not PYTHON.exists():
        pytest.skip("no .venv-export: make export-env")
    done = subprocess.run(
        [PYTHON, "-m", "pytest", "-q", "-m", "slow", "-k", "reader", __file__],
        cwd=ROOT,
        env={**os.environ, _INSIDE: "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout[-4000:]
    assert f"{len(CASES)} passed" in done.stdout, done.stdout[-4000:]
