"""owner.json: which process a folder belongs to, while it lives.

Two commands in one folder would mix two runs, and both would seem to succeed.
So a run owns its folder: whoever comes second is refused while the owner
lives, and takes over when it is dead. On the owner's machine its process is
looked for; elsewhere a beat that the owner renews tells that it lives.
"""

import contextlib
import json
import os
import socket
import sys
import threading
import time
import uuid
from collections.abc import Callable
from typing import Any

import tensorflow as tf

from simclr_tf import files
from simclr_tf.errors import UserError
from simclr_tf.run_files.room import require_writable

gfile = tf.io.gfile

# Of whoever writes results into a folder that may be a run's, or a checkout of
# a hub's repository: hidden there.
OF_RESULTS = ".owner.json"
BEAT_SECONDS = 30.0
# Of another machine: clocks differ, and a slow file system delays a beat.
DEAD_SECONDS = 6 * BEAT_SECONDS
# How long a file system without exclusive creation takes to show a write.
_SETTLE_SECONDS = 1.0


class Owned(UserError):
    """Another process owns a folder, and lives."""


class Owner:
    """This process, as the owner of a folder. A context, or `release`.

    Args:
        folder: which it takes; exists.
        name: of the file that says so.

    Raises:
        Owned: another process owns it, and lives.
    """

    def __init__(self, folder: str, *, name: str = "owner.json"):
        self._path = os.path.join(folder, name)
        self._me = {
            "host": socket.gethostname(),
            "boot": _boot_id(),
            "pid": os.getpid(),
            "process_started": _start_of(os.getpid()),
            "started": time.time(),
            "command": " ".join(sys.argv),
            "token": uuid.uuid4().hex,
        }
        self._take(folder)
        self._released = threading.Event()
        self._beating = threading.Thread(target=self._beat, daemon=True)
        self._beating.start()

    def __enter__(self) -> "Owner":
        return self

    def __exit__(self, *_) -> None:
        self.release()

    def release(self) -> None:
        """Gives the folder back."""
        self._released.set()
        self._beating.join()
        found = _read(self._path)
        if found is not None and found.get("token") == self._me["token"]:
            gfile.remove(self._path)

    def _take(self, folder: str) -> None:
        owner = _read(self._path)
        if owner is not None and lives(owner):
            raise Owned(
                f"--model_dir={folder} belongs to a command that is running: "
                f"process {owner.get('pid')} on {owner.get('host')}, started "
                f"{_clock(owner.get('started'))}, {owner.get('command')!r}. "
                "Wait for it, stop it, or choose another --model_dir."
            )
        if "://" in folder:
            self._write()
            time.sleep(_SETTLE_SECONDS)
        else:
            self._create(dead=owner)
        won = _read(self._path)
        if won is None or won.get("token") != self._me["token"]:
            raise Owned(
                f"--model_dir={folder} was taken by another command at this "
                "moment. Wait for it, or choose another --model_dir."
            )

    def _create(self, *, dead: dict[str, Any] | None) -> None:
        """Exclusively: of several that try at once, one succeeds."""
        aside = files.aside_of(f"{self._path}.{self._me['token']}")
        with contextlib.suppress(FileNotFoundError):
            os.rename(self._path, aside)
            if (cleared := _read(aside)) is not None and cleared != dead:
                # Someone has taken it since; theirs it stays.
                os.rename(aside, self._path)
                return
        with open(aside, "w") as file:
            json.dump(self._content(), file)
        # Where the file exists, it names the winner.
        with contextlib.suppress(FileExistsError):
            os.link(aside, self._path)
        os.remove(aside)

    def _write(self) -> None:
        files.write_json(self._path, self._content())

    def _content(self) -> dict[str, Any]:
        return {**self._me, "beat": time.time()}

    def _beat(self) -> None:
        while not self._released.wait(BEAT_SECONDS):
            # A beat that is missed is made up for by the next.
            try:
                self._write()
            except (tf.errors.OpError, OSError):
                continue


def take(
    folder: str, *, name: str, check: Callable[[str], None] | None = None
) -> Owner:
    """Makes a folder this process's, without what killed processes left.

    Args:
        folder: is made where it is not there.
        name: of the file that says so.
        check: called with the folder once nobody else writes there; raises
            where the folder is not for us. None: any is.

    Raises:
        UserError: the folder cannot be written to, or it is another's.
    """
    require_writable(folder)
    mine = Owner(folder, name=name)
    try:
        files.sweep_asides(folder)
        if check:
            check(folder)
    except BaseException:
        mine.release()
        raise
    return mine


def is_owned(folder: str, *, name: str = "owner.json") -> bool:
    """Whether a process that lives owns a folder."""
    owner = _read(os.path.join(folder, name))
    return owner is not None and lives(owner)


def lives(owner: dict[str, Any]) -> bool:
    """Whether the process of an owner.json is still there."""
    if owner.get("host") == socket.gethostname() and (
        owner.get("boot") == _boot_id()
    ):
        started = _start_of(owner.get("pid"))
        return started is not None and started == owner.get("process_started")
    beat = owner.get("beat")
    return isinstance(beat, int | float) and (time.time() - beat < DEAD_SECONDS)


def _read(path: str) -> dict[str, Any] | None:
    """The owner of a folder; None where nobody legible is named."""
    if not gfile.exists(path):
        return None
    try:
        found = files.read_json(path)
    except (UserError, tf.errors.OpError, UnicodeDecodeError):
        return None
    return found if isinstance(found, dict) else None


def _boot_id() -> str:
    """Of this start of this machine; a process number is good for no other."""
    try:
        with open("/proc/sys/kernel/random/boot_id") as file:
            return file.read().strip()
    except OSError:
        return ""


def _start_of(pid: Any) -> str | None:
    """When a process of this machine began, in the system's own count; None
    where there is none. A number alone may be another process's by now."""
    if not isinstance(pid, int):
        return None
    try:
        with open(f"/proc/{pid}/stat") as file:
            # What is in brackets, the name, may hold spaces.
            state, *rest = file.read().rpartition(")")[2].split()
    except OSError:
        return _alive_without_proc(pid)
    return None if state == "Z" else rest[18]


def _alive_without_proc(pid: int) -> str | None:
    """Systems without /proc tell only whether a process is there."""
    if os.path.isdir("/proc/self"):
        return None
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return None
    except PermissionError:
        pass
    return "running"


def _clock(seconds: Any) -> str:
    if not isinstance(seconds, int | float):
        return "at an unknown time"
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(seconds))
