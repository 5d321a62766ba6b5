"""The folder that an export is given away in.

It may be a checkout of a hub's repository: what we did not write stays.
export.json is written last and lists what is there: with it, an export is
whole.
"""

import json
import os
from collections.abc import Mapping
from typing import Any

import tensorflow as tf

from simclr_tf import files
from simclr_tf.errors import UserError

RECORD = "export.json"
gfile = tf.io.gfile


def require_free(folder: str) -> None:
    """Checks that nothing of others would be written over.

    Raises:
        UserError: there are other files, and no export.
    """
    there = gfile.listdir(folder) if gfile.isdir(folder) else ()
    others = [name for name in there if not name.startswith(".")]
    if others and not gfile.exists(os.path.join(folder, RECORD)):
        raise UserError(
            f"--model_dir={folder} holds other files, and no export. Name a "
            "new folder, or an export to replace."
        )


def publish(aside: str, folder: str, record: Mapping[str, Any]) -> None:
    """Puts files into a folder, in the place of an earlier export's.

    Args:
        aside: local folder, which holds the files.
        folder: exists; any file system.
        record: for export.json, which gets "files" beside.
    """
    path = os.path.join(folder, RECORD)
    if gfile.exists(path):
        before = files.read_json(path).get("files")
        gfile.remove(path)
        for name in before if isinstance(before, list) else ():
            _remove(folder, name)
    names = sorted(os.listdir(aside))
    for name in names:
        _copy(os.path.join(aside, name), os.path.join(folder, name))
    files.sync_tree(folder)
    text = json.dumps({**record, "files": names}, indent=2) + "\n"
    files.write_bytes(path, text.encode())


def _remove(folder: str, name: Any) -> None:
    if not isinstance(name, str) or name in ("", ".", "..") or "/" in name:
        return  # nothing that `publish` wrote
    path = os.path.join(folder, name)
    if gfile.isdir(path):
        gfile.rmtree(path)
    elif gfile.exists(path):
        gfile.remove(path)


def _copy(source: str, target: str) -> None:
    if not os.path.isdir(source):
        gfile.copy(source, target, overwrite=True)
        return
    files.make_folders(target)
    for name in os.listdir(source):
        _copy(os.path.join(source, name), os.path.join(target, name))
