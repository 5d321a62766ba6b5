"""--data_dir: a folder, several of them, or a list of folders and files.

    --data_dir=PHOTOS           a folder
    --data_dir=PHOTOS,SCANS     several, as if they were one
    --data_dir=LIST.txt         a line each: folders and files, relative to
                                where the list lies

What is named more than once, or lies in a folder that is also named, is read
once.

What was listed is kept while no folder in it has changed: in this process, and
on disk where there is much of it (`manifest`).
"""

import dataclasses
import os
import sys
import time
from collections.abc import Collection, Sequence

import tensorflow as tf

from simclr_tf.data.fingerprint import is_remote
from simclr_tf.data.folder import listing, manifest
from simclr_tf.data.folder.listing import Listing
from simclr_tf.errors import NotHere, UserError

# A listing that takes less needs no progress.
_SECONDS_BEFORE_A_WORD = 3.0

_last: dict[str, Listing] = {}


def listing_of(data_dir: str | None, *, arrays: bool = False) -> Listing:
    """What lies in --data_dir.

    Args:
        data_dir: see above.
        arrays: whether NPY files are images, also beside others.

    Raises:
        UserError: nothing of that name.
    """
    if not data_dir:
        raise NotHere(
            "--dataset=folder needs --data_dir, the folder of images."
        )
    path = os.path.expanduser(data_dir)
    path = path.rstrip("/") or path
    if tf.io.gfile.isdir(path):
        return _of_folder(path).with_arrays(arrays)
    if tf.io.gfile.exists(path):
        return _of_list(path, data_dir, arrays)
    parts = [part for part in data_dir.split(",") if part]
    if len(parts) > 1:
        plain = [_plain(part) for part in parts]
        # A list that lies in one of the folders may name others.
        lists = {one for one in plain if not tf.io.gfile.isdir(one)}
        kept = [parts[at] for at in _outermost(plain, apart=lists)]
        return _merged([listing_of(part, arrays=arrays) for part in kept])
    raise NotHere(f"--data_dir={data_dir} is not an existing folder.")


def _of_folder(path: str) -> Listing:
    known = _last.get(path) or manifest.read(path)
    if known is not None and manifest.still_holds(known):
        _last[path] = known
        return known
    started = time.time_ns()
    said = time.monotonic()

    def progress(count: int) -> None:
        nonlocal said
        if time.monotonic() > said + _SECONDS_BEFORE_A_WORD:
            said = time.monotonic()
            print(
                f"Listing {path}: {count} files so far.",
                file=sys.stderr,
                flush=True,
            )

    found = listing.read(path, progress=progress)
    _last.clear()
    if manifest.is_settled(found, started):
        _last[path] = found
        manifest.write(found)
    return found


def _of_list(path: str, data_dir: str, arrays: bool) -> Listing:
    """A text file that names folders and files."""
    try:
        with tf.io.gfile.GFile(path, "rb") as file:
            lines = file.read().decode("utf-8-sig").splitlines()
    except (tf.errors.OpError, UnicodeDecodeError) as error:
        raise UserError(
            f"--data_dir={data_dir} is a file, and no list of folders and "
            "files, a line each. Name the folder of images."
        ) from error
    here = os.path.dirname(path if is_remote(path) else os.path.abspath(path))
    named = [line.strip() for line in lines if line.strip()]
    named = [
        _plain(one if is_remote(one) else os.path.join(here, one))
        for one in named
    ]
    folders = {one for one in named if tf.io.gfile.isdir(one)}
    files = sorted(set(named) - folders)
    missing = [file for file in files if not tf.io.gfile.exists(file)]
    if missing or not named:
        raise (NotHere if missing else UserError)(
            f"--data_dir={data_dir} is a list, whose lines must name folders "
            f"and files: {listing.shortened(missing, 3) or 'it is empty'}"
            f"{' (does not exist)' if missing else ''}."
        )
    named = [named[at] for at in _outermost(named)]
    parts = [_of_folder(one) for one in named if one in folders]
    files = sorted(set(named) - folders)
    if files:
        parts.append(_of_files(files))
    return _merged([part.with_arrays(arrays) for part in parts])


def _plain(path: str) -> str:
    """The one way to write a path, of all that lead to the same place but
    those through links."""
    if is_remote(path):
        return path.rstrip("/")
    path = os.path.join(os.getcwd(), os.path.expanduser(path))
    plain = os.path.normpath(path)
    # Behind a link, ".." is not the folder before it.
    if ".." in path and os.path.realpath(plain) != os.path.realpath(path):
        return os.path.realpath(path)
    return plain


def _outermost(
    paths: Sequence[str], *, apart: Collection[str] = ()
) -> list[int]:
    """Which of some plain paths neither came before nor lie in another, but
    for those that stand apart, which may."""
    there = set(paths)
    kept: dict[str, int] = {}
    for at, path in enumerate(paths):
        before, above = path, os.path.dirname(path)
        while above not in there and above != before:
            before, above = above, os.path.dirname(above)
        within = above in there and above != path
        if path in apart or not within:
            kept.setdefault(path, at)
    return list(kept.values())


def _of_files(files: Sequence[str]) -> Listing:
    """Files by name, in the folders that they have below a common one."""
    base = os.path.dirname(files[0])
    while not all(file.startswith(f"{base}/") for file in files):
        base = os.path.dirname(base)
    images = [file for file in files if listing.has_suffix(file)]
    arrays = [file for file in files if file.lower().endswith(".npy")]
    passed_over: dict[str, int] = {}
    for file in set(files) - {*images, *arrays}:
        suffix = listing.suffix(file)
        passed_over[suffix] = passed_over.get(suffix, 0) + 1
    names = [file[len(base) + 1 :] for file in images]
    return Listing(
        base=base,
        names=names,
        kinds=listing.odd_kinds(base, names),
        passed_over=passed_over,
        arrays=[file[len(base) + 1 :] for file in arrays],
    )


def _merged(parts: Sequence[Listing]) -> Listing:
    """Several listings as one; a name that two have is told apart."""
    if len(parts) == 1:
        return parts[0]
    elsewhere: dict[str, str] = {}
    merged = Listing(
        base=",".join(part.base for part in parts),
        names=[],
        elsewhere=elsewhere,
    )
    for number, part in enumerate(parts, 1):
        for name in part.names:
            unique, suffix = os.path.splitext(name)
            unique = f"{unique}~{number}{suffix}" if name in elsewhere else name
            elsewhere[unique] = part.path(name)
            if name in part.kinds:
                merged.kinds[unique] = part.kinds[name]
            if name in part.targets:
                merged.targets[unique] = part.targets[name]
            elif part.modified:
                merged.targets[unique] = os.path.realpath(part.path(name))
        for kind, count in part.passed_over.items():
            merged.passed_over[kind] = merged.passed_over.get(kind, 0) + count
        merged.installs.update(part.installs)
        merged.dangling.extend(part.dangling)
        merged.closed.extend(part.closed)
        merged.results.extend(part.results)
        merged.unread.update(part.unread)
    return dataclasses.replace(merged, names=sorted(elsewhere))
