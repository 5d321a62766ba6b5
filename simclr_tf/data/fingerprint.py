"""Which images, and which labels: fingerprints that change when they do.

Two are kept of a source. The image fingerprint says which images come in
which order; what depends on images alone, such as features, is kept under it.
The fingerprint says the labels and the names of the classes, too.

Of files, it is the contents that count, where they are on a local file system
and no more than CONTENT_LIMIT_BYTES together. A folder of such a size has the
same fingerprint wherever it is moved or copied. Of larger and of remote ones
it is the sizes and the times of the last change, which a copy keeps only where
it is told to (`cp -p`, `rsync -a`, `gsutil cp -P`).
"""

import hashlib
import os
import time
from collections.abc import Callable, Sequence
from concurrent import futures

import numpy as np
import tensorflow as tf

# What is read and hashed at the start of a job: about a second's worth.
CONTENT_LIMIT_BYTES = 256 << 20
# To ask a remote file system about one file takes some 50 ms. Of more files
# than this, so many are asked about, chosen by their ids.
REMOTE_LIMIT = 20_000
_NUM_THREADS = 16
_NUM_REMOTE_THREADS = 64
# A task of a thread pool costs more than to read a small file.
_FILES_A_TASK = 256
# Threads that take turns double the time of a call that doesn't wait: a local
# file's state takes 2 microseconds, one over a network 500.
_SLOW_CALL_SECONDS = 2e-4
# The content id of what holds nothing, or cannot be read.
NO_CONTENT = -1


def digest(*parts) -> str:
    """16 hex digits of a hash of strings, numbers, tuples and arrays."""
    hashed = hashlib.sha256()
    for part in parts:
        if isinstance(part, np.ndarray):
            hashed.update(f"{part.dtype.str}{part.shape}".encode())
            hashed.update(np.ascontiguousarray(part).data)
        else:
            hashed.update(repr(part).encode())
        hashed.update(b"\n")
    return hashed.hexdigest()[:16]


def with_labels(
    image_fingerprint: str, labels: np.ndarray, class_names: Sequence[str]
) -> str:
    """The fingerprint of images with these labels."""
    return digest(image_fingerprint, labels, tuple(class_names))


def content_id(content: bytes) -> int:
    """A hash of bytes in 0..2^63-1; NO_CONTENT where there are none."""
    if not len(content):
        return NO_CONTENT
    hashed = hashlib.blake2b(content, digest_size=8).digest()
    return int.from_bytes(hashed, "little") >> 1


def of_files(
    paths: Sequence[str], ids: np.ndarray
) -> tuple[str, np.ndarray | None]:
    """The image fingerprint of files, and their content ids.

    Args:
        paths: of files, in order; all local, or all of one remote file system.
            One that cannot be read counts as empty.
        ids: int64[n], their sample ids.

    Returns:
        The fingerprint, and int64[n]: equal for equal contents. None where
        the contents were not read.
    """
    if is_remote(paths[0]):
        asked = np.sort(np.argsort(ids, kind="stable")[:REMOTE_LIMIT])
        states = _mapped(
            _remote_state, [paths[i] for i in asked], _NUM_REMOTE_THREADS
        )
        return digest("times", ids, states), None
    states = _mapped(_local_state, paths, _NUM_THREADS)
    if states[:, 0].sum() > CONTENT_LIMIT_BYTES:
        return digest("times", ids, states), None
    contents = _mapped(_local_content, paths, _NUM_THREADS)
    return digest("contents", ids, contents), contents


def of_shards(paths: Sequence[str]) -> np.ndarray | None:
    """int64[n], content ids of the files of a prepared data set, or None
    where `of_files` would not read them, or one is missing."""
    if any(is_remote(path) for path in paths):
        return None
    if not all(os.path.isfile(path) for path in paths):
        return None
    if sum(map(os.path.getsize, paths)) > CONTENT_LIMIT_BYTES:
        return None
    return _mapped(_local_content, paths, _NUM_THREADS)


def is_remote(path: str) -> bool:
    """Whether a path is one of TensorFlow's file systems, such as gs://."""
    return "://" in path


def _mapped(function: Callable, paths: Sequence[str], threads) -> np.ndarray:
    """int64[n, ...], function of every path, several at a time once calls
    are seen to wait."""
    size = _FILES_A_TASK if threads == _NUM_THREADS else 1
    tasks = [paths[i : i + size] for i in range(0, len(paths), size)]
    done = []
    for task in tasks:
        began = time.perf_counter()
        done.append([function(path) for path in task])
        if time.perf_counter() - began > _SLOW_CALL_SECONDS * len(task):
            break
    with futures.ThreadPoolExecutor(threads) as pool:
        done += pool.map(
            lambda task: [function(path) for path in task], tasks[len(done) :]
        )
    return np.array([one for task in done for one in task], np.int64)


def _local_state(path: str) -> tuple[int, int]:
    """Size in bytes and time of the last change in ns."""
    try:
        found = os.stat(path)
    except OSError:
        return 0, 0
    return found.st_size, found.st_mtime_ns


def _remote_state(path: str) -> tuple[int, int]:
    try:
        found = tf.io.gfile.stat(path)
    except tf.errors.OpError:
        return 0, 0
    return found.length, found.mtime_nsec


def _local_content(path: str) -> int:
    try:
        with open(path, "rb") as file:
            return content_id(file.read())
    except OSError:
        return NO_CONTENT
