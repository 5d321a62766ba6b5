"""launch.sh goes on: after a kill, a repair, a preempted slice."""

import os
import shutil
import signal
import sys
import time

import pytest

from tests.tpu.conftest import ROOT, git
from tests.tpu.test_tpu_scripts import FLAGS, only_error
from tests.tpu.test_tpu_vm import SYSTEM_PYTHON


def test_a_killed_run_holds_its_folder_for_a_while(cloud):
    """Status 2 behind a kill: run.py takes the dead one for a living owner."""
    there = [0, "READY\tv5litepod-8"]
    knobs = {"ACCELERATOR_TYPE": "v5litepod-8", "OWNER_SECONDS": "0"}
    cloud.plays(describe=[there], run=[[255, ""], [2, ""], [0, ""]])
    assert cloud.run("launch.sh", *FLAGS, **knobs).returncode == 0
    # Once: a second time, it is the flags. Nor where run.py left by itself.
    for statuses in ([137, 2, 2], [143, 2]):
        cloud.plays(describe=[there], run=[[s, ""] for s in statuses])
        (cloud.folder / "asked").unlink()
        assert cloud.run("launch.sh", *FLAGS, **knobs).returncode == 2
        assert cloud.kinds().count("run") == len(statuses)


def test_a_repair_is_waited_for_and_the_vm_set_up_again(cloud):
    ready, repair = ([0, f"{s}\tv5litepod-16"] for s in ("READY", "REPAIRING"))
    cloud.plays(
        describe=[repair, ready, repair, ready], run=[[255, ""], [0, ""]]
    )
    assert cloud.run("launch.sh", *FLAGS, RECREATE="1").returncode == 0
    setup = ["scp", "setup", "serve", "run"]
    looks = ["describe", "describe"]
    assert cloud.kinds() == [*looks, *setup, *looks, *setup]

    cloud.plays(describe=[repair])
    knobs = {"RECREATE": "1", "QUEUE_MINUTES": "0"}
    line = only_error(cloud.run("launch.sh", *FLAGS, **knobs), status=1)
    assert "REPAIRING" in line and "QUEUE_MINUTES=0" in line


def test_a_spot_slice_comes_back_through_the_queue(cloud):
    """No capacity at first: it waits, and the run goes on."""
    there, gone = [0, "READY\tv5litepod-16"], [1, "ERROR: NOT_FOUND: no node"]
    queue = [[0, "WAITING_FOR_RESOURCES"], [0, "PROVISIONING"], [0, "ACTIVE"]]
    cloud.plays(describe=[there, gone, *queue], run=[[255, ""], [0, ""]])
    spot = {"SPOT": "1", "QUEUED": "1", "RECREATE": "1"}
    ended = cloud.run("launch.sh", *FLAGS, **spot)
    assert ended.returncode == 0, ended.stderr
    first = ["describe", "scp", "setup", "serve", "run", "describe"]
    again = ["delete", "create", *["describe"] * 3]
    assert cloud.kinds() == [*first, *again, "scp", "setup", "serve", "run"]
    asked = cloud.asked()
    assert "queued-resources" in asked[6][1] and "--force" in asked[6][1]
    assert "queued-resources" in asked[7][1] and "--spot" in asked[7][1]
    assert "warning" not in ended.stdout
    assert "QUEUED=1" in cloud.run("launch.sh", *FLAGS, RECREATE="1").stdout


@pytest.fixture
def whole(cloud):
    """A checkout that trains, and a machine whose uv installs this Python."""
    for folder in ("simclr_tf", "flags"):
        shutil.copytree(ROOT / folder, cloud.checkout / folder)
    git("add", ".", cwd=cloud.checkout)
    git("commit", "--quiet", "-m", "whole", cwd=cloud.checkout)
    cloud.tool("python3", SYSTEM_PYTHON)
    # With -c, setup_vm.sh looks at what it has installed.
    python = f'[ "$1" = -c ] || exec {sys.executable} "$@"'
    cloud.tool("venv_python", f"#!/bin/bash\n{python}\n")
    return cloud


@pytest.mark.slow
def test_a_preempted_spot_vm_is_created_again_and_goes_on(whole, tmp_path):
    """SIGTERM, saved, deleted, created, set up, resumed: no step is lost."""
    from tests import processes  # TensorFlow, which no other test here needs

    steps = 60
    home, bucket = tmp_path / "home", tmp_path / "bucket"
    processes.write_textures(tmp_path / "tfds")
    command = processes.command(
        tmp_path / "tfds",
        bucket,
        "--use_tpu=False",
        f"--train_steps={steps}",
        f"--checkpoint_steps={steps}",
    )
    # In a flagfile, since RECREATE=1 wants a --model_dir in gs://.
    flags = [a for a in command if a.startswith("--")]
    (tmp_path / "run.flags").write_text("\n".join(flags))
    ready, gone = ([0, f"{s}\tv4-8"] for s in ("READY", "PREEMPTED"))
    whole.plays(describe=[ready, gone])
    spot = {"SPOT": "1", "RECREATE": "1", "ACCELERATOR_TYPE": "v4-8"}
    home.mkdir()
    launch = whole.start(
        "launch.sh",
        f"--flagfile={tmp_path / 'run.flags'}",
        **spot,
        FAKE_HOME=str(home),
    )
    processes.wait_for_step(bucket, 3, [launch])
    keeper = home / "simclr_tf" / "runs" / "jobs" / "run" / "pid"
    # A machine that is taken away tells all its processes.
    os.killpg(int(keeper.read_text()), signal.SIGTERM)
    told = time.monotonic()
    for line in launch.stdout:
        if line.startswith("# exit status 143, simclr is PREEMPTED"):
            break
    assert time.monotonic() - told < 30  # what Google gives
    output, errors = launch.communicate(timeout=300)
    assert launch.returncode == 0, output + errors
    kinds = ["scp", "setup", "run"]
    looks = ["describe", *kinds, "describe"]
    assert whole.kinds() == [*looks, "delete", "create", *kinds]
    assert "Continuing from" in output, output
    logged = [line["step"] for line in processes.logged(bucket)]
    assert logged == list(range(1, steps + 1))
    assert (bucket / f"ckpt-{steps}.index").exists()
