"""Files written whole or not at all, on any file system.

Everything goes through tf.io.gfile, so that paths may be gs://. A file is
written aside, synced, renamed, and its folder is synced: after a power cut it
is the old one or the new one. Object stores need no syncing: an object is
there, whole, once it is closed.

What a kill leaves aside, `<name>.tmp-<process>-<machine>`, is removed by
`sweep_asides` once its process is dead.
"""

import contextlib
import functools
import hashlib
import io
import json
import os
import re
import socket
import time
from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from simclr_tf.errors import UserError

gfile = tf.io.gfile

_ASIDE = re.compile(r".*\.tmp-(\d+)(?:-([0-9a-f]{8}))?")
# Of another machine's process nobody here knows whether it lives.
_STALE_SECONDS = 3600.0


class DamagedFile(UserError):
    """A file is not what it was when it was written."""


def write_bytes(path: str, content: bytes) -> None:
    """Writes aside, then renames: a reader never sees half a file."""
    aside = aside_of(path)
    try:
        with gfile.GFile(aside, "wb") as file:
            file.write(content)
        sync(aside)
        gfile.rename(aside, path, overwrite=True)
    except (tf.errors.OpError, OSError):
        with contextlib.suppress(tf.errors.OpError, OSError):
            gfile.remove(aside)
        raise
    sync_folder(os.path.dirname(path))


def aside_of(path: str) -> str:
    """Where this process writes a file before it gets its name."""
    return f"{path}.tmp-{os.getpid()}-{_machine()}"


def cache_folder(name: str) -> str:
    """The folder of this name in the user's cache folder, which is ours:
    $XDG_CACHE_HOME/simclr_tf, or ~/.cache/simclr_tf."""
    cache = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return os.path.join(cache, "simclr_tf", name)


def sync(path: str) -> None:
    """Returns once the content of a file, or of a folder, is on the disk.

    A folder's content are names: those that were made, changed or removed.
    """
    if "://" in path:
        return
    opened = os.open(path, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


def sync_folder(path: str) -> None:
    """`sync` of a folder; "" is the one that the process works in."""
    sync(path or ".")


def make_folders(path: str) -> None:
    """Makes a folder, and those that it lies in, so that they stay."""
    if "://" in path:
        gfile.makedirs(path)
        return
    if not os.path.isdir(path):
        above = os.path.dirname(path.rstrip("/"))
        make_folders(above or ".")
        # Not TensorFlow's, which makes b of a/../b and no a: then there is no
        # such path.
        os.makedirs(path, exist_ok=True)
        sync_folder(above)


def sync_tree(path: str) -> None:
    """`sync` of a folder with all that is in it."""
    if "://" in path:
        return
    for folder, _, names in os.walk(path):
        for name in names:
            sync(os.path.join(folder, name))
        sync(folder)


def paths_in(folder: str, suffix: str) -> list[str]:
    """Paths of what in a folder has a suffix, sorted; none where there is no
    folder.

    Not by glob, to which a folder's name may be a pattern: "run[1]".
    """
    names = gfile.listdir(folder) if gfile.isdir(folder) else ()
    return sorted(os.path.join(folder, n) for n in names if n.endswith(suffix))


def sweep_asides(folder: str) -> None:
    """Removes what processes that are dead left aside in a folder.

    Of a process of another machine nobody here knows whether it lives: what it
    left goes when it is an hour old.
    """
    for name in gfile.listdir(folder) if gfile.isdir(folder) else ():
        path = os.path.join(folder, name)
        match = _ASIDE.fullmatch(name)
        if match and _is_left(path, int(match[1]), match[2]):
            # Another may sweep, too, or the process may just have finished.
            with contextlib.suppress(tf.errors.OpError, OSError):
                gfile.remove(path)


def write_json(path: str, content: Mapping[str, Any]) -> None:
    """`write_bytes` of indented JSON."""
    text = json.dumps(content, indent=2) + "\n"
    write_bytes(path, text.encode())


def read_json(path: str) -> dict[str, Any]:
    """Reads what `write_json` wrote.

    Raises:
        DamagedFile: the file is not a JSON object; the message names it.
        UserError: the file cannot be read.
    """
    try:
        with gfile.GFile(path, "rb") as file:
            found = json.loads(file.read())
    except (ValueError, RecursionError) as error:
        raise damaged(path, error) from error
    except tf.errors.OpError as error:
        raise _unreadable(path, error) from error
    if not isinstance(found, dict):
        raise damaged(path, f"it holds {_kind(found)}, not an object")
    return found


def damaged(path: str, reason: object) -> DamagedFile:
    """The error of a damaged file."""
    return DamagedFile(
        f"{path} is damaged ({_line(reason)}). Restore it, or remove it."
    )


def write_npz(path: str, arrays: Mapping[str, np.ndarray]) -> None:
    """`write_bytes` of NumPy arrays by name."""
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    write_bytes(path, buffer.getvalue())


def read_npz(path: str) -> dict[str, np.ndarray]:
    """Reads what `write_npz` wrote.

    Raises:
        DamagedFile: the message names it.
        UserError: the file cannot be read.
    """
    try:
        with gfile.GFile(path, "rb") as file:
            content = file.read()
    except tf.errors.OpError as error:
        raise _unreadable(path, error) from error
    try:
        arrays = np.load(io.BytesIO(content), allow_pickle=False)
        if not isinstance(arrays, np.lib.npyio.NpzFile):
            raise ValueError("it holds one array, not arrays by name")
        with arrays:
            return {name: arrays[name] for name in arrays.files}
    except Exception as error:  # NumPy doesn't tell what damage can raise
        raise damaged(path, error) from error


def _is_left(path: str, process: int, machine: str | None) -> bool:
    """Whether what lies aside is of a process that will not come back."""
    if machine == _machine():
        return process == os.getpid() or not _runs(process)
    try:
        written = gfile.stat(path).mtime_nsec / 1e9
    except tf.errors.OpError:
        return False
    return time.time() - written > _STALE_SECONDS


def _runs(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        pass
    return True


@functools.cache
def _machine() -> str:
    """This start of this machine, where process numbers mean something."""
    boot = ""
    with (
        contextlib.suppress(OSError),
        open("/proc/sys/kernel/random/boot_id") as file,
    ):
        boot = file.read()
    return hashlib.sha256((socket.gethostname() + boot).encode()).hexdigest()[
        :8
    ]


def _unreadable(path: str, error: Exception) -> UserError:
    return UserError(f"{path} cannot be read ({_line(error)}).")


def _line(reason: object) -> str:
    return " ".join(str(reason).split())[:200]


def _kind(found: Any) -> str:
    names = {list: "a list", str: "a text", type(None): "null"}
    return names.get(type(found), "a number")
