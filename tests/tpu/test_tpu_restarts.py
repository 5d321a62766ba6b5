"""launch.sh goes on: after a kill, a repair, a preempted slice."""

from tests.tpu.test_tpu_scripts import FLAGS, only_error


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
