"""For timm: model.safetensors and config.json, no code.

    timm.create_model("local-dir:FOLDER", pretrained=True)

timm's `resnetv2_50`, `_101` and `_152`, told to normalise after the
convolutions and to pad as TensorFlow does, are the paper's ResNets.
"""

import json
import os
from collections.abc import Callable

import numpy as np

from simclr_tf.convert import names
from simclr_tf.convert.network import Architecture, Network, Outputs

_DEPTHS = (50, 101, 152)
_ARGUMENTS = {"preact": False, "stem_type": "same"}
FILES = {
    "model.safetensors": "the weights, float32",
    "config.json": "what timm builds the network from",
}
USE = """import timm
import torch

model = timm.create_model("local-dir:FOLDER", pretrained=True).eval()
x = torch.from_numpy(images).permute(0, 3, 1, 2)
maps = model.forward_features(x)
features = model.forward_head(maps, pre_logits=True).flatten(1)
"""
USE_LOGITS = "logits = model(x)\n"


def refusal(network: Architecture) -> str | None:
    """What timm's ResNets lack of it, a clause; None where it is nothing."""
    if network.depth not in _DEPTHS:
        return "its depths are 50, 101 and 152"
    if network.sk_ratio or network.se_ratio:
        return "it has neither selective kernels nor squeeze and excitation"
    if network.has_small_stem:
        return "its stem is the one of images above 32 px"
    if network.width != int(network.width):
        return "its widths are whole multiples"
    if network.num_channels != 3:
        return "its images are taken to be RGB"
    if network.projection:
        return "its linear layer reads the features, and this head a projection"
    return None


def write(
    network: Network,
    folder: str,
    *,
    class_names: tuple[str, ...],
    crop: float,
    **_,
) -> None:
    """Writes the files.

    Args:
        network: one that `refusal` has nothing against.
        folder: local; exists.
        class_names: of the classifier; () where they are not known.
        crop: of an image's shorter side, what evaluation keeps.
    """
    # Here, so that who exports nothing needs it not.
    from safetensors.numpy import save_file

    shape, size = network.architecture, network.architecture.image_size
    state = names.state_dict(
        network.weights, names.timm_layer, linear_is_conv=True
    )
    path = os.path.join(folder, "model.safetensors")
    save_file(state, path, metadata={"format": "pt"})
    pretrained = {
        "input_size": [3, size, size],
        "fixed_input_size": False,
        "mean": [0.0, 0.0, 0.0],
        "std": [1.0, 1.0, 1.0],
        "crop_pct": crop,
        "crop_mode": "center",
        "interpolation": "bicubic",
        "num_classes": shape.num_classes,
        "first_conv": "stem.conv",
        "classifier": "head.fc",
    }
    if shape.num_classes and class_names:
        pretrained["label_names"] = list(class_names)
    arguments = dict(_ARGUMENTS)
    if shape.width != 1:
        arguments["width_factor"] = int(shape.width)
    config = {
        "architecture": f"resnetv2_{shape.depth}",
        "num_classes": shape.num_classes,
        "num_features": shape.num_features,
        "global_pool": "avg",
        "model_args": arguments,
        "pretrained_cfg": pretrained,
    }
    with open(os.path.join(folder, "config.json"), "w") as file:
        file.write(json.dumps(config, indent=2) + "\n")


def readers(folder: str) -> dict[str, Callable[[np.ndarray], Outputs]]:
    """What timm makes of the folder: images to outputs.

    Raises:
        ImportError: timm or torch is not there.
    """
    import timm
    import torch

    model = timm.create_model(
        f"local-dir:{os.path.abspath(folder)}", pretrained=True
    ).eval()

    @torch.inference_mode()
    def call(images):
        x = torch.from_numpy(images.transpose(0, 3, 1, 2).copy())
        maps = model.forward_features(x)
        features = model.forward_head(maps, pre_logits=True)
        named = {"features": features.flatten(1).numpy()}
        if model.num_classes:
            named["logits"] = model(x).numpy()
        return named

    return {"model.safetensors": call}
