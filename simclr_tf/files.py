"""Files written whole or not at all, on any file system.

Everything goes through tf.io.gfile, so that paths may be gs://.
"""

import io
import json
import os
import zipfile
from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from simclr_tf.errors import UserError

gfile = tf.io.gfile

# What NumPy raises for half a file.
_DAMAGES = (ValueError, OSError, EOFError, KeyError, zipfile.BadZipFile)


def write_bytes(path: str, content: bytes) -> None:
    """Writes aside, then renames: a reader never sees half a file."""
    aside = f"{path}.tmp-{os.getpid()}"
    with gfile.GFile(aside, "wb") as file:
        file.write(content)
    gfile.rename(aside, path, overwrite=True)


def write_json(path: str, content: Mapping[str, Any]) -> None:
    """`write_bytes` of indented JSON."""
    text = json.dumps(content, indent=2) + "\n"
    write_bytes(path, text.encode())


def read_json(path: str) -> dict[str, Any]:
    """Reads what `write_json` wrote.

    Raises:
        UserError: the file is not JSON; the message names it.
    """
    with gfile.GFile(path, "r") as file:
        text = file.read()
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise UserError(
            f"{path} is damaged ({error}). Restore it, or remove it."
        ) from error


def write_npz(path: str, arrays: Mapping[str, np.ndarray]) -> None:
    """`write_bytes` of NumPy arrays by name."""
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    write_bytes(path, buffer.getvalue())


def read_npz(path: str) -> dict[str, np.ndarray]:
    """Reads what `write_npz` wrote.

    Raises:
        UserError: the file is damaged; the message names it.
    """
    with gfile.GFile(path, "rb") as file:
        content = file.read()
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
            return {name: arrays[name] for name in arrays.files}
    except _DAMAGES as error:
        raise UserError(
            f"{path} is damaged ({error}). Restore it, or remove it."
        ) from error
