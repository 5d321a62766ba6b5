"""Standard output that nobody reads, is closed, or is on a full disk."""

import os
import pty
import subprocess
import sys

import pytest

from tests.processes import ROOT

PROGRAM = """
import os, sys
from simclr_tf import terminal
terminal.keep_going()
for n in range(2000):
    print("line", n, "\\u00e9", flush=n % 7 == 0)
    print("warning", n, file=sys.stderr)
with open(sys.argv[1], "w") as file:
    file.write(f"{file.fileno()} done")
sys.stdout.flush()
sys.exit(5)
"""


def shell(line, tmp_path, **options):
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    return subprocess.run(
        [
            "bash",
            "-c",
            line.replace("PROGRAM", f"{sys.executable} {program} out"),
        ],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        timeout=60,
        env={**os.environ, "PYTHONPATH": str(ROOT), **options},
    )


@pytest.mark.parametrize(
    "how",
    [
        "PROGRAM | head -1; exit ${PIPESTATUS[0]}",
        "PROGRAM 2>&1 | head -1; exit ${PIPESTATUS[0]}",
        "PROGRAM | true; exit ${PIPESTATUS[0]}",
        "PROGRAM >&-",
        "PROGRAM 2>&-",
        "PROGRAM >&- 2>&- <&-",
        "PROGRAM >/dev/full",
        "PROGRAM >/dev/full 2>&1",
        "PROGRAM",
    ],
)
def test_work_is_done_whoever_reads(how, tmp_path):
    done = shell(how, tmp_path)
    assert done.returncode == 5
    descriptor, word = (tmp_path / "out").read_text().split()
    assert word == "done" and int(descriptor) > 2
    assert "Traceback" not in done.stderr and "Error" not in done.stderr


def test_what_cannot_be_encoded_is_escaped(tmp_path):
    done = shell("PROGRAM", tmp_path, PYTHONIOENCODING="ascii", LC_ALL="C")
    assert done.returncode == 5 and "line 3 \\xe9" in done.stdout


def test_a_terminal_that_is_lost(tmp_path):
    leader, follower = pty.openpty()
    program = tmp_path / "program.py"
    program.write_text("import time; time.sleep(1)\n" + PROGRAM)
    with subprocess.Popen(
        [sys.executable, str(program), "out"],
        stdout=follower,
        stderr=follower,
        stdin=follower,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    ) as process:
        os.close(follower)
        os.close(leader)
        assert process.wait(60) == 5
    assert (tmp_path / "out").read_text().endswith("done")
