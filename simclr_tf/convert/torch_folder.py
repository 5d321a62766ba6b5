"""For PyTorch: model.safetensors, config.json and a module of our own.

`torch_model.py` goes along as model.py: it holds every architecture that we
train, and needs nothing of this library.
"""

import importlib.util
import json
import os
import pathlib
import shutil
from collections.abc import Callable

import numpy as np

from simclr_tf.convert import names
from simclr_tf.convert.network import Architecture, Network, Outputs

_MODULE = pathlib.Path(__file__).with_name("torch_model.py")
FILES = {
    "model.safetensors": "the weights, float32",
    "config.json": "what model.py builds the network from",
    "model.py": "the network, a PyTorch module",
}
USE = """import torch
from model import load

model = load(".")
x = torch.from_numpy(images).permute(0, 3, 1, 2)
features = model.features(x)
"""
USE_LOGITS = "logits = model(x)\n"


def refusal(network: Architecture) -> None:
    """Nothing: the module has all."""
    del network


def write(
    network: Network,
    folder: str,
    *,
    class_names: tuple[str, ...],
    crop: float,
    **_,
) -> None:
    """Writes the files; arguments as `timm_folder.write`."""
    # Here, so that who exports nothing needs it not.
    from safetensors.numpy import save_file

    shape = network.architecture
    path = os.path.join(folder, "model.safetensors")
    state = names.state_dict(network.weights, names.torch_layer)
    save_file(state, path, metadata={"format": "pt"})
    config = {
        "model": {
            "depth": shape.depth,
            "width": shape.width,
            "num_channels": shape.num_channels,
            "small_stem": shape.has_small_stem,
            "sk_ratio": shape.sk_ratio,
            "se_ratio": shape.se_ratio,
            "projection": list(shape.projection),
            "projection_is_whole": shape.projection_is_whole,
            "num_classes": shape.num_classes,
            "bn_momentum": round(1 - shape.bn_momentum, 6),
        },
        "image_size": shape.image_size,
        "crop": crop,
        "num_features": shape.num_features,
        "class_names": list(class_names),
    }
    with open(os.path.join(folder, "config.json"), "w") as file:
        file.write(json.dumps(config, indent=2) + "\n")
    shutil.copyfile(_MODULE, os.path.join(folder, "model.py"))


def readers(folder: str) -> dict[str, Callable[[np.ndarray], Outputs]]:
    """What PyTorch makes of the folder: images to outputs.

    Raises:
        ImportError: torch is not there.
    """
    import torch

    spec = importlib.util.spec_from_file_location(
        "simclr_tf_exported_model", os.path.join(folder, "model.py")
    )
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    model = module.load(folder)

    @torch.inference_mode()
    def call(images):
        x = torch.from_numpy(images.transpose(0, 3, 1, 2).copy())
        features = model.features(x)
        named = {"features": features.numpy()}
        if model.num_classes:
            named["logits"] = model.classify(features).numpy()
        return named

    return {"model.safetensors": call}
