"""Stand-ins for checkpoints that Google released: their variables, all zeros.

A path such as gs://simclr-checkpoints/simclrv2/finetuned_1pct/r152_3x_sk1 says
which network lies there. What a job is that starts from it, its architecture
and so its program, can be told from that without the weights.
"""

import pathlib
import re

import numpy as np

from simclr_tf.errors import UserError
from simclr_tf.official import architecture
from simclr_tf.official.architecture import Architecture, Shape
from tests.official import tf1_files

_V1 = re.compile(
    r"gs://simclr-checkpoints-tf2/simclrv1/pretrain/(?P<width>\d)x"
)
_V2 = re.compile(
    r"gs://simclr-checkpoints/simclrv2/\w+/"
    r"r(?P<depth>\d+)_(?P<width>\d)x_sk(?P<sk>[01])"
)
_CLASSES = 1000
_DIMENSIONS = 128  # of z
_NAME = "model.ckpt-0"


def shapes(path: str) -> dict[str, Shape]:
    """The official name -> shape of the variables that lie at a path.

    Args:
        path: where Google released a checkpoint of a ResNet for ImageNet.

    Raises:
        UserError: it doesn't say which network that is.
    """
    if match := _V2.fullmatch(path):
        depth, sk_ratio = int(match["depth"]), 0.0625 * int(match["sk"])
    elif match := _V1.fullmatch(path):
        depth, sk_ratio = 50, 0.0
    else:
        raise UserError(
            f"--checkpoint={path} doesn't say which network it is. There are "
            "stand-ins for gs://simclr-checkpoints/simclrv2/KIND/"
            "rDEPTH_WIDTHx_skSK and gs://simclr-checkpoints-tf2/simclrv1/"
            "pretrain/WIDTHx."
        )
    encoder = Architecture(depth, float(match["width"]), sk_ratio, 0.0, False)
    found = _of_encoder(encoder)
    if match.re is _V2:  # version 1 was released without
        found |= _of_projection_head(encoder.features)
    scope = "head_supervised/linear_layer/dense"
    found[f"{scope}/kernel"] = (encoder.features, _CLASSES)
    found[f"{scope}/bias"] = (_CLASSES,)
    return found


def write(path: str, root: pathlib.Path) -> str:
    """Writes zeros in the shapes that `path` says, unless they are there.

    Args:
        path: as of `shapes`.
        root: folder of all stand-ins.

    Returns:
        The prefix of the stand-in.
    """
    folder = root / path.removeprefix("gs://")
    if not (folder / f"{_NAME}.index").exists():
        values = {n: np.zeros(s, np.float32) for n, s in shapes(path).items()}
        tf1_files.write(folder, values, name=_NAME)
    return str(folder / _NAME)


def _of_encoder(encoder: Architecture) -> dict[str, Shape]:
    kinds = ("conv2d", "batch_normalization")
    return {
        f"base_model/{kind}{f'_{number}' if number else ''}/{part}": shape
        for kind, layers in zip(
            kinds, architecture.layers(encoder), strict=True
        )
        for number, (_, parts) in enumerate(layers)
        for part, shape in parts.items()
    }


def _of_projection_head(features: int) -> dict[str, Shape]:
    found = {}
    for layer, width in enumerate((features, features, _DIMENSIONS)):
        scope = f"head_contrastive/nl_{layer}"
        found[f"{scope}/dense/kernel"] = (features, width)
        parts = ["gamma", "moving_mean", "moving_variance"]
        if width == features:  # the last has no beta
            parts.append("beta")
        for part in parts:
            found[f"{scope}/batch_normalization/{part}"] = (width,)
    return found
