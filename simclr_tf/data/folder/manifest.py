"""What a large folder holds, kept on disk, so that the next start need not ask.

A manifest lies in the cache folder of the user, not in the folder of images,
which may be read by others or not be writable. It holds while no folder in it
was changed: a file that comes or goes changes the time of its folder. That a
file's contents change, the fingerprint sees, not the manifest. Remote folders
have no such times and are listed every time.
"""

import dataclasses
import hashlib
import json
import os
import zlib
from pathlib import Path

from simclr_tf import files
from simclr_tf.data.folder.listing import Listing

# A smaller folder is listed in less than a second.
_LEAST_FILES = 50_000
# A folder that was changed so recently may have been changed while it was
# read, without its time telling.
_SETTLED_NS = 2_000_000_000
_VERSION = 4


def folder() -> Path:
    """Where manifests lie: in the user's cache folder."""
    return Path(files.cache_folder("listings"))


def is_settled(listing: Listing, started_ns: int) -> bool:
    """Whether the times of its folders will tell of the next change."""
    latest = max(listing.modified.values(), default=None)
    return latest is not None and latest < started_ns - _SETTLED_NS


def still_holds(listing: Listing) -> bool:
    """Whether no folder has changed since it was listed."""
    try:
        return all(
            os.stat(path).st_mtime_ns == time
            for path, time in listing.modified.items()
        )
    except OSError:
        return False


def write(listing: Listing) -> None:
    """Keeps a listing, where it is large; nothing happens where it cannot."""
    if len(listing.names) + len(listing.arrays) < _LEAST_FILES:
        return
    path = _path(listing.base)
    fields = dataclasses.asdict(listing) | {"version": _VERSION}
    packed = zlib.compress(json.dumps(fields).encode(), 1)
    aside = path.with_suffix(f".{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        aside.write_bytes(packed)
        aside.replace(path)
    except OSError:
        aside.unlink(missing_ok=True)


def read(base: str) -> Listing | None:
    """The listing of a folder that was kept; None where there is none."""
    try:
        fields = json.loads(zlib.decompress(_path(base).read_bytes()))
        if fields.pop("version") == _VERSION and fields["base"] == base:
            return Listing(**fields)
    except (OSError, ValueError, KeyError, TypeError, zlib.error):
        pass  # absent, or written by another version: list anew
    return None


def _path(base: str) -> Path:
    name = hashlib.sha256(os.fsencode(os.path.abspath(base))).hexdigest()[:16]
    return folder() / f"{name}.json.z"
