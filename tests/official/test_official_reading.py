"""Official checkpoints: recognised, and equal to their own endpoints."""

import ast
import os
import pathlib

import numpy as np
import pytest

from simclr_tf.build import network
from simclr_tf.errors import UserError
from simclr_tf.official import reading
from simclr_tf.run_files import loading

# Checkpoints and endpoints that google-research/simclr wrote.
_BESIDE = pathlib.Path(__file__).parents[3] / "shared" / "official_weights"
PLACE = pathlib.Path(os.environ.get("SIMCLR_TF_OFFICIAL", str(_BESIDE)))
needs_files = pytest.mark.skipif(
    not PLACE.is_dir(), reason=f"no {PLACE}; set SIMCLR_TF_OFFICIAL"
)


@needs_files
@pytest.mark.slow
@pytest.mark.parametrize(
    "path",
    [
        "tf1_tiny_r18_cifar",
        "tf1_tiny_r50_sk",
        "tf2_tiny_r18_cifar",
        "tf2_tiny_r18_cifar/saved_model",
    ],
)
def test_endpoints_are_those_of_the_official_code(path):
    folder = PLACE / path
    size = 64 if "sk" in path else 32
    weights = loading.open_weights(str(folder))
    # The tiny references with the ImageNet stem saw 64 px.
    config = loading.resolve.overlay(weights.config, {"image_size": size})
    model = network.build_model(config, num_classes=10, dtype="float32")
    loading.load(weights, model, with_linear_head=True)
    stored = np.load(PLACE / path.split("/")[0] / "tensors.npz")
    x = stored["images"].astype("float32") / 255
    made = model(x, training=False)
    found = {
        "final_avg_pool": made.features,
        "proj_head_output": made.projections,
        "logits_sup": made.logits,
    }
    names = ("initial_max_pool", *(f"block_group{g}" for g in range(1, 5)))
    for name, stage in zip(names, model.encoder.stages, strict=True):
        x = found[name] = stage(x, training=False)
    for name, value in found.items():
        most = np.abs(stored[name]).max()
        assert np.abs(value - stored[name]).max() <= 1e-5 * most, name


@needs_files
def test_every_list_of_names_is_recognised():
    lists = sorted((PLACE / "names").glob("*.txt"))
    assert lists
    for path in lists:
        rows = [row.split("\t") for row in path.read_text().splitlines()]
        shapes = {name: tuple(ast.literal_eval(s)) for name, s, *_ in rows}
        found = reading.identify(shapes, what=path.name)
        assert len(found.sources) + len(found.left_out) == len(shapes)
        depth = int(path.name.split("_r")[1].split("_")[0])
        assert found.encoder.depth == depth


def test_foreign_names_are_named():
    with pytest.raises(UserError, match="no variable layer1/kernel"):
        reading.identify({"layer1/kernel": (3, 3)}, what="X")
