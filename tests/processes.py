"""Runs in processes of their own: replicas, hosts, signals, planted faults.

TensorFlow takes only one MirroredStrategy with collectives in a process, and a
worker of a multi-worker run is a process.
"""

import json
import os
import pathlib
import socket
import subprocess
import sys
import time

import numpy as np
import tensorflow as tf

from tests.tiny_datasets import texture, write_tfds

ROOT = pathlib.Path(__file__).parents[1]
_PATIENCE_SECONDS = 900


def write_textures(data_dir):
    """The data set "textures", for runs that are compared: see `texture`."""
    write_tfds(
        "textures", data_dir, splits={"train": 128, "test": 64}, draw=texture
    )


def command(data_dir, model_dir, *more, program="run.py"):
    """A short run on the textures: 5 steps, every one logged and saved."""
    return [
        sys.executable,
        str(ROOT / program),
        "--mode=train",
        "--dataset=textures",
        f"--data_dir={data_dir}",
        f"--model_dir={model_dir}",
        "--image_size=16",
        "--resnet_depth=10",
        "--width_multiplier=0.25",
        "--proj_out_dim=16",
        "--mixed_precision=none",
        "--train_batch_size=48",
        "--eval_batch_size=48",
        "--warmup_epochs=0",
        "--train_steps=5",
        "--checkpoint_steps=1",
        "--log_steps=1",
        "--keep_checkpoint_max=9",
        "--keep_hub_module_max=0",
        *more,
    ]


def run(arguments, *, environment=None):
    """Runs to the end; fails with what it said."""
    done = subprocess.run(
        arguments,
        capture_output=True,
        text=True,
        timeout=_PATIENCE_SECONDS,
        cwd=ROOT,
        env={**os.environ, **(environment or {})},
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return done.stdout


def tf_configs(count):
    """TF_CONFIG of each of `count` workers on this machine."""
    sockets = [socket.create_server(("localhost", 0)) for _ in range(count)]
    addresses = [f"localhost:{s.getsockname()[1]}" for s in sockets]
    for each in sockets:
        each.close()
    return [
        json.dumps(
            {
                "cluster": {"worker": addresses},
                "task": {"type": "worker", "index": index},
            }
        )
        for index in range(count)
    ]


def start_workers(arguments, count):
    """Starts the same command on `count` loopback hosts."""
    return [
        subprocess.Popen(
            [*arguments, "--strategy=multi_worker"],
            env={**os.environ, "TF_CONFIG": config},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=ROOT,
        )
        for config in tf_configs(count)
    ]


def finish(workers, *, timeout=_PATIENCE_SECONDS):
    """Waits for the workers; returns their statuses and outputs."""
    try:
        outputs = [w.communicate(timeout=timeout)[0] for w in workers]
    finally:
        for worker in workers:
            worker.kill()
    return [w.returncode for w in workers], outputs


def logged(model_dir):
    """The lines of metrics.jsonl so far."""
    path = pathlib.Path(model_dir) / "metrics.jsonl"
    text = path.read_text() if path.exists() else ""
    return [
        json.loads(x) for x in text.splitlines(keepends=True) if x[-1:] == "\n"
    ]


def wait_for_step(model_dir, step, workers):
    """Returns once `step` is logged, or a worker has ended."""
    while all(w.poll() is None for w in workers):
        lines = logged(model_dir)
        if lines and lines[-1]["step"] >= step:
            return
        time.sleep(0.02)


def state(model_dir, step):
    """Checkpoint key -> value, of everything in a checkpoint."""
    reader = tf.train.load_checkpoint(f"{model_dir}/ckpt-{step}")
    return {
        key: reader.get_tensor(key)
        for key in reader.get_variable_to_shape_map()
        if key.startswith("state/")
    }


def assert_same_bits(left, right):
    assert left.keys() == right.keys()
    for key in left:
        np.testing.assert_array_equal(left[key], right[key], err_msg=key)
