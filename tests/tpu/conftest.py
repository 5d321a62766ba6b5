"""A checkout, a home for a TPU VM, and a fake gcloud between them."""

import dataclasses
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[2]
FAKE = pathlib.Path(__file__).with_name("fake_gcloud.py")


@dataclasses.dataclass
class Cloud:
    """What a test of the scripts works with.

    Attributes:
        folder: holds `checkout`, `tools` (on PATH) and the fake's notes.
        environment: of the scripts.
    """

    folder: pathlib.Path
    environment: dict

    @property
    def checkout(self):
        return self.folder / "checkout"

    def tool(self, name, script):
        """Puts a program on the PATH of the scripts."""
        path = self.folder / "tools" / name
        path.write_text(script)
        path.chmod(0o755)

    def start(self, script, *arguments, **knobs):
        """Starts a script of tpu/, as the leader of a process group."""
        return subprocess.Popen(
            ["bash", f"tpu/{script}", *arguments],
            cwd=self.checkout,
            env={**self.environment, **knobs},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def run(self, script, *arguments, **knobs):
        """Runs it to its end."""
        process = self.start(script, *arguments, **knobs)
        try:
            stdout, stderr = process.communicate(timeout=60)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
            raise
        return subprocess.CompletedProcess(
            process.args, process.returncode, stdout, stderr
        )

    def plays(self, **scenario):
        (self.folder / "scenario.json").write_text(json.dumps(scenario))

    def asked(self):
        """[kind, words] of every call of gcloud."""
        path = self.folder / "asked"
        if not path.exists():
            return []
        return [json.loads(line) for line in path.read_text().splitlines()]

    def kinds(self):
        return [kind for kind, _ in self.asked()]


def git(*words, cwd):
    identity = ["-c", "user.name=a", "-c", "user.email=a@b"]
    subprocess.run(["git", *identity, *words], cwd=cwd, check=True)


@pytest.fixture(scope="session")
def a_checkout(tmp_path_factory):
    folder = tmp_path_factory.mktemp("origin")
    shutil.copytree(
        ROOT / "tpu", folder / "tpu", ignore=lambda *_: ["__pycache__"]
    )
    for name in ("setup.py", "constraints.txt", "run.py", ".gitignore"):
        shutil.copy(ROOT / name, folder / name)
    git("init", "--quiet", cwd=folder)
    git("add", ".", cwd=folder)
    git("commit", "--quiet", "-m", "all", cwd=folder)
    return folder


@pytest.fixture
def cloud(tmp_path, a_checkout):
    (tmp_path / "tools").mkdir()
    shutil.copytree(a_checkout, tmp_path / "checkout")
    there = Cloud(
        tmp_path,
        {
            "PATH": f"{tmp_path / 'tools'}:{os.environ['PATH']}",
            "HOME": str(tmp_path),
            "FAKE_GCLOUD": str(tmp_path),
            "TPU_NAME": "simclr",
            "POLL_SECONDS": "0",
            "RESTART_SECONDS": "0",
        },
    )
    there.tool(
        "gcloud", f'#!/bin/sh\nexec {sys.executable} -I -S {FAKE} "$@"\n'
    )
    there.plays(describe=[[0, "READY\tv5litepod-16"]])
    return there
