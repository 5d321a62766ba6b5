"""For ONNX: model.onnx, by tf2onnx (the extra `onnx`).

From a model that computes in bfloat16, tf2onnx says nothing and writes a file
that nobody can read; from a float32 one, the file is right. So `readers` is
not a formality.
"""

import os
from collections.abc import Callable

import numpy as np

from simclr_tf.convert.network import Architecture, Network, Outputs

_FILE = "model.onnx"
# Of the operators; what onnxruntime of 2022 and later reads.
_OPSET = 17
FILES = {_FILE: f"network and weights, opset {_OPSET}"}
USE = f"""import onnxruntime

session = onnxruntime.InferenceSession("{_FILE}")
(features,) = session.run(["features"], {{"images": images}})
"""
USE_LOGITS = '(logits,) = session.run(["logits"], {"images": images})\n'


def refusal(network: Architecture) -> None:
    """Nothing: ONNX has all operators."""
    del network


def write(network: Network, folder: str, **_) -> None:
    """Writes model.onnx: input "images", outputs "features" and "logits".

    Raises:
        ImportError: tf2onnx is not there.
    """
    import onnx
    import tf2onnx

    model, _ = tf2onnx.convert.from_function(
        network.function(), input_signature=network.signature(), opset=_OPSET
    )
    onnx.checker.check_model(model)
    onnx.save(model, os.path.join(folder, _FILE))


def readers(folder: str) -> dict[str, Callable[[np.ndarray], Outputs]]:
    """What onnxruntime makes of the file.

    Raises:
        ImportError: onnxruntime is not there.
    """
    import onnxruntime

    session = onnxruntime.InferenceSession(
        os.path.join(folder, _FILE), providers=["CPUExecutionProvider"]
    )
    outputs = [output.name for output in session.get_outputs()]

    def call(images):
        return dict(
            zip(outputs, session.run(None, {"images": images}), strict=True)
        )

    return {_FILE: call}
