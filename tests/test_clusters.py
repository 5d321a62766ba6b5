"""The recipes of docs/clusters.md: a SLURM script and a Kubernetes Job."""

import importlib.metadata
import json
import os
import pathlib
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time

import pytest
import tensorflow as tf
import yaml

from tests import processes
from tests.test_docs import accept
from tpu import cluster

ROOT = pathlib.Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "clusters.md").read_text()
JOB_ID = "1234567"
PORT = 24567
# The tasks, all at once, as SLURM numbers them; the highest status.
SRUN = """#!/bin/bash
[ "$1" = --cpus-per-task=64 ] || exit 9
shift
echo srun >>"$NOTES/asked"
for ((i = 0; i < SLURM_NTASKS; i++)); do
  SLURM_PROCID=$i "$@" &
  tasks="$tasks $!"
done
echo "$tasks" >"$NOTES/tasks"
highest=0
for task in $tasks; do
  status=0
  wait "$task" || status=$?
  [ $status -le $highest ] || highest=$status
done
exit $highest
"""
SCONTROL = """#!/bin/bash
echo "scontrol $*" >>"$NOTES/asked"
[ "$1" != show ] || printf '%s\\n' $NODES
"""
SLEEP = '#!/bin/bash\necho "sleep $*" >>"$NOTES/asked"\n'
# Stands for the checkout's .venv/bin/python.
PYTHON = """#!/bin/bash
printf '%s' "$TF_CONFIG" >"$NOTES/config_$SLURM_PROCID"
printf '%s\\n' "$@" >"$NOTES/arguments_$SLURM_PROCID"
exit $(sed -n "$(grep -c srun "$NOTES/asked") p" "$NOTES/statuses")
"""


def block(language):
    (found,) = re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.S | re.M)
    return found


@pytest.fixture
def slurm(tmp_path):
    """A folder with the script, a checkout's Python, and SLURM's programs."""
    (tmp_path / "script.sh").write_text(block("bash"))
    for name, program in {
        "tools/srun": SRUN,
        "tools/scontrol": SCONTROL,
        "tools/sleep": SLEEP,
        ".venv/bin/python": PYTHON,
    }.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(program)
        path.chmod(0o755)
    return tmp_path


def start(slurm, nodes, *, restarts=0):
    """The script, started as SLURM starts it on these nodes."""
    return subprocess.Popen(
        ["bash", "script.sh"],
        cwd=slurm,
        env={
            "PATH": f"{slurm / 'tools'}:{os.environ['PATH']}",
            "HOME": str(slurm),
            "NOTES": str(slurm),
            "NODES": " ".join(nodes),
            "SLURM_JOB_ID": JOB_ID,
            "SLURM_JOB_NODELIST": "as scontrol reads it",
            "SLURM_NTASKS": str(len(nodes)),
            "SLURM_CPUS_PER_TASK": "64",
            "SLURM_RESTART_COUNT": str(restarts),
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def end_of(slurm, nodes, statuses, *, restarts=0):
    """Its exit status where each srun's tasks end so, and what was asked."""
    (slurm / "statuses").write_text("\n".join(map(str, statuses)))
    process = start(slurm, nodes, restarts=restarts)
    output, _ = process.communicate(timeout=60)
    assert not output
    return process.returncode, (slurm / "asked").read_text().splitlines()


def test_the_script_is_sound(tmp_path):
    path = tmp_path / "simclr.sh"
    path.write_text(block("bash"))
    place = f"{os.path.dirname(sys.executable)}:{os.environ['PATH']}"
    for tool in (["bash", "-n"], [shutil.which("shellcheck", path=place)]):
        done = subprocess.run([*tool, path], capture_output=True, text=True)
        assert not done.returncode and not done.stdout + done.stderr
    options = dict(
        re.findall(r"^#SBATCH --([\w-]+)=?(.*)$", block("bash"), re.M)
    )
    assert options["ntasks-per-node"] == "1"
    # To the tasks, not to the script ("B:"); and the job may start again.
    assert re.fullmatch(r"TERM@\d{2,}", options["signal"])
    assert "requeue" in options and options["open-mode"] == "append"


def test_outside_slurm_it_says_so_in_one_line(slurm):
    done = subprocess.run(
        ["bash", "script.sh"], cwd=slurm, env={}, capture_output=True, text=True
    )
    (line,) = done.stderr.splitlines()
    assert done.returncode and "SLURM_JOB_ID" in line and "sbatch" in line


def test_each_task_finds_its_peers_as_tensorflow_does(slurm, monkeypatch):
    nodes = ["node09", "node10", "node11"]
    assert end_of(slurm, nodes, [0])[0] == 0
    for task in range(3):
        config = (slurm / f"config_{task}").read_text()
        for name, value in {
            "TF_CONFIG": config,
            "SLURM_PROCID": str(task),
            "SLURM_STEP_NUM_TASKS": "3",
            "SLURM_STEP_NODELIST": "node[09-11]",
            "SLURM_STEP_TASKS_PER_NODE": "1(x3)",
        }.items():
            monkeypatch.setenv(name, value)
        resolver = tf.distribute.cluster_resolver.SlurmClusterResolver(
            port_base=PORT, gpus_per_node=1, auto_set_gpu=False
        )
        assert json.loads(config) == {
            "cluster": resolver.cluster_spec().as_dict(),
            "task": {"type": "worker", "index": resolver.get_task_info()[1]},
        }
        read = cluster.read_cluster()
        assert (read.host, read.num_hosts) == (task, 3)


def test_nodes_stay_in_the_order_of_their_tasks(slurm):
    """TensorFlow's resolver sorts them: gpu10 before gpu9."""
    assert end_of(slurm, ["gpu9", "gpu10"], [0])[0] == 0
    config = json.loads((slurm / "config_0").read_text())
    assert config["cluster"]["worker"] == [f"gpu9:{PORT}", f"gpu10:{PORT}"]


@pytest.mark.parametrize(
    ("statuses", "restarts", "then"),
    [
        ([0], 0, []),
        ([143], 0, [f"scontrol requeue {JOB_ID}"]),
        ([3], 1, []),  # halted
        ([2], 0, []),  # wrong flags
        ([2, 0], 1, ["sleep 200", "srun"]),  # the folder of a killed run
        ([2, 2], 1, ["sleep 200", "srun"]),
    ],
)
def test_what_is_tried_again(slurm, statuses, restarts, then):
    status, asked = end_of(slurm, ["a", "b"], statuses, restarts=restarts)
    assert status == statuses[-1]
    assert asked[0].startswith("scontrol show hostnames")
    assert asked[1:] == ["srun", *then]


def test_the_manifest_has_what_pods_need_to_find_each_other(monkeypatch):
    service, job = yaml.safe_load_all(block("yaml"))
    name, spec = job["metadata"]["name"], job["spec"]
    pod = spec["template"]["spec"]
    # A headless service that selects the Job's pods, under the pods' domain.
    assert service["spec"]["clusterIP"] == "None"
    assert service["spec"]["selector"] == {"job-name": name}
    assert pod["subdomain"] == service["metadata"]["name"]
    assert spec["completionMode"] == "Indexed"
    assert spec["completions"] == spec["parallelism"]
    (worker,) = pod["containers"]
    index, config = worker["env"]  # in this order
    assert "job-completion-index" in index["valueFrom"]["fieldRef"]["fieldPath"]
    for task in range(spec["completions"]):
        text = config["value"].replace(f"$({index['name']})", str(task))
        monkeypatch.setenv("TF_CONFIG", text)
        read = cluster.read_cluster()
        hosts = [address.split(":")[0] for address in read.addresses]
        assert hosts == [
            f"{name}-{i}.{pod['subdomain']}" for i in range(spec["completions"])
        ]
        assert read.host == task


def test_the_manifest_goes_on_after_an_interruption():
    _, job = yaml.safe_load_all(block("yaml"))
    pod = job["spec"]["template"]["spec"]
    # podFailurePolicy asks for it.
    assert pod["restartPolicy"] == "Never"
    saved, lost = job["spec"]["podFailurePolicy"]["rules"]
    assert saved["action"] == lost["action"] == "Ignore"
    assert saved["onExitCodes"] == {"operator": "In", "values": [143]}
    assert lost["onPodConditions"][0]["type"] == "DisruptionTarget"
    assert pod["terminationGracePeriodSeconds"] >= 60
    volumes = {v["name"] for v in pod["volumes"]}
    assert {m["name"] for m in pod["containers"][0]["volumeMounts"]} == volumes


def test_the_manifests_flags_are_taken():
    _, job = yaml.safe_load_all(block("yaml"))
    (worker,) = job["spec"]["template"]["spec"]["containers"]
    assert worker["command"] == ["python", "run.py"]
    accept([a.replace("=flags/", f"={ROOT}/flags/") for a in worker["args"]])


def test_the_studies_job_has_a_cell_for_each_pod():
    page = (ROOT / "docs" / "studies.md").read_text()
    (found,) = re.findall(r"^```yaml\n(.*?)^```", page, re.S | re.M)
    spec = yaml.safe_load(found)["spec"]
    assert spec["completionMode"] == "Indexed"
    (cell,) = spec["template"]["spec"]["containers"]
    index = "$(JOB_COMPLETION_INDEX)"
    arguments = [
        a.replace(index, str(spec["completions"])) for a in cell["args"]
    ]
    assert arguments[:2] == ["python", "run.py"]
    assert f"--study_index={spec['completions']}" in arguments
    accept(arguments[2:])


def test_tensorflow_has_the_extra_that_brings_cuda():
    extras = importlib.metadata.metadata("tensorflow").get_all("Provides-Extra")
    assert "and-cuda" in extras


@pytest.mark.slow
def test_two_workers_leave_the_queue_and_go_on_from_it(slurm):
    """SIGTERM from SLURM, queued again, started again: no step is lost."""
    steps = 60
    run = slurm / "run"
    processes.write_textures(slurm / "tfds")
    command = processes.command(
        slurm / "tfds",
        run,
        "--strategy=multi_worker",
        f"--train_steps={steps}",
        f"--checkpoint_steps={steps}",
    )
    # Two nodes on one machine differ in their ports.
    config = json.loads(processes.tf_configs(2)[0])
    local = config["cluster"]["worker"]
    (slurm / ".venv" / "bin" / "python").write_text(
        "#!/bin/bash\n"
        f"TF_CONFIG=${{TF_CONFIG/host0:{PORT}/{local[0]}}}\n"
        f"export TF_CONFIG=${{TF_CONFIG/host1:{PORT}/{local[1]}}}\n"
        f"exec {shlex.join(command)}\n"
    )
    script = start(slurm, ["host0", "host1"])
    processes.wait_for_step(run, 3, [script])
    for task in (slurm / "tasks").read_text().split():
        os.kill(int(task), signal.SIGTERM)
    told = time.monotonic()
    output, _ = script.communicate(timeout=300)
    assert script.returncode == 143, output
    assert time.monotonic() - told < 120  # of the 180 s of --signal
    asked = (slurm / "asked").read_text().splitlines()
    assert asked[-1] == f"scontrol requeue {JOB_ID}"
    stopped = {int(s) for s in re.findall(r"SIGTERM after step (\d+),", output)}
    assert len(stopped) == 1 and 3 <= min(stopped) < steps, output

    script = start(slurm, ["host0", "host1"], restarts=1)
    output, _ = script.communicate(timeout=300)
    assert script.returncode == 0, output
    assert output.count(f"step {min(stopped)}.") >= 2, output  # both go on
    logged = [line["step"] for line in processes.logged(run)]
    assert logged == list(range(1, steps + 1))
