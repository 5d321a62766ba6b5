"""What each data set's settings are, where the user says nothing.

A recipe holds only what differs from the paper's ImageNet settings, which are
the defaults of `config`. `Paper:` CIFAR from appendix B.9, small batches from
appendix B.1 (square-root scaling is the better rule there).
"""

from collections.abc import Mapping
from typing import Any

# Appendix B.9: colour strength 0.5, no blur, tau 0.5; best at batch 1024 with
# a base rate of 1.0 and 1000 epochs.
_CIFAR = {
    "image_size": 32,
    "use_blur": False,
    "color_jitter_strength": 0.5,
    "temperature": 0.5,
    "learning_rate": 1.0,
    "train_batch_size": 1024,
    "train_epochs": 1000.0,
    "checkpoint_epochs": 10.0,
    "eval_split": "test",
}

# One machine, thousands to hundreds of thousands of images.
_SMALL_BATCH = {
    "train_batch_size": 256,
    "learning_rate": 0.075,
    "learning_rate_scaling": "sqrt",
    "weight_decay": 1e-4,
    "temperature": 0.2,
    "train_epochs": 200.0,
}

# Gray, upright, centred things on 28 px: no mirror images (a mirrored digit or
# letter is another one), crops that keep most of the thing.
_GRAY_28 = {
    **_SMALL_BATCH,
    "image_size": 32,
    "resnet_depth": 18,
    "use_blur": False,
    "color_jitter_strength": 0.5,
    "min_crop_area": 0.2,
    "random_flip": False,
    "eval_split": "test",
}

RECIPES: dict[str, Mapping[str, Any]] = {
    "digits": {
        **_GRAY_28,
        "image_size": 16,
        "resnet_depth": 10,
        "width_multiplier": 0.5,
        "min_crop_area": 0.3,
        "learning_rate": 0.1,
        "train_steps": 600,
        "warmup_epochs": 4.0,
        "checkpoint_epochs": 8.0,
        "linear_eval_labels": (100,),
    },
    "fashion_mnist": {
        **_GRAY_28,
        "random_flip": True,  # clothes are as good mirrored
        "linear_eval_labels": (100, 5000),
    },
    "mnist": _GRAY_28,
    "kmnist": _GRAY_28,
    "emnist": _GRAY_28,
    "cifar10": _CIFAR,
    "cifar100": _CIFAR,
    "svhn_cropped": {**_CIFAR, "random_flip": False},
    "stl10": {
        **_SMALL_BATCH,
        "image_size": 96,
        "resnet_depth": 18,
        "train_split": "unlabelled",
        "eval_split": "test",
    },
    "imagenette": {**_SMALL_BATCH, "image_size": 128, "resnet_depth": 18},
    "imagenet2012": {"eval_split": "validation"},
    "imagenet2012_subset": {"eval_split": "validation"},
    "folder": _SMALL_BATCH,
}


def recipe_for(dataset: str) -> tuple[str, Mapping[str, Any]]:
    """The recipe of a data set, and its name.

    Args:
        dataset: as in `--dataset`; a /config or :version is ignored.

    Returns:
        Its own recipe, or the one called "other" for data nobody has tuned.
    """
    name = dataset.split("/")[0].split(":")[0]
    if name in RECIPES:
        return name, RECIPES[name]
    return "other", _SMALL_BATCH
