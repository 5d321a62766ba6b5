"""How each format of an export is loaded and called, as Python."""

# Of {size}: what `str.format` fills in.
_PREPARE = """from preprocess import preprocess

images = preprocess("one.jpg")[None]  # float32[1, {size}, {size}, 3]
"""
_CODE = {
    "timm": """import timm
import torch

model = timm.create_model("local-dir:FOLDER", pretrained=True).eval()
x = torch.from_numpy(images).permute(0, 3, 1, 2)
{out} = model(x)
""",
    "torch": """import torch
from model import load

model = load(".")
x = torch.from_numpy(images).permute(0, 3, 1, 2)
features = model.features(x)
""",
    "keras": """import keras  # Keras 3

model = keras.models.load_model("model.keras")
features = model(images)["features"]
""",
    "onnx": """import onnxruntime

session = onnxruntime.InferenceSession("model.onnx")
(features,) = session.run(["features"], {{"images": images}})
""",
    "tflite": """from ai_edge_litert.interpreter import Interpreter

run = Interpreter("model_float32.tflite").get_signature_runner()
features = run(images=images)["features"]
""",
    "saved_model": """import tensorflow as tf

encoder = tf.saved_model.load(".")
features = encoder(tf.constant(images))["features"]
""",
}
_LOGITS = {
    "torch": "logits = model(x)\n",
    "keras": 'logits = model(images)["logits"]\n',
    "onnx": '(logits,) = session.run(["logits"], {{"images": images}})\n',
    "tflite": 'logits = run(images=images)["logits"]\n',
    "saved_model": 'logits = encoder(tf.constant(images))["logits"]\n',
}


def of(name: str, *, image_size: int, classifies: bool) -> str:
    """A program of a few lines, for the folder that it is run in.

    Args:
        name: of the format, a value of --format.
        image_size: S, side of the images in pixels.
        classifies: whether there are logits.
    """
    code = (
        _PREPARE + _CODE[name] + (_LOGITS.get(name, "") if classifies else "")
    )
    return code.format(
        size=image_size, out="logits" if classifies else "features"
    )
