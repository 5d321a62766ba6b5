"""Which devices, on which hosts: and one clear line for what cannot be."""

import importlib.metadata
import json
import socket
import threading
import time

import pytest
import tensorflow as tf

from tests.processes import tf_configs
from tpu import cluster, strategy

WORKERS = ["host0:1000", "host1:1000"]


def set_config(monkeypatch, *, workers=WORKERS, kind="worker", index=0):
    monkeypatch.setenv(
        "TF_CONFIG",
        json.dumps(
            {
                "cluster": {"worker": workers},
                "task": {"type": kind, "index": index},
            }
        ),
    )


def test_tf_config_says_who_is_who(monkeypatch):
    set_config(monkeypatch, index=1)
    found = cluster.read_cluster()
    assert (found.addresses, found.host) == (tuple(WORKERS), 1)
    assert found.leader == "/job:worker/replica:0/task:0"
    monkeypatch.delenv("TF_CONFIG")
    assert cluster.read_cluster() is None


def test_a_chief_comes_before_the_workers(monkeypatch):
    config = {
        "cluster": {"worker": WORKERS, "chief": ["boss:1"]},
        "task": {"type": "worker", "index": 0},
    }
    monkeypatch.setenv("TF_CONFIG", json.dumps(config))
    found = cluster.read_cluster()
    assert (found.addresses[found.host], found.host) == ("host0:1000", 1)
    assert found.leader == "/job:chief/replica:0/task:0"
    config["task"]["type"] = "chief"
    monkeypatch.setenv("TF_CONFIG", json.dumps(config))
    assert cluster.read_cluster().host == 0


GOOD_TASK = '"task": {"type": "worker", "index": 0}'


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{cluster", "not JSON"),
        ("[]", '"cluster" and "task"'),
        ('{"cluster": {"worker": ["a:1"]}}', '"cluster" and "task"'),
        (f'{{"cluster": ["a:1"], {GOOD_TASK}}}', '"cluster" and "task"'),
        (f'{{"cluster": {{"worker": []}}, {GOOD_TASK}}}', "list of addresses"),
        (f'{{"cluster": {{"worker": ["a"]}}, {GOOD_TASK}}}', "host:port"),
        (f'{{"cluster": {{"worker": [1]}}, {GOOD_TASK}}}', "host:port"),
        (
            f'{{"cluster": {{"worker": ["a:1", "a:1"]}}, {GOOD_TASK}}}',
            "comes twice",
        ),
        (
            f'{{"cluster": {{"worker": ["a:1"], "ps": ["b:1"]}}, {GOOD_TASK}}}',
            "ps",
        ),
        (
            '{"cluster": {"worker": ["a:1"]}, "task": {"type": "evaluator"}}',
            "evaluator",
        ),
        (
            '{"cluster": {"worker": ["a:1"]}, '
            '"task": {"type": "worker", "index": 1}}',
            "0 to 0",
        ),
        (
            '{"cluster": {"worker": ["a:1"]}, '
            '"task": {"type": "worker", "index": "0"}}',
            "a number",
        ),
    ],
)
def test_malformed_tf_config_is_one_line(monkeypatch, text, says):
    monkeypatch.setenv("TF_CONFIG", text)
    with pytest.raises(ValueError, match=r"TF_CONFIG.*malformed") as caught:
        strategy.make_placement(strategy="multi_worker")
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_multi_worker_without_tf_config(monkeypatch):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    with pytest.raises(ValueError, match=r"TF_CONFIG.*Received: none"):
        strategy.make_placement(strategy="multi_worker")


def test_workers_do_not_each_run_alone(monkeypatch):
    set_config(monkeypatch)
    with pytest.raises(ValueError, match="--strategy=multi_worker"):
        strategy.make_placement(strategy="auto")
    set_config(monkeypatch, workers=["host0:1"])  # as some launchers do
    placement = strategy.make_placement(strategy="auto")
    assert (placement.num_hosts, placement.host) == (1, 0)


def test_unreachable_worker_is_named_in_bounded_time(monkeypatch):
    monkeypatch.setenv("TF_CONFIG", tf_configs(2)[1])
    started = time.monotonic()
    with pytest.raises(ValueError, match=r"waited 0.3 s.*worker 0 \(localho"):
        strategy.make_placement(
            strategy="multi_worker", worker_timeout_seconds=0.3
        )
    assert time.monotonic() - started < 10


def test_port_in_use_is_named(monkeypatch):
    monkeypatch.setattr(cluster, "_PORT_SECONDS", 0.0)
    with socket.create_server(("", 0)) as other:
        mine = f"localhost:{other.getsockname()[1]}"
        set_config(monkeypatch, workers=[mine, "localhost:1"])
        with pytest.raises(ValueError, match=f"listen at {mine}"):
            strategy.make_placement(strategy="multi_worker")


def test_workers_that_come_one_after_another_meet(monkeypatch):
    clusters = []
    for config in tf_configs(3):
        monkeypatch.setenv("TF_CONFIG", config)
        clusters.append(cluster.read_cluster())
    met = []

    def join(each, delay):
        time.sleep(delay)
        cluster.wait_for_workers(each, timeout_seconds=20)
        # What TensorFlow does next: its server keeps the port.
        with cluster._listen(each):
            met.append(each.host)
            while len(met) < 3:
                time.sleep(0.01)

    threads = [
        threading.Thread(target=join, args=(each, delay), daemon=True)
        for each, delay in zip(clusters, (0.0, 0.3, 0.6), strict=True)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted(met) == [0, 1, 2]


@pytest.mark.parametrize(
    "options",
    [{"strategy": "tpu"}, {"use_tpu": True}, {"strategy": "auto"}],
    ids=str,
)
def test_tensorflow_tpu_of_another_version(monkeypatch, options):
    def version(name):
        assert name == "tensorflow-tpu"
        return "2.19.1"

    monkeypatch.setattr(importlib.metadata, "version", version)
    if options["strategy" if "strategy" in options else "use_tpu"] == "auto":
        monkeypatch.setenv("TPU_NAME", "local")
    with pytest.raises(ValueError, match=r"tensorflow-tpu 2\.19\.1") as caught:
        strategy.make_placement(**options)
    assert f"tensorflow-tpu=={tf.__version__}" in str(caught.value)


def test_tpu_asked_for_and_none_there(monkeypatch):
    monkeypatch.delenv("TPU_NAME", raising=False)
    with pytest.raises(ValueError, match="--use_tpu=False") as caught:
        strategy.make_placement(use_tpu=True)
    assert "this machine has none" in str(caught.value)


def test_what_was_chosen_is_said():
    one = tf.distribute.OneDeviceStrategy("CPU:0")
    placement = strategy.Placement(one, "CPU", "because")
    text = placement.describe()
    assert text == "Devices: 1 CPU replica (OneDeviceStrategy: because)"
    placement = strategy.Placement(one, "CPU", "so", num_hosts=3, host=2)
    assert "3 hosts, this is 2" in placement.describe()
