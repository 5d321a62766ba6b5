"""The formats, and what each needs to be written and to be read again."""

import dataclasses
import importlib
import importlib.metadata
import importlib.util
from collections.abc import Mapping
from typing import Any

import numpy as np

from simclr_tf.convert import network as networks
from simclr_tf.convert.network import Architecture, Network

# Of outputs, as a share of the largest: how far a file may be from the model.
# Rounding alone comes to 1e-5 in the deepest of ours.
_MOST, _MOST_FLOAT16 = 1e-4, 2e-2


@dataclasses.dataclass(frozen=True)
class Format:
    """A format that encoders are exported in.

    Attributes:
        module: of this package, with `refusal`, `write` and `readers`; FILES,
            what is in the folder; and USE and USE_LOGITS, how it is called.
        words: who reads it.
        hub_library: what hubs call who reads it.
        writes_with: import names of libraries that write it, beside those
            that this library comes with; of the extra of the same name.
        reads_with: distribution name -> import name of what reads it.
    """

    module: str
    words: str
    hub_library: str
    writes_with: tuple[str, ...] = ()
    reads_with: Mapping[str, str] = dataclasses.field(default_factory=dict)

    @property
    def code(self):
        return importlib.import_module(f"simclr_tf.convert.{self.module}")

    def lacks(self) -> list[str]:
        """Libraries without which it cannot be written, and that are not
        there."""
        return [
            n for n in self.writes_with if importlib.util.find_spec(n) is None
        ]


FORMATS = {
    "timm": Format(
        "timm_folder",
        "timm",
        "timm",
        reads_with={"torch": "torch", "timm": "timm"},
    ),
    "torch": Format(
        "torch_folder", "PyTorch", "pytorch", reads_with={"torch": "torch"}
    ),
    "keras": Format(
        "keras_file", "Keras 3", "keras", reads_with={"keras": "keras"}
    ),
    "onnx": Format(
        "onnx_file",
        "ONNX runtimes",
        "onnx",
        writes_with=("tf2onnx", "onnx"),
        reads_with={"onnxruntime": "onnxruntime"},
    ),
    "tflite": Format(
        "tflite_file",
        "TFLite and LiteRT",
        "tflite",
        reads_with={"ai-edge-litert": "ai_edge_litert"},
    ),
    "saved_model": Format(
        "saved_model_folder",
        "TensorFlow, and --checkpoint",
        "tensorflow",
        reads_with={"tensorflow": "tensorflow"},
    ),
}


def that_hold(architecture: Architecture) -> list[str]:
    """Names of the formats that have all of an architecture."""
    return [
        name
        for name, one in FORMATS.items()
        if one.code.refusal(architecture) is None
    ]


class Disagreement(Exception):
    """What was written does not say what the model says."""


def check(form: Format, folder: str, network: Network) -> dict[str, Any]:
    """Reads what was written, and compares it on the fixed images.

    Returns:
        Ready for JSON: "made", and "reason" why not, or "with", the versions
        of what read it, "images", and "errors": file -> output -> the largest
        error as a share of the output's largest value.

    Raises:
        Disagreement: an error is larger than rounding makes it, or the model
            says nothing that could be compared.
    """
    of, versions = network.architecture, {}
    images = networks.fixed_images(of.image_size, of.num_channels)
    want = {name: value.numpy() for name, value in network(images).items()}
    for output, values in want.items():
        if not np.isfinite(values).all():
            raise Disagreement(
                f"The model's own {output} of two fixed images are not finite."
            )
    for distribution, module in form.reads_with.items():
        try:
            importlib.import_module(module)
        except Exception as error:  # a broken installation raises anything
            reason = f"{module} cannot be imported ({type(error).__name__})"
            if isinstance(error, ModuleNotFoundError) and error.name == module:
                reason = f"{module} is not installed"
            return {"made": False, "reason": reason}
        versions[distribution] = importlib.metadata.version(distribution)
    found = {
        file: networks.errors(want, read(images))
        for file, read in form.code.readers(folder).items()
    }
    for file, of_outputs in found.items():
        most = _MOST_FLOAT16 if "float16" in file else _MOST
        for output, error in of_outputs.items():
            if not error <= most:
                raise Disagreement(
                    f"{file}, read by {form.words}, differs from the model: "
                    f"{output} by {error:.1e} of its largest value, where "
                    f"rounding makes at most {most:.0e}."
                )
    return {
        "made": True,
        "with": versions,
        "images": f"{len(images)} fixed ones of {images.shape[1]} px",
        "errors": found,
    }
