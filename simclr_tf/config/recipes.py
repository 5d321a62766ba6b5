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

_DIGITS = {
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
}

RECIPES: dict[str, Mapping[str, Any]] = {
    "digits": _DIGITS,
    # Colour is what tells these apart most easily: the paper's full strength.
    "color_digits": {**_DIGITS, "color_jitter_strength": 1.0},
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

# Of a data set's recipe, what holds for its images whatever is trained.
_OF_THE_IMAGES = (
    "image_size",
    "eval_split",
    "min_crop_area",
    "random_flip",
    "color_jitter_strength",
    "use_blur",
    "resnet_depth",
    "width_multiplier",
    "train_batch_size",
)

# Paper: B.5, B.6. Both decay nothing; Nesterov momentum, no warm-up.
_ON_AN_ENCODER = {
    "optimizer": "momentum",
    "weight_decay": 0.0,
    "warmup_epochs": 0.0,
    "zero_init_logits_layer": True,
}

TASKS: dict[str, Mapping[str, Any]] = {
    # B.6: linear evaluation.
    "linear": {
        **_ON_AN_ENCODER,
        "learning_rate": 0.1,
        "train_epochs": 90.0,
        "fine_tune_after_block": 4,
    },
    # B.5: fine-tuning the whole network.
    "finetune": {
        **_ON_AN_ENCODER,
        "learning_rate": 0.05,
        "train_epochs": 30.0,
    },
    "supervised": {
        "optimizer": "momentum",
        "learning_rate": 0.1,
        "weight_decay": 1e-4,
        "warmup_epochs": 5.0,
        "train_epochs": 100.0,
    },
    # SimCLRv2 (arXiv:2006.10029), section 3: 400 epochs, crop and flip only.
    # Weight decay: the official notebook. Rate and warm-up (5 % of the epochs):
    # those of pretraining, google-research/simclr#77.
    "distill": {
        "learning_rate": 0.1,
        "learning_rate_scaling": "sqrt",
        "weight_decay": 1e-4,
        "warmup_epochs": 20.0,
        "train_epochs": 400.0,
        "color_jitter_strength": 0.0,
        "use_blur": False,
    },
}

# The official code distorts no colours where no pairs are compared
# (google-research/simclr 383d414, tf2/data.py:106).
_CROP_AND_FLIP = {"color_jitter_strength": 0.0, "use_blur": False}
OFFICIAL_TASKS: dict[str, Mapping[str, Any]] = {
    "supervised": _CROP_AND_FLIP,
    "distill": _CROP_AND_FLIP,
}

# B.5: 60 epochs on 1 % of the labels, 30 on 10 %.
_EPOCHS_ON_FEW_LABELS = 60.0
_FEW_LABELS_FRACTION = 0.05
# Of classifiers on data sets that fit one machine.
_SMALL_FINETUNE_BATCH = 64


def recipe_for(
    dataset: str, given: Mapping[str, Any] | None = None
) -> tuple[str, Mapping[str, Any]]:
    """The recipe of a data set for a task, and its name.

    Args:
        dataset: as in `--dataset`; a /config or :version is ignored.
        given: the options that the user set; they say what the task is.

    Returns:
        Its own recipe, or the one called "other" for data nobody has tuned.
    """
    given = given or {}
    name = dataset.split("/")[0].split(":")[0]
    recipe = RECIPES.get(name, _SMALL_BATCH)
    name = name if name in RECIPES else "other"
    task = task_of(given)
    if name == "folder" and given.get("num_channels", 3) != 3:
        # Jitter and drop are defined in RGB. (`folder_recipe` says so.)
        recipe = {**recipe, "color_jitter_strength": 0.0}
    if task == "pretrain":
        return name, recipe
    images = {k: v for k, v in recipe.items() if k in _OF_THE_IMAGES}
    if task == "evaluate":
        return name, images
    if task == "finetune" and "train_batch_size" in images:
        images["train_batch_size"] = _SMALL_FINETUNE_BATCH
    combined = {**images, **TASKS[task]}
    if task == "finetune" and _few_labels(dataset, given):
        combined["train_epochs"] = _EPOCHS_ON_FEW_LABELS
    return f"{name}, {task}", combined


def task_of(given: Mapping[str, Any]) -> str:
    """A key of `TASKS`, "pretrain" or "evaluate"."""
    if given.get("mode") == "evaluate":
        return "linear" if given.get("protocol") == "probe" else "evaluate"
    task = given.get("train_mode", "pretrain")
    if task == "finetune" and given.get("fine_tune_after_block") == 4:
        return "linear"
    return task if task in TASKS else "pretrain"


def _few_labels(dataset: str, given: Mapping[str, Any]) -> bool:
    fraction = given.get("label_fraction") or 1.0
    return (
        dataset.endswith("1pct")
        or bool(given.get("labels_per_class"))
        or fraction <= _FEW_LABELS_FRACTION
    )
