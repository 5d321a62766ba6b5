"""A SavedModel as a folder of its own, of what a run's export holds, too:
features, projections and, where there is a linear head, logits.
"""

import os
import shutil
import tempfile
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from simclr_tf.convert import saved_model
from simclr_tf.convert.network import Architecture, Network, Outputs

FILES = {
    "saved_model.pb": "the graph",
    "variables": "the weights",
    "simclr_tf.json": "what simclr_tf reads beside a SavedModel",
}
USE = """import tensorflow as tf

encoder = tf.saved_model.load(".")
features = encoder(tf.constant(images))["features"]
"""
USE_LOGITS = 'logits = encoder(tf.constant(images))["logits"]\n'


def refusal(network: Architecture) -> None:
    """Nothing: it is our own graph."""
    del network


def write(
    network: Network,
    folder: str,
    *,
    class_names: tuple[str, ...],
    metadata: Mapping[str, Any],
    **_,
) -> None:
    """Writes saved_model.pb, variables/ and simclr_tf.json."""
    with tempfile.TemporaryDirectory() as aside:
        path = saved_model.export(
            network.model,
            aside,
            step=metadata["global_step"],
            image_size=network.architecture.image_size,
            num_channels=network.architecture.num_channels,
            keep=1,
            class_names=class_names,
            metadata=metadata,
        )
        for name in os.listdir(path):
            shutil.move(os.path.join(path, name), os.path.join(folder, name))


def readers(folder: str) -> dict[str, Callable[[np.ndarray], Outputs]]:
    """What TensorFlow makes of the folder."""
    loaded = tf.saved_model.load(folder)

    def call(images):
        return {k: v.numpy() for k, v in loaded(tf.constant(images)).items()}

    return {"saved_model.pb": call}
