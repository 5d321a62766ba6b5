"""What a command did to its files, one operation after the other.

`record` runs a command under strace and keeps every operation on files below a
folder. `Disk` does them again up to any moment, and says what is then on the
disk: after a kill, which loses nothing that was written, or after a power cut,
which may lose whatever was not synced.
"""

import contextlib
import functools
import os
import pathlib
import re
import shutil
import subprocess

import pytest

_CALLS = (
    *("open", "openat", "creat", "write", "pwrite64", "fsync", "fdatasync"),
    *("rename", "renameat", "renameat2", "unlink", "unlinkat", "rmdir"),
    *("mkdir", "mkdirat", "link", "linkat", "ftruncate", "truncate"),
)
_LINE = re.compile(r"(\d+) +(.*)", re.DOTALL)
_CALL = re.compile(r"(\w+)\((.*)\) += (-?\d+)(.*)", re.DOTALL)
_TEXT = r'"((?:\\x[0-9a-f]{2})*)"'
_OF_DESCRIPTOR = r"(?:\d+|AT_FDCWD)<((?:\\x[0-9a-f]{2})*)(?:\(deleted\))?>"


@functools.cache
def reason_not_to_record():
    """Why nothing can be recorded here; None where it can."""
    if shutil.which("strace") is None:
        return "strace is not installed"
    tried = subprocess.run(["strace", "-f", "true"], capture_output=True)
    return "strace may not trace here" if tried.returncode else None


def record(arguments, folder, log, **options):
    """Runs a command; returns its operations below a folder.

    Returns:
        [(name, *paths relative to the folder, more)], as `Disk.do` takes them.
    """
    if reason := reason_not_to_record():
        pytest.skip(reason)
    done = subprocess.run(
        [
            *("strace", "-f", "--seccomp-bpf", "-y", "-xx", "-s", "100000000"),
            *("-e", f"trace={','.join(_CALLS)}", "-e", "signal=none"),
            *("-o", str(log), *arguments),
        ],
        capture_output=True,
        text=True,
        **options,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    root = str(folder)
    operations = []
    for name, text, result in _calls(log):
        with contextlib.suppress(ValueError):  # of another folder
            operations += _operation(name, text, result, root)
    return operations


class Disk:
    """A folder, as operations make it."""

    def __init__(self):
        self.names = {}  # path -> _File; None for a folder
        self._durable = {}
        self._pending = []  # (changed folders, {path: _File | None | _GONE})

    def do(self, operation):
        """One operation of `record`."""
        name, *given = operation
        getattr(self, f"_{name}")(*given)

    def after_kill(self):
        """path -> bytes; None for a folder."""
        return {
            path: None if file is None else bytes(file.content)
            for path, file in self.names.items()
        }

    def after_power_cut(self, rng):
        """The same. What was not synced is lost, or half of it, or it is there:
        names in their order, as a journal keeps them; contents in any."""
        kept = rng.choice([0, rng.randint(0, len(self._pending)), 10**9])
        names = dict(self._durable)
        for _, changes in self._pending[:kept]:
            _change(names, changes)
        return {
            path: None if file is None else file.after_power_cut(rng)
            for path, file in names.items()
            if _has_folder(path, names)
        }

    def _opened(self, path, emptied):
        if path not in self.names:
            self._rename_many({path: _File()}, path)
        elif emptied:
            self.names[path].content[:] = b""

    def _folder(self, path):
        self._rename_many({path: None}, path)

    def _write(self, path, content, place):
        self.names[path].write(content, place)

    def _cut(self, path, size):
        self.names[path].content[size:] = b""

    def _sync(self, path):
        file = self.names.get(path)
        if file is not None:
            file.synced = bytes(file.content)
            return
        rest = []
        for folders, changes in self._pending:
            if path in folders:
                _change(self._durable, changes)
            else:
                rest.append((folders, changes))
        self._pending = rest

    def _rename(self, source, target):
        moved = {
            target + path[len(source) :]: file
            for path, file in self.names.items()
            if path in _tree(self.names, source)
        }
        gone = dict.fromkeys(_tree(self.names, source), _GONE)
        self._rename_many({**gone, **moved}, target, source)

    def _link(self, source, target):
        self._rename_many({target: self.names[source]}, target)

    def _remove(self, path):
        self._rename_many({path: _GONE}, path)

    def _rename_many(self, changes, *paths):
        _change(self.names, changes)
        folders = {os.path.dirname(path) for path in paths}
        self._pending.append((folders, changes))


class _File:
    def __init__(self):
        self.content, self.synced = bytearray(), b""

    def write(self, content, place):
        place = len(self.content) if place is None else place
        self.content[place : place + len(content)] = content

    def after_power_cut(self, rng):
        now, then = bytes(self.content), self.synced
        if not now.startswith(then):  # it was cut short since
            return rng.choice([now, then])
        size = rng.choice([len(then), rng.randint(len(then), len(now))])
        zeros = bytes(len(now) - size)
        return now[:size] + rng.choice([b"", zeros])


_GONE = object()


def lay_out(content, folder):
    """Makes a folder of what `after_kill` or `after_power_cut` gave."""
    folder = pathlib.Path(folder)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for path, data in content.items():
        place = folder / path
        if data is None:
            place.mkdir(parents=True, exist_ok=True)
        else:
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(data)


def content_of(folder):
    """What lies in a real folder, as `after_kill` would give it."""
    root = pathlib.Path(folder)
    return {
        str(path.relative_to(root)): None
        if path.is_dir()
        else path.read_bytes()
        for path in root.rglob("*")
    }


def _tree(names, root):
    return [p for p in names if p == root or p.startswith(f"{root}/")]


def _change(names, changes):
    for path, file in changes.items():
        if file is _GONE:
            names.pop(path, None)
        else:
            names[path] = file


def _has_folder(path, names):
    folder = os.path.dirname(path)
    return not folder or (folder in names and _has_folder(folder, names))


def _calls(log):
    """(name, arguments, result) of every system call that succeeded."""
    unfinished = {}
    with open(log) as file:
        for line in file:
            process, text = _LINE.fullmatch(line.rstrip("\n")).groups()
            if text.endswith("<unfinished ...>"):
                unfinished[process] = text.removesuffix("<unfinished ...>")
                continue
            if resumed := re.match(r"<\.\.\. \w+ resumed>", text):
                text = unfinished.pop(process) + text[resumed.end() :]
            if (call := _CALL.fullmatch(text)) and int(call[3]) >= 0:
                yield call[1], call[2], int(call[3])


def _operation(name, text, result, root):
    """Of a system call, as `Disk` does it; of another folder: ValueError."""
    texts = [_decoded(t) for t in re.findall(_TEXT, text)]
    descriptors = [_decoded(t) for t in re.findall(_OF_DESCRIPTOR, text)]
    if name in ("write", "pwrite64"):
        place = int(text.rsplit(", ", 1)[1]) if name == "pwrite64" else None
        path = _inside(descriptors[0], root)
        return [("write", path, texts[0][:result], place)]
    if name in ("fsync", "fdatasync"):
        return [("sync", _inside(descriptors[0], root))]
    if name == "ftruncate":
        size = int(text.rsplit(", ", 1)[1])
        return [("cut", _inside(descriptors[0], root), size)]
    # The folders that relative paths start from: none for a plain call.
    bases = descriptors or [os.fsencode(os.getcwd())] * 2
    bases += bases[:1]
    paths = [
        _inside(os.path.join(base, path), root)
        for base, path in zip(bases, texts, strict=False)
    ]
    if name in ("open", "openat", "creat"):
        made = "O_CREAT" in text or name == "creat"
        emptied = "O_TRUNC" in text or name == "creat"
        return [("opened", paths[0], emptied)] if made or emptied else []
    if name == "truncate":
        return [("cut", paths[0], int(text.rsplit(", ", 1)[1]))]
    if name.startswith("rename"):
        return [("rename", *paths)]
    if name.startswith("link"):
        return [("link", *paths)]
    if name.startswith("mkdir"):
        return [("folder", paths[0])]
    return [("remove", paths[0])]


def _decoded(text):
    return bytes.fromhex(text.replace("\\x", ""))


def _inside(path, root):
    path = os.fsdecode(path)
    if path == root:
        return ""
    if not path.startswith(f"{root}/"):
        raise ValueError(path)
    return os.path.relpath(path, root)
