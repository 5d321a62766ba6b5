"""TF1 checkpoints as google-research/simclr writes them, of a tiny ResNet-10.

The names are spelled out here a second time, as the program under test must
find them.
"""

import numpy as np
import tensorflow as tf

WIDTH = 8  # channels of the stem: an eighth
FEATURES = 8 * WIDTH
# Our layers, in the order in which the official code makes theirs.
ORDER = (
    "stem_{}",
    *(
        f"group{g}_block0_{layer}"
        for g in (1, 2, 3, 4)
        for layer in ("shortcut_{}", "{}1", "{}2")
    ),
)
PARTS = ("gamma", "beta", "moving_mean", "moving_variance")


def encoder(*, seed=0, prefix=""):
    """Variable name -> value, of an encoder for images of up to 32 px."""
    rng = np.random.default_rng(seed)
    sides = [(3, 3, WIDTH)]
    before = WIDTH
    for after in (WIDTH, 2 * WIDTH, 4 * WIDTH, 8 * WIDTH):
        sides += [(1, before, after), (3, before, after), (3, after, after)]
        before = after
    found = {}
    for i, (side, before, after) in enumerate(sides):
        number = f"_{i}" if i else ""
        norm = f"base_model/batch_normalization{number}"
        shape = (side, side, before, after)
        kernel = rng.normal(0, 1 / np.sqrt(side * side * before), shape)
        found[f"base_model/conv2d{number}/kernel"] = kernel
        for part in PARTS:
            found[f"{norm}/{part}"] = rng.uniform(0.5, 1.5, after)
    return {prefix + name: _float(value) for name, value in found.items()}


def projection(widths, *, seed=1, kind="nl"):
    """Of a projection head whose layers give so many numbers."""
    rng = np.random.default_rng(seed)
    found, before = {}, FEATURES
    for j, after in enumerate(widths):
        scope = f"head_contrastive/{kind}_{j}"
        kernel = rng.normal(0, 1 / np.sqrt(before), (before, after))
        found[f"{scope}/dense/kernel"] = kernel
        last = j == len(widths) - 1
        for part in PARTS[:1] + PARTS[2:] if last else PARTS:
            name = f"{scope}/batch_normalization/{part}"
            found[name] = rng.uniform(0.5, 1.5, after)
        before = after
    return {name: _float(value) for name, value in found.items()}


def linear(classes=10, *, seed=2):
    """Of a linear head that reads as many numbers as the encoder gives."""
    kernel = np.random.default_rng(seed).normal(0, 0.1, (FEATURES, classes))
    scope = "head_supervised/linear_layer/dense"
    return {
        f"{scope}/kernel": _float(kernel),
        f"{scope}/bias": _float(np.arange(classes)),
    }


def momentum(variables):
    """With the optimizer's slots, and the counter of steps."""
    slots = {f"{name}/Momentum": 9 * v for name, v in variables.items()}
    return {**variables, **slots, "global_step": np.int64(77)}


def write(folder, variables, *, name="model.ckpt-77"):
    """Writes a checkpoint; returns its prefix."""
    folder.mkdir(parents=True, exist_ok=True)
    prefix = str(folder / name)
    with tf.device("CPU:0"):
        tf.raw_ops.MergeV2Checkpoints(
            checkpoint_prefixes=[_saved(f"{prefix}_part", variables)],
            destination_prefix=prefix,
        )
    return prefix


def _saved(prefix, variables):
    tf.raw_ops.SaveV2(
        prefix=prefix,
        tensor_names=list(variables),
        shape_and_slices=[""] * len(variables),
        tensors=[tf.constant(value) for value in variables.values()],
    )
    return prefix


def _float(value):
    return np.asarray(value, np.float32)
