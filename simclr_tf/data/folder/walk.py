"""Every file under a folder: the walks of local and of remote ones.

A folder is listed level by level, several folders at a time, since listing is
waiting, for a network most of all. Names that begin with a dot are left out.
"""

import collections
import os
from collections.abc import Callable
from concurrent import futures

import tensorflow as tf

_NUM_THREADS = 16


def join(folder: str, name: str) -> str:
    """A path of one name in a folder; the folder itself for ""."""
    return f"{folder}/{name}" if name else folder


class RemoteWalk:
    """Files under a folder of another file system; there are no links."""

    def __init__(self, base: str, is_image: Callable[[str], bool]):
        self._base, self._is_image = base, is_image
        self.targets, self.modified = {}, {}
        self.dangling, self.closed = [], []

    def files(self, progress) -> list[str]:
        """Names of all files, in no order."""
        files, level = [], [""]
        with futures.ThreadPoolExecutor(_NUM_THREADS) as pool:
            while level:
                listed = list(pool.map(self._list, level))
                files += [name for found, _ in listed for name in found]
                level = [name for _, folders in listed for name in folders]
                if progress:
                    progress(len(files))
        return files

    def _list(self, folder: str) -> tuple[list[str], list[str]]:
        files, folders = [], []
        try:
            entries = tf.io.gfile.listdir(join(self._base, folder))
        except (tf.errors.PermissionDeniedError, tf.errors.NotFoundError):
            self.closed.append(folder)
            return files, folders
        for entry in entries:
            name = entry.rstrip("/")
            if not name or name.startswith("."):
                continue
            relative = f"{folder}/{name}" if folder else name
            # To ask a remote file system about each of a million images would
            # take hours, so a name that looks like an image's is a file.
            if entry.endswith("/") or (
                not self._is_image(name)
                and tf.io.gfile.isdir(join(self._base, relative))
            ):
                folders.append(relative)
            else:
                files.append(relative)
        return files, folders


class LocalWalk:
    """Files under a local folder, by names of any bytes, and through links.

    Under each top folder every real folder is listed once. So a link back to
    a folder above is not followed, and a split that is made of links into a
    common pool is.
    """

    def __init__(self, base: str):
        self._base = base
        self.targets, self.modified = {}, {}
        self.dangling, self.closed = [], []

    def files(self, progress) -> list[str]:
        """Names of all files, in no order."""
        real = os.path.realpath(self._base)
        seen = collections.defaultdict(lambda: {real})
        files, links, level = [], [], [("", real)]
        with futures.ThreadPoolExecutor(_NUM_THREADS) as pool:
            while level or links:
                if not level:
                    # Last, so that what is really there comes first.
                    level = self._followed(sorted(links), seen, files)
                    links = []
                below = []
                for found in pool.map(lambda one: self._list(*one), level):
                    files += found[0]
                    links += found[2]
                    for name, path in found[1]:
                        places = seen[name.split("/", 1)[0]]
                        if path not in places:
                            places.add(path)
                            below.append((name, path))
                level = below
                if progress:
                    progress(len(files))
        return files

    def _list(self, folder: str, real: str):
        """Names of files, (name, real path) of folders, names of links."""
        files, folders, links = [], [], []
        prefix = f"{folder}/" if folder else ""
        # A real path that differs from the name's was come to by a link.
        linked = real != join(os.path.realpath(self._base), folder)
        try:
            self.modified[real] = os.stat(real).st_mtime_ns
            with os.scandir(real) as entries:
                for entry in entries:
                    if entry.name.startswith("."):
                        continue
                    name = prefix + entry.name
                    if entry.is_symlink():
                        links.append(name)
                    elif entry.is_dir():
                        folders.append((name, f"{real}/{entry.name}"))
                    elif entry.is_file():
                        files.append(name)
                        if linked:
                            self.targets[name] = f"{real}/{entry.name}"
        except OSError:
            self.closed.append(folder or ".")
        return files, folders, links

    def _followed(self, links, seen, files) -> list[tuple[str, str]]:
        """Folders that links lead to and that are new; files are added."""
        folders = []
        for name in links:
            path = os.path.realpath(join(self._base, name))
            places = seen[name.split("/", 1)[0]]
            if os.path.isdir(path):
                if path not in places:
                    places.add(path)
                    folders.append((name, path))
            elif os.path.isfile(path):
                files.append(name)
                self.targets[name] = path
            else:
                self.dangling.append(name)
        return folders
