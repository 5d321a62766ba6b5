"""Killed at random moments, started again: the same bits at the end."""

import json
import pathlib
import random
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import tensorflow as tf

from tests.official import tf1_files

ROOT = pathlib.Path(__file__).parents[2]
# Steps enough that no machine is through before the last signal.
STEPS, CHECKPOINT_STEPS = 72, 6

pytestmark = pytest.mark.slow


def command(data_dir, model_dir, *more):
    return [
        sys.executable,
        str(ROOT / "run.py"),
        "--mode=train",
        f"--data_dir={data_dir}",
        f"--model_dir={model_dir}",
        "--resnet_depth=10",
        "--width_multiplier=0.25",
        "--train_batch_size=128",
        "--warmup_epochs=0.5",
        f"--train_steps={STEPS}",
        f"--checkpoint_steps={CHECKPOINT_STEPS}",
        "--log_steps=1",
        "--keep_checkpoint_max=3",
        "--keep_hub_module_max=0",
        *more,
    ]


def from_weights(source, data_dir, model_dir):
    """The same run, shorter, from weights of the official code."""
    tiny = ("--image_size=16", "--width_multiplier=0.125", "--seed=3")
    more = (f"--checkpoint={source}", "--train_mode=pretrain", *tiny)
    return command(data_dir, model_dir, *more, "--train_steps=40")


def logged_step(model_dir):
    path = model_dir / "metrics.jsonl"
    lines = path.read_text().splitlines() if path.exists() else []
    return json.loads(lines[-1])["step"] if lines else 0


def run_until(arguments, model_dir, step, number, delay):
    """Starts the run and signals it a while after it has logged `step`."""
    process = subprocess.Popen(
        arguments, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    while process.poll() is None and logged_step(model_dir) < step:
        time.sleep(0.02)
    time.sleep(delay)
    process.send_signal(number)
    out, _ = process.communicate(timeout=120)
    return process.returncode, out


def state(model_dir, step=STEPS):
    reader = tf.train.load_checkpoint(str(model_dir / f"ckpt-{step}"))
    return {
        key: reader.get_tensor(key)
        for key in reader.get_variable_to_shape_map()
        if key.startswith("state/")
    }


@pytest.mark.parametrize(
    "how",
    [
        "--mixed_precision=none",
        pytest.param("--mixed_precision=bfloat16", marks=pytest.mark.soak),
        pytest.param("--virtual_devices=2", marks=pytest.mark.soak),
    ],
)
def test_killed_runs_end_bit_identical_to_a_straight_one(tmp_path, how):
    """SIGKILL three times at random, then SIGTERM, then to the end."""
    straight, killed = tmp_path / "straight", tmp_path / "killed"
    data_dir = tmp_path / "tfds"
    subprocess.run(command(data_dir, straight, how), check=True)

    moments = random.Random(how)
    arguments = command(data_dir, killed, how)
    reached = 0
    for number in (signal.SIGKILL,) * 3 + (signal.SIGTERM,):
        before = reached
        target = reached + moments.randint(1, 9)
        status, out = run_until(
            arguments, killed, target, number, moments.random() * 0.2
        )
        reached = logged_step(killed)
        # Nothing but the steps since the last checkpoint is ever lost; a step
        # is logged before it is saved.
        if before > CHECKPOINT_STEPS:
            (line,) = (x for x in out.splitlines() if "Continuing from" in x)
            continued = int(line.rsplit(" ", 1)[1].rstrip("."))
            assert continued >= before - CHECKPOINT_STEPS, out
        if number == signal.SIGKILL:
            assert status == -signal.SIGKILL, out
        else:
            assert status == 128 + signal.SIGTERM, out
            assert f"Stopped by SIGTERM after step {reached}" in out
    done = subprocess.run(arguments, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert f"step {reached}" in done.stdout  # SIGTERM lost nothing

    left, right = state(straight), state(killed)
    assert left.keys() == right.keys()
    assert any(":m:" in k or "velocity" in k or "momentum" in k for k in left)
    for key in left:
        np.testing.assert_array_equal(left[key], right[key], err_msg=key)

    # The log, too, tells of every step once.
    lines = (killed / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(x)["step"] for x in lines] == list(range(1, STEPS + 1))


def test_a_run_from_weights_resumes_exactly(tmp_path):
    """SIGKILL twice: before its first checkpoint, when only the weights that
    it began with are known, and amid training."""
    source, data_dir = tmp_path / "official", tmp_path / "tfds"
    variables = tf1_files.encoder() | tf1_files.projection([64, 24])
    tf1_files.write(source, variables)
    straight, killed = tmp_path / "straight", tmp_path / "killed"
    subprocess.run(from_weights(source, data_dir, straight), check=True)
    arguments = from_weights(source, data_dir, killed)
    origin = None
    for target in (2, 15):
        status, out = run_until(arguments, killed, target, signal.SIGKILL, 0)
        assert status == -signal.SIGKILL, out
        found = (killed / "start_weights.json").read_bytes()
        assert origin in (None, found)
        origin = found
    done = subprocess.run(arguments, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "Continuing from" in done.stdout
    assert (straight / "start_weights.json").read_bytes() == origin
    left, right = state(straight, 40), state(killed, 40)
    assert left.keys() == right.keys()
    for key in left:
        np.testing.assert_array_equal(left[key], right[key], err_msg=key)
