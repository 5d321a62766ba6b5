"""For TFLite, which is LiteRT now: a file in float32, and one of half its
size with weights in float16.
"""

import os
import tempfile
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from simclr_tf.convert.network import Architecture, Network, Outputs

_FLOAT32, _FLOAT16 = "model_float32.tflite", "model_float16.tflite"
FILES = {
    _FLOAT32: "network and weights, float32",
    _FLOAT16: "network and weights, weights in float16",
}
USE = f"""from ai_edge_litert.interpreter import Interpreter

run = Interpreter("{_FLOAT32}").get_signature_runner()
features = run(images=images)["features"]
"""
USE_LOGITS = 'logits = run(images=images)["logits"]\n'


def refusal(network: Architecture) -> None:
    """Nothing: TFLite has all operators."""
    del network


def write(network: Network, folder: str, **_) -> None:
    """Writes both files: one signature, "images" to "features", "logits"."""
    module = tf.Module()
    module.network = network.function()
    module.kept = network.model.variables
    with tempfile.TemporaryDirectory() as saved:
        tf.saved_model.save(
            module,
            saved,
            signatures=module.network.get_concrete_function(
                *network.signature()
            ),
        )
        for name in (_FLOAT32, _FLOAT16):
            converter = tf.lite.TFLiteConverter.from_saved_model(saved)
            if name == _FLOAT16:
                converter.optimizations = [tf.lite.Optimize.DEFAULT]
                converter.target_spec.supported_types = [tf.float16]
            content = converter.convert()
            with open(os.path.join(folder, name), "wb") as file:
                file.write(content)


def readers(folder: str) -> dict[str, Callable[[np.ndarray], Outputs]]:
    """What LiteRT makes of each file.

    Raises:
        ImportError: ai_edge_litert is not there.
    """
    from ai_edge_litert.interpreter import Interpreter

    def reader(name):
        interpreter = Interpreter(os.path.join(folder, name))
        run = interpreter.get_signature_runner()

        def call(images):
            # One at a time: the file is for one image, until it is resized.
            found = [run(images=image[None]) for image in images]
            return {
                key: np.concatenate([one[key] for one in found])
                for key in found[0]
            }

        return call

    return {name: reader(name) for name in (_FLOAT32, _FLOAT16)}
