"""Official weights, imported, exported, read by PyTorch and timm: the numbers
are those of the official code.

As in `test_convert_readers`, the libraries are in an environment of their own.
"""

import os
import pathlib
import subprocess

import numpy as np
import pytest

import run
from simclr_tf.build import network as networks
from simclr_tf.convert.network import fixed_images
from simclr_tf.official import architecture
from simclr_tf.official.architecture import Architecture
from simclr_tf.run_files import loading
from tests.convert.test_convert_readers import (
    _INSIDE,
    PYTHON,
    ROOT,
    operators,  # noqa: F401  a fixture
)
from tests.official import tf1_files
from tests.official.test_official_reading import PLACE, needs_files

inside = pytest.mark.skipif(
    _INSIDE not in os.environ, reason="run by the test below, inside"
)


def exported(source, place, name, *more):
    """Official files, as a run, as a folder of others."""
    imported, folder = place / "run", place / "exported"
    arguments = (f"--checkpoint={source}", f"--model_dir={imported}", *more)
    assert run.main(["run.py", "--mode=import", *arguments]) == 0
    arguments = (f"--checkpoint={imported}", f"--model_dir={folder}")
    how = ("--mode=export", f"--format={name}")
    assert run.main(["run.py", *how, *arguments]) == 0
    return folder


def full_size(folder):
    """A checkpoint of a whole ResNet-50, its numbers drawn."""
    rng = np.random.default_rng(7)
    variables = {}
    kinds = ("conv2d", "batch_normalization")
    layers = architecture.layers(Architecture(50, 1, 0.0, 0.0, False))
    for kind, of_kind in zip(kinds, layers, strict=True):
        for i, (_, shapes) in enumerate(of_kind):
            scope = f"base_model/{kind}{f'_{i}' if i else ''}"
            for part, shape in shapes.items():
                value = rng.uniform(0.5, 1.5, shape)
                if part == "kernel":
                    deviation = 1 / np.sqrt(np.prod(shape[:-1]))
                    value = rng.normal(0, deviation, shape)
                variables[f"{scope}/{part}"] = value.astype(np.float32)
    return tf1_files.write(folder, variables)


@pytest.mark.slow
@inside
@pytest.mark.filterwarnings("ignore")
def test_timm_round_trip(operators, tmp_path):  # noqa: F811
    import timm
    import torch

    source = full_size(tmp_path / "official")
    folder = exported(source, tmp_path, "timm", "--image_size=40")
    encoder = timm.create_model(f"local-dir:{folder}", pretrained=True).eval()
    images = fixed_images(40)
    with torch.no_grad():
        found = encoder(torch.from_numpy(images.transpose(0, 3, 1, 2))).numpy()
    weights = loading.open_weights(source)
    config = loading.resolve.overlay(weights.config, {"image_size": 40})
    model = networks.build_model(config, num_classes=None, dtype="float32")
    loading.load(weights, model)
    want = model(images, training=False).features.numpy()
    assert np.abs(found - want).max() <= 1e-5 * np.abs(want).max()


@pytest.mark.slow
@inside
@needs_files
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("path", ["tf1_tiny_r18_cifar", "tf1_tiny_r50_sk"])
def test_torch_round_trip(tmp_path, monkeypatch, path):
    """To what the official code itself made of its images."""
    import torch

    stored = np.load(PLACE / path / "tensors.npz")
    images = stored["images"].astype(np.float32) / 255
    head = ("--restore_linear_head", "--ft_proj_selector=0")
    size = f"--image_size={images.shape[1]}"
    folder = exported(PLACE / path, tmp_path, "torch", *head, size)
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.delitem(__import__("sys").modules, "model", raising=False)
    model = __import__("model").load(str(folder))
    batch = torch.from_numpy(np.ascontiguousarray(images.transpose(0, 3, 1, 2)))
    with torch.no_grad():
        found = {
            "final_avg_pool": model.features(batch).numpy(),
            "logits_sup": model(batch).numpy(),
        }
    for name, value in found.items():
        most = np.abs(stored[name]).max()
        assert np.abs(value - stored[name]).max() <= 1e-5 * most, name


@pytest.mark.slow
@pytest.mark.skipif(_INSIDE in os.environ, reason="this is inside")
def test_official_weights_are_read_by_pytorch_and_timm():
    if not PYTHON.exists():
        pytest.skip("no .venv-export: make export-env")
    done = subprocess.run(
        [
            *(PYTHON, "-m", "pytest", "-q", "-m", "slow"),
            *("-k", "round_trip and not official", __file__),
        ],
        cwd=ROOT,
        env={**os.environ, _INSIDE: "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout[-4000:]
    count = 3 if pathlib.Path(PLACE).is_dir() else 1
    assert f"{count} passed" in done.stdout, done.stdout[-4000:]
