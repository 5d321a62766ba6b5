"""Our weights by the names, and in the layouts, of PyTorch.

ours     "group1_block0_conv1/kernel"   [h, w, in, out]
torch    "groups.0.0.conv1.weight"      [out, in, h, w]
timm     "stages.0.blocks.0.conv1.weight"
"""

import re
from collections.abc import Callable, Mapping

import numpy as np

_BLOCK = re.compile(r"group(\d)_block(\d+)_(\w+)")
_PROJECTION = re.compile(r"projection_head/(dense|norm)(\d+)")
_PARAMETERS = {
    "kernel": "weight",
    "bias": "bias",
    "gamma": "weight",
    "beta": "bias",
    "moving_mean": "running_mean",
    "moving_variance": "running_var",
}


def torch_layer(layer: str) -> str:
    """Of one of our layers, in `torch_model.py`."""
    if match := _BLOCK.fullmatch(layer):
        group, block, name = match.groups()
        return f"groups.{int(group) - 1}.{block}.{name}"
    if match := _PROJECTION.fullmatch(layer):
        return f"projection.{int(match[2]) - 1}.{match[1]}"
    return f"stem.{layer}" if layer.startswith("stem_") else layer


def timm_layer(layer: str) -> str:
    """Of one of our layers, in timm's `resnetv2_*`."""
    if match := _BLOCK.fullmatch(layer):
        group, block, name = match.groups()
        name = name.replace("shortcut_", "downsample.")
        return f"stages.{int(group) - 1}.blocks.{block}.{name}"
    return {
        "stem_conv": "stem.conv",
        "stem_norm": "stem.norm",
        "linear_head": "head.fc",
    }[layer]


def state_dict(
    weights: Mapping[str, np.ndarray],
    rename: Callable[[str], str],
    *,
    linear_is_conv: bool = False,
) -> dict[str, np.ndarray]:
    """A module's state, ready to be saved.

    Args:
        weights: of `network.Network`.
        rename: our layer -> the module's.
        linear_is_conv: whether the linear head is a 1x1 convolution.
    """
    state = {}
    for name, value in weights.items():
        layer, _, parameter = name.rpartition("/")
        if parameter == "kernel":
            # HWIO to OIHW, and IO to OI.
            axes = (3, 2, 0, 1) if value.ndim == 4 else (1, 0)
            value = value.transpose(axes)
            if linear_is_conv and layer == "linear_head":
                value = value[:, :, None, None]
        target = rename(layer)
        state[f"{target}.{_PARAMETERS[parameter]}"] = np.ascontiguousarray(
            value
        )
        if parameter == "gamma":
            # PyTorch has a beta wherever it has a gamma: z's BN has none.
            state.setdefault(f"{target}.bias", np.zeros_like(value))
        if parameter == "moving_mean":
            state[f"{target}.num_batches_tracked"] = np.array(0, np.int64)
    return state
