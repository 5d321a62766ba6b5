"""What an official checkpoint says of the options of a job, and what it can't.

Shapes say what an encoder and its heads are. They don't say how large its
images were, and which layer a linear head reads: the first has a default that
is said aloud, the second is asked for where it matters.
"""

from collections.abc import Mapping
from typing import Any

from simclr_tf.errors import UserError
from simclr_tf.official.reading import Contents

# All that was released is of ImageNet, at this size.
_DATASET, _PIXELS = "imagenet2012", 224
_SMALL_PIXELS = 32


def of(contents: Contents, given: Mapping[str, Any]) -> dict[str, Any]:
    """Option -> value, of an encoder, its heads and its images.

    Args:
        contents: of the checkpoint.
        given: options that the user set.

    Raises:
        UserError: the linear head is asked for, and nobody says what it reads.
    """
    network = contents.network
    encoder = network.encoder
    found = {
        "resnet_depth": encoder.depth,
        "width_multiplier": encoder.width,
        "num_channels": 3,
        "sk_ratio": encoder.sk_ratio,
        "se_ratio": encoder.se_ratio,
        "proj_head_mode": network.proj_head_mode,
        "image_size": _SMALL_PIXELS if encoder.small else _PIXELS,
    }
    if network.num_proj_layers:
        found["proj_out_dim"] = network.proj_out_dim
        found["num_proj_layers"] = network.num_proj_layers
    if encoder.small and encoder.depth < 50 and "sk_ratio" in given:
        # With this stem, ResNets of basic blocks have the same variables.
        found["sk_ratio"] = given["sk_ratio"]
    if not encoder.small:
        found["dataset"] = _DATASET
    if given.get("restore_linear_head"):
        found["ft_proj_selector"] = _selector(contents, given)
    return found


def describe(contents: Contents) -> str:
    """What was recognised, and what is assumed, for the reader of the log."""
    network = contents.network
    encoder = network.encoder
    words = [f"ResNet-{encoder.depth} ({encoder.width:g}x)"]
    if encoder.sk_ratio:
        words.append(f"selective kernels {encoder.sk_ratio:g}")
    if encoder.se_ratio:
        words.append(f"squeeze and excitation {encoder.se_ratio:g}")
    words.append("CIFAR stem" if encoder.small else "ImageNet stem")
    layers = network.num_proj_layers
    words.append(
        f"{layers} projection layers" if layers else "no projection head"
    )
    if network.selectors:
        classes = network.shapes["linear_head:bias"][0]
        words.append(f"linear head of {classes} classes")
    pixels = _SMALL_PIXELS if encoder.small else _PIXELS
    return (
        f"Official {contents.kind} weights: {', '.join(words)}. They don't say "
        f"how large the images were: {pixels} px, unless --image_size does."
    )


def _selector(contents: Contents, given: Mapping[str, Any]) -> int:
    """What the linear head reads.

    Raises:
        UserError: there is none, or nobody says it.
    """
    selectors = contents.network.selectors
    if not selectors:
        raise UserError(
            f"--checkpoint={contents.prefix} has no linear head, to restore "
            "or to score. Leave --restore_linear_head or --protocol=own_head "
            "out."
        )
    asked = given.get("ft_proj_selector")
    if asked is None and len(selectors) == 1:
        return selectors[0]
    if asked not in selectors:
        received = "none" if asked is None else asked
        raise UserError(
            f"--ft_proj_selector={'|'.join(map(str, selectors))} is needed: "
            "the linear head of "
            f"--checkpoint={contents.prefix} may read h (0) or a layer of the "
            "projection head of the same size. Pretrained and supervised "
            "weights: 0. SimCLRv2 fine-tuned on 1 % and 10 %: 1. Received: "
            f"{received}."
        )
    return asked
