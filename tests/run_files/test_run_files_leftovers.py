"""What a kill leaves is removed by the owner, and nothing else is."""

import os
import subprocess
import sys
import time

import pytest

from simclr_tf import files
from simclr_tf.errors import UserError
from simclr_tf.run_files import leftovers
from simclr_tf.run_files.owner import Owner
from tests.run_files.test_run_files_folder import claim

_LEFT = [
    "config.json.tmp-{dead}",
    "owner.json.0123456789abcdef.tmp-{dead}",
    ".ckpt-7.tmp/ckpt-7.data-00000-of-00001",
    "ckpt-7_temp/part-00000-of-00001.index",
    "ckpt-7.data-00000-of-00001",
    "ckpt-7.index.tempstate123",
    "ckpt-6.data-00000-of-00001.tempstate123",
    "checkpoint.tmp0123456789abcdef",
    "saved_model/.7.tmp/variables/variables.index",
    "saved_model/.7.old.tmp/saved_model.pb",
    "saved_model/7/variables/variables.index",
]
_KEPT = [
    "config.json",
    "result.json.tmp-{alive}",
    "features.npz.tmp-1-00000000",  # of another machine, a moment ago
    "old.json.tmp-1",
    "ckpt-6.index",
    "ckpt-6.data-00000-of-00001",
    "saved_model/6/saved_model.pb",
    "saved_model/6/variables/variables.index",
    "notes.tmp",
    "unreadable/ckpt-5.data-00000-of-00001",
]


@pytest.fixture
def processes():
    """Names of a dead process and of one that lives, as in file names."""
    machine = files.aside_of("x").rsplit("-", 1)[1]
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    with subprocess.Popen(
        [sys.executable, "-c", "input()"], stdin=subprocess.PIPE
    ) as alive:
        yield {
            "dead": f"{dead.pid}-{machine}",
            "alive": f"{alive.pid}-{machine}",
        }
        alive.kill()


def make(folder, names, processes):
    for name in names:
        path = folder / name.format(**processes)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x")


def inside(folder):
    return {
        str(path.relative_to(folder))
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_what_is_left_goes_and_all_else_stays(tmp_path, processes):
    make(tmp_path, [*_LEFT, *_KEPT], processes)
    leftovers.sweep(str(tmp_path))
    assert inside(tmp_path) == {name.format(**processes) for name in _KEPT}


def test_an_hour_old_it_is_left_whoever_made_it(tmp_path, processes):
    make(tmp_path, _KEPT, processes)
    past = time.time() - 4000
    for name in ("features.npz.tmp-1-00000000", "old.json.tmp-1"):
        os.utime(tmp_path / name, (past, past))
    files.sweep_asides(str(tmp_path))
    gone = {name.format(**processes) for name in _KEPT} - inside(tmp_path)
    assert gone == {"features.npz.tmp-1-00000000", "old.json.tmp-1"}


def test_the_owner_sweeps_and_says_so(tmp_path, processes, capsys):
    make(tmp_path, _LEFT, processes)
    claim(tmp_path)
    assert inside(tmp_path) == {"config.json", "flags.json"}
    assert ".ckpt-7.tmp" in capsys.readouterr().out


def test_who_is_refused_sweeps_nothing(tmp_path, processes):
    make(tmp_path, _LEFT, processes)
    owner = Owner(str(tmp_path))
    before = inside(tmp_path)
    with pytest.raises(UserError, match="belongs to a command"):
        claim(tmp_path)
    assert inside(tmp_path) == before
    owner.release()
