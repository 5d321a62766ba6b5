"""What the commands of a cell wrote, read without trusting it."""

from collections.abc import Mapping
from typing import Any

import tensorflow as tf

from simclr_tf import files
from simclr_tf.errors import UserError


def json_of(path: str) -> dict[str, Any] | None:
    """A JSON file; None where there is none that can be read."""
    if not tf.io.gfile.exists(path):
        return None
    try:
        return files.read_json(path)
    except UserError:
        return None


def record_of(folder: str) -> dict[str, Any]:
    """The record of the evaluation that a folder is of; empty: there is none.
    Other files may lie beside it."""
    for path in files.paths_in(folder, ".json"):
        record = json_of(path) or {}
        if isinstance(record.get("metrics"), Mapping):
            return record
    return {}
