"""Which weights these are: a hash that changes with any bit of them."""

import hashlib
from collections.abc import Iterable, Mapping

import numpy as np
import tensorflow as tf


def variables_sha256(variables: Iterable[tf.Variable]) -> str:
    """Hex SHA-256 over names, shapes, types and bytes, sorted by name."""
    digest = hashlib.sha256()
    for variable in sorted(variables, key=lambda v: v.name):
        value = variable.numpy()
        digest.update(f"{variable.name} {value.shape} {value.dtype}".encode())
        digest.update(value.tobytes())
    return digest.hexdigest()


def values_sha256(values: Mapping[str, np.ndarray]) -> str:
    """The same kind of hash of arrays by name."""
    digest = hashlib.sha256()
    for name in sorted(values):
        value = np.asarray(values[name])
        digest.update(f"{name} {value.shape} {value.dtype}".encode())
        digest.update(value.tobytes())
    return digest.hexdigest()
