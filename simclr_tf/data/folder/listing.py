"""What lies in a folder: its images, and what is passed over, by reason.

The names of images, and files that start like one, count as images. The rest
is counted by its suffix; names that begin with a dot are passed over without
a word. NPY arrays count as images where they are asked for, or where there is
nothing else.

A link is followed once: what is really there comes under its own name, and
then under the links to it only where it would be read nowhere else.
"""

import collections
import dataclasses
import os
from collections.abc import Callable, Sequence

from simclr_tf.data import decoding
from simclr_tf.data.fingerprint import REMOTE_LIMIT, is_remote
from simclr_tf.data.folder import results
from simclr_tf.data.folder.walk import LocalWalk, RemoteWalk, join

_ANY_SUFFIX = (*decoding.SUFFIXES, *decoding.SUFFIXES_OF_EXTRAS)
_PLAIN_SUFFIXES = (".jpg", ".jpeg", ".png")
_KIND_OF_SUFFIX = {
    ".tif": "TIFF",
    ".tiff": "TIFF",
    ".heic": "HEIC",
    ".heif": "HEIC",
    ".avif": "AVIF",
    ".jp2": "JPEG 2000",
    ".j2k": "JPEG 2000",
    ".jpx": "JPEG 2000",
}


@dataclasses.dataclass(frozen=True, eq=False)
class Listing:
    """What was found in a folder.

    Attributes:
        base: the folder.
        names: of its images, relative to it, with "/" between, sorted.
        elsewhere: name -> path, of images that do not lie under the base.
        kinds: name -> kind, of images that are neither JPEG nor PNG.
        targets: name -> real path, of images that links lead to.
        passed_over: suffix, as ".HEIC" or "(no suffix)" -> number of files.
        installs: what to install -> suffixes that could be read then.
        dangling: links to nothing, as names.
        closed: folders that may not be listed, as names.
        results: folders with results of our own commands, which are left out
            (`results`), as names; "." for the base.
        unread: path -> why not, of images of kinds that need an extra, and
            of the two before.
        modified: real path of every folder -> time of its last change in ns;
            empty where the folder is remote.
        arrays: names of NPY files, which are among neither names nor
            passed_over until `with_arrays` decides.
    """

    base: str
    names: list[str]
    elsewhere: dict[str, str] = dataclasses.field(default_factory=dict)
    kinds: dict[str, str] = dataclasses.field(default_factory=dict)
    targets: dict[str, str] = dataclasses.field(default_factory=dict)
    passed_over: dict[str, int] = dataclasses.field(default_factory=dict)
    installs: dict[str, list[str]] = dataclasses.field(default_factory=dict)
    dangling: list[str] = dataclasses.field(default_factory=list)
    closed: list[str] = dataclasses.field(default_factory=list)
    results: list[str] = dataclasses.field(default_factory=list)
    unread: dict[str, str] = dataclasses.field(default_factory=dict)
    modified: dict[str, int] = dataclasses.field(default_factory=dict)
    arrays: list[str] = dataclasses.field(default_factory=list)

    def with_arrays(self, wanted: bool) -> "Listing":
        """The same, its NPY files among the images, or passed over."""
        if not self.arrays:
            return self
        if wanted or not self.names:
            kinds = self.kinds | dict.fromkeys(self.arrays, "NPY")
            names = sorted([*self.names, *self.arrays])
            return dataclasses.replace(
                self, names=names, kinds=kinds, arrays=[]
            )
        counted = collections.Counter(self.passed_over)
        counted.update(suffix(name) for name in self.arrays)
        return dataclasses.replace(self, passed_over=dict(counted), arrays=[])

    def path(self, name: str) -> str:
        """Where an image lies."""
        return self.elsewhere.get(name) or join(self.base, name)

    def left_out(self) -> list[str]:
        """What was passed over, in words, a part each."""
        said = []
        if self.passed_over:
            by_count = sorted(
                self.passed_over.items(), key=lambda item: (-item[1], item[0])
            )
            kinds = [f"{count} {name}" for name, count in by_count]
            said.append("passed over: " + shortened(kinds))
        if self.results:
            said.append("passed over, as results: " + shortened(self.results))
        said += [
            f"{', '.join(names)} can be read after {way}"
            for way, names in self.installs.items()
        ]
        for what, names in (
            ("links to nothing", self.dangling),
            ("folders without permission", self.closed),
        ):
            if names:
                said.append(f"{len(names)} {what}: {shortened(names)}")
        return said


def shortened(words: Sequence[str], most: int = 8) -> str:
    """Words with commas; of many, the first and how many more."""
    kept = [
        os.fsencode(word).decode(errors="backslashreplace")
        for word in words[:most]
    ]
    more = [f"{len(words) - most} more"] if len(words) > most else []
    return ", ".join(kept + more)


def read(
    base: str, *, progress: Callable[[int], None] | None = None
) -> Listing:
    """Lists a folder.

    Args:
        base: an existing folder, on any file system that TensorFlow can read.
        progress: called with the number of files found, level by level.

    Returns:
        Listing.
    """
    walk = RemoteWalk(base, has_suffix) if is_remote(base) else LocalWalk(base)
    files = walk.files(progress)
    images, others = [], []
    for name in files:
        (images if has_suffix(name) else others).append(name)
    found = decoding.kinds_of([join(base, name) for name in others])
    unclear = dict(zip(others, found, strict=True))
    needed = _needed(
        {_kind_of_suffix(name) for name in images} | {*unclear.values()}
    )
    ours = results.folders(others)
    outermost = results.outermost(ours)
    within = tuple(f"{folder}/" for folder in outermost if folder)
    kept, arrays = [], []
    passed_over, installs = collections.Counter(), {}
    unread = {
        join(base, name): why
        for names, why in (
            (walk.dangling, "a link to nothing"),
            (walk.closed, "a folder without permission"),
        )
        for name in names
    }
    for name in files:
        kind = unclear[name] if name in unclear else _kind_of_suffix(name)
        if ours and results.is_picture(name, ours):
            continue
        if kind == "NPY":
            arrays.append(name)
        elif kind is None and name.startswith(within):
            continue
        elif kind is None or kind in needed:
            passed_over[suffix(name)] += 1
            if kind is not None:
                installs.setdefault(needed[kind], set()).add(suffix(name))
                why = f"{kind}, which needs {needed[kind]}"
                unread[join(base, name)] = why
        else:
            kept.append(name)
    return Listing(
        base=base,
        names=sorted(kept),
        kinds=odd_kinds(base, kept),
        targets={n: walk.targets[n] for n in kept + arrays if n in walk.targets}
        if walk.targets
        else {},
        passed_over=dict(passed_over),
        installs={way: sorted(names) for way, names in installs.items()},
        dangling=sorted(walk.dangling),
        closed=sorted(walk.closed),
        results=[folder or "." for folder in outermost],
        unread=unread,
        modified=walk.modified,
        arrays=sorted(arrays),
    )


def odd_kinds(base: str, names: Sequence[str]) -> dict[str, str]:
    """Kinds of the images that are neither JPEG nor PNG, by their first bytes;
    of many remote ones, by their names, since each costs a round trip."""
    if is_remote(base) and len(names) > REMOTE_LIMIT:
        names = [n for n in names if not n.lower().endswith(_PLAIN_SUFFIXES)]
    found = decoding.kinds_of([join(base, name) for name in names])
    return {
        name: kind
        for name, kind in zip(names, found, strict=True)
        if kind not in (None, "JPEG", "PNG")
    }


def once(listing: Listing, names: Sequence[str]) -> list[str]:
    """Those of the names that lead to different files: of several, the file's
    own name, or else the first link's."""
    if not listing.targets:
        return list(names)
    base = os.path.realpath(listing.base)
    taken = {join(base, n) for n in names if n not in listing.targets}
    kept = []
    for name in names:
        target = listing.targets.get(name)
        if target is None or target not in taken:
            kept.append(name)
            taken.add(target)
    return kept


def suffix(name: str) -> str:
    """ ".HEIC" of "a/b.HEIC"; "(no suffix)" where there is none."""
    return os.path.splitext(name)[1] or "(no suffix)"


def has_suffix(name: str) -> bool:
    """Whether a name is one that images bear."""
    return name.lower().endswith(_ANY_SUFFIX)


def _kind_of_suffix(name: str) -> str:
    """The kind that a suffix promises; "" for those that are always read."""
    return _KIND_OF_SUFFIX.get(os.path.splitext(name)[1].lower(), "")


def _needed(kinds) -> dict[str, str]:
    """Of kinds that cannot be read here, what to install."""
    ways = {kind: decoding.install(kind) for kind in kinds if kind}
    return {kind: way for kind, way in ways.items() if way}
