"""What an official checkpoint's files hold, held against what they tell."""

import math
import os

import numpy as np
import tensorflow as tf


def require_data(prefix: str, reader, shapes) -> None:
    """Checks that there is as much data as the index tells of, before
    anything is built from what it tells.

    Raises:
        ValueError: there is less.
    """
    types = reader.get_variable_to_dtype_map()
    told = sum(
        math.prod(shape) * types[key].size for key, shape in shapes.items()
        if types[key] != tf.string
    )  # fmt: skip
    folder, name = os.path.split(prefix)
    there = sum(
        tf.io.gfile.stat(os.path.join(folder, one)).length
        for one in tf.io.gfile.listdir(folder or ".")
        if one.startswith(f"{name}.data-")
    )
    if there < told:
        raise ValueError(
            f"its index tells of {told} bytes, and its data are {there}."
        )


def weight(name: str, value) -> np.ndarray:
    """float32 of a variable.

    Raises:
        ValueError: it holds no finite numbers of that size.
    """
    value = np.asarray(value)
    if not tf.as_dtype(value.dtype).is_floating:
        raise ValueError(f"{name} holds {value.dtype}, which weights are not.")
    with np.errstate(over="ignore"):
        value = value.astype(np.float32, copy=False)
    if not np.isfinite(value).all():
        raise ValueError(f"{name} holds numbers that are not finite.")
    return value
