"""A folder belongs to one command, while it lives."""

import contextlib
import json
import os
import pathlib
import subprocess
import sys
import time

import pytest

from simclr_tf.errors import UserError
from simclr_tf.run_files import owner as owners
from simclr_tf.run_files.owner import Owner, lives

ROOT = pathlib.Path(__file__).parents[2]

_HOLD = """
import sys
from simclr_tf.errors import UserError
from simclr_tf.run_files.owner import Owner
try:
    Owner(sys.argv[1])
except UserError as error:
    print("refused", error, flush=True)
else:
    print("taken", flush=True)
    sys.stdin.readline()
"""


def start(folder):
    """A process that takes the folder, and holds it."""
    return subprocess.Popen(
        [sys.executable, "-c", _HOLD, str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        cwd=ROOT,
    )


def test_the_second_is_refused_while_the_first_lives(tmp_path):
    with start(tmp_path) as process:
        try:
            assert process.stdout.readline() == "taken\n"
            with pytest.raises(UserError, match=f"process {process.pid} on"):
                Owner(str(tmp_path))
        finally:
            process.kill()
    # Killed, it left its name behind.
    assert (tmp_path / "owner.json").exists()
    mine = Owner(str(tmp_path))
    named = json.loads((tmp_path / "owner.json").read_text())
    assert named["pid"] == os.getpid()
    mine.release()
    assert os.listdir(tmp_path) == []


def test_of_many_at_once_one_gets_it(tmp_path):
    (tmp_path / "owner.json").write_text(json.dumps({"pid": 1, "host": "-"}))
    with contextlib.ExitStack() as stack:
        started = [stack.enter_context(start(tmp_path)) for _ in range(4)]
        try:
            said = [each.stdout.readline().split()[0] for each in started]
        finally:
            for each in started:
                each.kill()
    assert sorted(said) == ["refused"] * 3 + ["taken"]


@pytest.mark.parametrize(
    ("change", "alive"),
    [
        ({}, True),
        ({"process_started": "1"}, False),  # the number is another's by now
        ({"pid": 2**22 + 1}, False),
        ({"boot": "before"}, True),  # another machine's, with a fresh beat
        ({"host": "elsewhere"}, True),
        ({"host": "elsewhere", "beat": 0}, False),
        ({"host": "elsewhere", "beat": None}, False),
        ({"pid": "1; rm"}, False),
    ],
    ids=str,
)
def test_who_lives(tmp_path, change, alive):
    mine = Owner(str(tmp_path))
    content = json.loads((tmp_path / "owner.json").read_text())
    mine.release()
    assert lives({**content, **change}) is alive


@pytest.mark.parametrize("content", ["", "[]", "{", "null", "\xff"])
def test_a_damaged_name_is_nobodys(tmp_path, content):
    (tmp_path / "owner.json").write_bytes(content.encode("latin1"))
    Owner(str(tmp_path)).release()


def test_the_owner_shows_that_it_lives(tmp_path, monkeypatch):
    monkeypatch.setattr(owners, "BEAT_SECONDS", 0.01)
    mine = Owner(str(tmp_path))
    first = json.loads((tmp_path / "owner.json").read_text())["beat"]
    deadline = time.monotonic() + 10
    while json.loads((tmp_path / "owner.json").read_text())["beat"] == first:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    mine.release()


def test_where_nothing_is_exclusive_the_last_writer_wins(monkeypatch):
    monkeypatch.setattr(owners, "_SETTLE_SECONDS", 0.0)
    first = Owner("ram://owned")
    with pytest.raises(UserError, match="belongs to a command"):
        Owner("ram://owned")
    first.release()
    Owner("ram://owned").release()
