"""What happens on a TPU VM, tried on this machine."""

import importlib.metadata
import os
import pathlib
import shlex
import signal
import socket
import subprocess
import sys
import time

import pytest

ROOT = pathlib.Path(__file__).parents[2]
# Stands for .venv/bin/python. run.py: notes its arguments and environment, then
# does what $BEHAVIOUR says.
PYTHON = f"""#!/bin/bash
echo "${{*@Q}}" >>"$FAKE_GCLOUD/python"
case "$*" in
  *get_library_path*) echo /venv/libtpu.so ;;
  *--addresses) echo grpc://10.0.0.2:8470,grpc://10.0.0.3:8470 ;;
  tpu/worker.py) exec {sys.executable} -S "$FAKE_GCLOUD/listen.py" ;;
  run.py*)
    env | grep -E "^TPU_|PLUGGABLE" | sort >"$FAKE_GCLOUD/environment"
    echo "step 1"
    eval "$BEHAVIOUR" ;;
esac
"""
LISTEN = """
import os, socket, time
server = socket.create_server(("localhost", int(os.environ["PORT"])))
time.sleep(60)
"""
UNTIL_TERM = 'trap "echo saved; exit 143" TERM; while true; do sleep 0.05; done'
ONE = {"GENERATION": "v5e", "HOSTS": "one"}
SEVERAL = {"GENERATION": "v5e", "HOSTS": "several"}


@pytest.fixture
def vm(cloud):
    """A checkout with a fake .venv; ends what a test leaves behind."""
    with socket.create_server(("localhost", 0)) as free:
        cloud.environment["PORT"] = str(free.getsockname()[1])
    (cloud.folder / "listen.py").write_text(LISTEN)
    cloud.tool("venv_python", PYTHON)
    place = cloud.checkout / ".venv" / "bin"
    place.mkdir(parents=True)
    (place / "python").symlink_to(cloud.folder / "tools" / "venv_python")
    yield cloud
    for file in cloud.folder.glob("*/runs/jobs/*/pid"):
        try:
            os.killpg(int(file.read_text()), signal.SIGKILL)
        except ProcessLookupError:
            continue


def called(cloud):
    """Every call of the fake Python, as words."""
    lines = (cloud.folder / "python").read_text().splitlines()
    return [shlex.split(line) for line in lines]


def until(condition):
    limit = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < limit, "waited in vain"
        time.sleep(0.02)


def keeper(cloud, job="run"):
    path = cloud.checkout / "runs" / "jobs" / job / "pid"
    until(path.exists)
    until(path.read_text)
    return int(path.read_text())


@pytest.mark.parametrize("status", [0, 2, 3, 143])
def test_the_exit_status_is_run_pys(vm, status):
    ended = vm.run("vm.sh", "run", "--a=b c", BEHAVIOUR=f"exit {status}", **ONE)
    assert ended.returncode == status
    assert ended.stdout == "step 1\n"
    assert called(vm)[-1] == ["run.py", "--a=b c"]


def test_each_run_shows_its_own_output(vm):
    for _ in range(2):
        ended = vm.run("vm.sh", "run", BEHAVIOUR="echo done", **ONE)
        assert ended.stdout == "step 1\ndone\n"


@pytest.mark.parametrize(
    ("generation", "hosts", "expected"),
    [
        ("v4", "one", ["TPU_NAME=local"]),
        (
            "v6e",
            "one",
            [
                "NEXT_PLUGGABLE_DEVICE_USE_C_API=true",
                "TF_PLUGGABLE_DEVICE_LIBRARY_PATH=/venv/libtpu.so",
                "TPU_NAME=local",
            ],
        ),
        (
            "v5e",
            "several",
            [
                "TPU_LOAD_LIBRARY=0",
                "TPU_NAME=grpc://10.0.0.2:8470,grpc://10.0.0.3:8470",
            ],
        ),
    ],
)
def test_what_run_py_finds_in_its_environment(vm, generation, hosts, expected):
    del vm.environment["TPU_NAME"]
    vm.run("vm.sh", "run", GENERATION=generation, HOSTS=hosts)
    found = (vm.folder / "environment").read_text().splitlines()
    assert found == expected


def test_a_lost_connection_ends_nothing_and_is_taken_up_again(vm):
    first = vm.start("vm.sh", "run", BEHAVIOUR=UNTIL_TERM, **ONE)
    running = keeper(vm)
    assert first.stdout.readline() == "step 1\n"
    os.killpg(first.pid, signal.SIGKILL)
    first.communicate(timeout=30)
    second = vm.start("vm.sh", "run", BEHAVIOUR="exit 9", **ONE)
    assert "following" in second.stdout.readline()
    assert keeper(vm) == running

    other = vm.run("vm.sh", "run", "--other=1", **ONE)
    assert other.returncode == 2
    (line,) = other.stderr.splitlines()
    assert "another run" in line and "--stop" in line

    stopped = vm.run("vm.sh", "stop", **ONE)
    assert stopped.returncode == 0
    assert stopped.stdout.endswith("saved\n")
    output, _ = second.communicate(timeout=30)
    assert second.returncode == 143
    assert output.endswith("saved\n")
    assert [c for c in called(vm) if c[0] == "run.py"] == [["run.py"]]
    assert "nothing runs" in vm.run("vm.sh", "stop", **ONE).stdout


def test_a_run_that_was_killed_whole(vm):
    following = vm.start("vm.sh", "run", BEHAVIOUR=UNTIL_TERM, **ONE)
    assert following.stdout.readline() == "step 1\n"
    os.killpg(keeper(vm), signal.SIGKILL)
    following.communicate(timeout=30)
    assert following.returncode == 137


def test_a_process_id_from_before_a_reboot_is_nobodys(vm):
    vm.run("vm.sh", "run", **ONE)
    pid = vm.checkout / "runs" / "jobs" / "run" / "pid"
    pid.write_text(str(os.getpid()))
    ended = vm.run("vm.sh", "run", BEHAVIOUR="echo anew", **ONE)
    assert ended.stdout == "step 1\nanew\n"


def test_the_server_starts_once_and_anew(vm):
    served = [vm.run("vm.sh", "serve", **SEVERAL) for _ in range(2)]
    assert [s.returncode for s in served] == [0, 0]
    first = keeper(vm, "server")
    socket.create_connection(("localhost", int(vm.environment["PORT"]))).close()
    assert vm.run("vm.sh", "serve_anew", **SEVERAL).returncode == 0
    assert keeper(vm, "server") != first
    # Gone, or a zombie that nobody has collected yet.
    killed = pathlib.Path(f"/proc/{first}/cmdline")
    assert not killed.exists() or not killed.read_bytes()


def test_a_server_that_ends_says_why(vm):
    (vm.folder / "listen.py").write_text("raise SystemExit('error: no TPU')")
    failed = vm.run("vm.sh", "serve", **SEVERAL)
    assert failed.returncode == 2
    (line,) = failed.stderr.splitlines()
    assert "no TPU" in line


def test_vm_sh_knows_its_words(vm):
    assert "Received: walk" in vm.run("vm.sh", "walk").stderr
    assert "Received: nothing" in vm.run("vm.sh").stderr


# uv and the system's Python, which make .venv and note what is asked of them.
SYSTEM_PYTHON = """#!/bin/bash
echo "${*@Q}" >>"$FAKE_GCLOUD/uv"
case "$*" in
  "-m uv --version") [ -e "$FAKE_GCLOUD/has_uv" ] ;;
  "-m pip install"*) touch "$FAKE_GCLOUD/has_uv" ;;
  "-m uv venv"*)
    mkdir -p .venv/bin
    ln -s "$FAKE_GCLOUD/tools/venv_python" .venv/bin/python ;;
  "-m uv pip"*)
    [ -z "$UV_FAILS" ] || { echo "no such package" >&2; exit 1; } ;;
esac
"""


@pytest.fixture
def bare(cloud):
    """A checkout on a machine that has only Python."""
    cloud.tool("python3", SYSTEM_PYTHON)
    cloud.tool("venv_python", PYTHON)
    return cloud


def to_uv(cloud):
    lines = (cloud.folder / "uv").read_text().splitlines()
    return [shlex.split(line) for line in lines]


def test_setup_puts_tensorflow_tpu_in_tensorflows_place(bare):
    done = bare.run("setup_vm.sh")
    assert done.returncode == 0, done.stderr
    _, pip, venv, install = to_uv(bare)
    assert pip[:3] == ["-m", "pip", "install"] and pip[-1] == "uv"
    assert venv[:3] == ["-m", "uv", "venv"] and "3.11" in venv
    # The constraints are whole, so nothing is left to a resolver.
    assert "--no-deps" in install
    version = importlib.metadata.version("tensorflow")
    assert f"tensorflow-tpu=={version}" in install
    assert any(word.startswith("libtpu==") for word in install)
    packages = (bare.checkout / ".venv" / "packages.txt").read_text().split()
    pinned = (ROOT / "constraints.txt").read_text().split()
    assert set(pinned) - set(packages) == {f"tensorflow=={version}"}


def test_setup_again_takes_no_time_until_something_changed(bare):
    for _ in range(2):
        assert bare.run("setup_vm.sh").returncode == 0
    assert len(to_uv(bare)) == 4
    with (bare.checkout / "constraints.txt").open("a") as file:
        print("another==1.0", file=file)
    assert bare.run("setup_vm.sh").returncode == 0
    assert len(to_uv(bare)) == 7
    assert bare.run("setup_vm.sh", LIBTPU_VERSION="0.0.17").returncode == 0
    assert "libtpu==0.0.17" in to_uv(bare)[-1]


def test_setup_that_fails_begins_again(bare):
    failed = bare.run("setup_vm.sh", UV_FAILS="1")
    assert failed.returncode == 1
    theirs, ours = failed.stderr.splitlines()
    assert theirs == "no such package" and ours.startswith("error: ")
    assert bare.run("setup_vm.sh").returncode == 0


def test_setup_refuses_what_it_cannot_work_with(bare):
    (line,) = bare.run("setup_vm.sh", PYTHON="python0").stderr.splitlines()
    assert "python0" in line
    (bare.checkout / ".venv").mkdir()
    refused = bare.run("setup_vm.sh")
    assert refused.returncode == 1 and "not made by" in refused.stderr
    assert (bare.checkout / ".venv").exists()


def test_flags_arrive_at_run_py_as_they_were_typed(bare, tmp_path):
    """From launch.sh through gcloud, ssh and a keeper to run.py."""
    home = tmp_path / "home"
    home.mkdir()
    flags = [
        "--model_dir=gs://bucket/run",
        "--train_split=train[:50%] + it's",
        '--eval_name="two words"; exit 7',
        "--dataset=$HOME `id` \\ *",
        "--cache_dataset=",
        "--note=two\nlines",
    ]
    # What is changed and not committed goes along.
    with (bare.checkout / "run.py").open("a") as file:
        print("# changed", file=file)
    bare.plays(describe=[[0, "READY\tv5litepod-8"]])
    knobs = {"ACCELERATOR_TYPE": "v5litepod-8", "FAKE_HOME": str(home)}
    ended = bare.run("launch.sh", *flags, **knobs, BEHAVIOUR="exit 3")
    assert ended.returncode == 3, ended.stderr
    assert "step 1" in ended.stdout
    arguments = (home / "simclr_tf" / "runs/jobs/run/command").read_text()
    sent = subprocess.run(
        ["bash", "-c", f"printf '%s\\0' {arguments}"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split("\0")[:-1]
    assert sent == [".venv/bin/python", "run.py", *flags]
    copied = (home / "simclr_tf" / "run.py").read_text()
    assert copied.endswith("# changed\n")
