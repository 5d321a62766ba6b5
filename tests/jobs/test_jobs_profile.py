"""--profile_steps, and that a run traces its step once."""

import json
import subprocess
import sys

import pytest

import run

TINY = (
    "--resnet_depth=10",
    "--width_multiplier=0.125",
    "--train_batch_size=32",
    "--eval_batch_size=64",
    "--warmup_epochs=0",
    "--proj_out_dim=8",
    "--linear_eval_labels=",
)


@pytest.fixture(scope="session")
def data_dir(tmp_path_factory):
    return str(tmp_path_factory.mktemp("tfds"))


def go(tmp_path, data_dir, *arguments):
    where = (f"--data_dir={data_dir}", f"--model_dir={tmp_path / 'run'}")
    return run.main(["run.py", *TINY, *where, *arguments])


def profiles(tmp_path):
    return sorted(
        p for p in (tmp_path / "run").glob("plugins/profile/*/*.xplane.pb")
    )


def test_profile_is_written_and_a_resumed_run_profiles_on(
    tmp_path, data_dir, capsys
):
    arguments = ("--mode=train", "--train_steps=6", "--log_steps=3")
    assert go(tmp_path, data_dir, *arguments, "--profile_steps=2,4") == 0
    assert "Profile of steps 2 to 4" in capsys.readouterr().out
    (profile,) = profiles(tmp_path)
    assert b"simclr/encoder" in profile.read_bytes()
    # A finished run is finished; another profile asked for is no error.
    assert go(tmp_path, data_dir, *arguments, "--profile_steps=5,6") == 0
    assert profiles(tmp_path) == [profile]


@pytest.mark.parametrize("steps", ["4,2", "0,3", "3", "1,2,3", "a,b", "5,9"])
def test_steps_that_cannot_be_profiled_are_refused(
    tmp_path, data_dir, capsys, steps
):
    status = go(
        tmp_path,
        data_dir,
        "--mode=train",
        "--train_steps=6",
        f"--profile_steps={steps}",
    )
    assert status == 2
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert error.startswith("error: --profile_steps")
    assert steps in error
    assert not (tmp_path / "run").exists()


# In a process of its own: collectives of a second MirroredStrategy in one
# process take the first one's for theirs.
COUNTING = """
import sys
import run
from simclr_tf.train.step import StepTrainer

trainers, make = [], StepTrainer.__init__


def init(self, **parts):
    trainers.append(self)
    make(self, **parts)


StepTrainer.__init__ = init
status = run.main(["run.py", *sys.argv[1:]])
(trainer,) = trainers
print("traces", trainer._train_loop_fn.experimental_get_tracing_count())
sys.exit(status)
"""


@pytest.mark.parametrize(
    "place",
    [
        ["--strategy=one_device"],
        pytest.param(
            ["--strategy=mirrored", "--virtual_devices=2"],
            marks=pytest.mark.slow,
        ),
    ],
)
def test_the_step_is_traced_once(tmp_path, data_dir, place):
    """Log points, checkpoints, evaluation, inner loops of every length."""
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            COUNTING,
            *TINY,
            f"--data_dir={data_dir}",
            f"--model_dir={tmp_path / 'run'}",
            "--mode=train_then_eval",
            "--train_steps=11",
            "--log_steps=4",
            "--checkpoint_steps=3",
            "--knn_eval=true",
            *place,
        ],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "traces 1"
    lines = (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()
    rates = [json.loads(line).get("flops_per_second") for line in lines]
    assert any(rate and rate > 0 for rate in rates)
