"""The folder that an export is given away in.

It may be a checkout of a hub's repository: what we did not write stays.
export.json lists what is ours. While files are exchanged it says no more than
that; written last, it says that the export is whole.
"""

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
        DamagedFile: nobody can tell what is an export's.
    """
    there = gfile.listdir(folder) if gfile.isdir(folder) else ()
    others = [name for name in there if not name.startswith(".")]
    path = os.path.join(folder, RECORD)
    if gfile.exists(path):
        _listed(path)
    elif others:
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

    Raises:
        UserError: a file of somebody else's has the name of one of ours.
    """
    path = os.path.join(folder, RECORD)
    names = sorted(os.listdir(aside))
    before = _listed(path)
    for name in set(names) - {*before}:
        if _is_there(os.path.join(folder, name)):
            raise UserError(
                f"--model_dir={folder} holds {name}, which is not of the "
                "export there, and would be written over. Move it away."
            )
    # A kill from here on leaves a folder that the same command replaces.
    files.write_json(path, {"files": sorted({*before, *names})})
    for name in before:
        _remove(folder, name)
    for name in names:
        _copy(os.path.join(aside, name), os.path.join(folder, name))
    files.sync_tree(folder)
    files.write_json(path, {**record, "files": names})


def _listed(path: str) -> list[str]:
    """What export.json says is ours; of a stranger's, no path elsewhere.

    Raises:
        DamagedFile: it is none, or of another program.
    """
    if not gfile.exists(path):
        return []
    found = files.read_json(path).get("files")
    if not isinstance(found, list):
        raise files.damaged(path, "it lists no files of an export of ours")
    return [
        name
        for name in found
        if isinstance(name, str)
        and name not in ("", ".", "..", RECORD)
        and not {"/", "\0"}.intersection(name)
    ]


def _is_there(path: str) -> bool:
    """Also a link to nothing: to write there would write elsewhere."""
    return os.path.lexists(path) or gfile.exists(path)


def _remove(folder: str, name: str) -> None:
    path = os.path.join(folder, name)
    if os.path.islink(path):
        os.remove(path)  # and not what it leads to
    elif gfile.isdir(path):
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
