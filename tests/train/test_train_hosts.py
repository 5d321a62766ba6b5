"""What the processes of a run see of each other."""

import threading
from concurrent import futures

import numpy as np
import pytest
import tensorflow as tf

from simclr_tf.errors import UserError
from simclr_tf.train import coordination
from simclr_tf.train.hosts import Hosts


class Exchange:
    """Stands for the network: hosts in threads give and get rows."""

    def __init__(self, count):
        self._barrier = threading.Barrier(count, timeout=30)
        self._rows = [None] * count

    def gather(self, index, values):
        self._rows[index] = np.asarray(values, np.float64)
        self._barrier.wait()
        rows = np.stack(self._rows)
        self._barrier.wait()
        return rows


def on_hosts(count, monkeypatch, function):
    """What function(hosts, index) returns or raises, on each host."""
    exchange = Exchange(count)
    monkeypatch.setattr(
        Hosts,
        "gather",
        lambda self, values: exchange.gather(self.index, values),
    )

    def on_host(index):
        try:
            return function(Hosts(None, count=count, index=index), index)
        except UserError as error:
            return error

    with futures.ThreadPoolExecutor(count) as threads:
        return list(threads.map(on_host, range(count)))


def test_one_host_sees_itself(mesh):
    alone = Hosts(mesh)
    assert alone.is_chief and alone.union(["b", "a"]) == ["a", "b"]
    assert alone.gather([1.5, 2.0]).tolist() == [[1.5, 2.0]]
    alone.require_same({"--seed": "1"})


def test_replicas_of_two_hosts_gather_a_row_each(mesh):
    # Two hosts of two replicas each, both of which are this process.
    both = Hosts(mesh, count=2, index=1)
    assert not both.is_chief
    assert both.gather([1.5, 2.0]).tolist() == [[1.5, 2.0]] * 2
    assert both.union(["b.png", "ä.png"]) == ["b.png", "ä.png"]
    assert both.union([]) == []
    both.require_same({"--data_dir": "ä", "--seed": str(2**40)})


def test_union_has_every_hosts_names(monkeypatch):
    names = [["b", "a"], [], ["c", "ä"]]
    found = on_hosts(3, monkeypatch, lambda hosts, h: hosts.union(names[h]))
    assert found == [["a", "b", "c", "ä"]] * 3


def require(values):
    return lambda hosts, h: hosts.require_same(values[h])


def test_equal_hosts_pass(monkeypatch):
    values = {"--learning_rate": "0.1", "--dataset": "ä" * 500}
    assert on_hosts(2, monkeypatch, require([values] * 2)) == [None, None]


def test_hosts_that_differ_are_told_in_what(monkeypatch):
    values = [
        {"--learning_rate": "0.1", "--seed": "0", "--dataset": "digits"},
        {"--learning_rate": "0.2", "--seed": "0", "--dataset": "folder"},
    ]
    found = on_hosts(2, monkeypatch, require(values))
    assert [str(error) for error in found] == [
        "The hosts differ: --learning_rate is 0.1 on host 0, 0.2 on host 1; "
        "--dataset is digits on host 0, folder on host 1. "
        "Start all of them with the same flags and the same data."
    ] * 2


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ("121", "--x is 1 on hosts 0 and 2, 2 on host 1."),
        ([f"{2**53}", f"{2**53 + 1}", f"{2**53}"], f"{2**53} on hosts 0 and 2"),
        (["a" * 999, "a" * 999 + "b", "c"], "aaa... on host 1, c on host 2."),
    ],
)
def test_values_are_compared_to_the_last_character(monkeypatch, values, said):
    found = on_hosts(3, monkeypatch, require([{"--x": v} for v in values]))
    assert all(said in str(error) for error in found)
    assert len(str(found[0])) < 600


def test_hosts_of_another_version_are_told_so(monkeypatch):
    values = [{"--a": "1", "--b": "2"}, {"--a": "1", "--longer_name": "3"}]
    found = on_hosts(2, monkeypatch, require(values))
    for error in found:
        assert "--b is 2 on host 0, not set on host 1" in str(error)
        assert "--longer_name is not set on host 0, 3 on host 1" in str(error)


class _Cut:
    """Stands for TensorFlow's service, which nobody reaches any more."""

    def __init__(self):
        self.told = []

    def wait_at_barrier(self, *_):
        raise tf.errors.UnavailableError(None, None, "Socket closed")

    def report_error_to_cluster(self, _, text):
        self.told.append(text)
        raise tf.errors.FailedPreconditionError(
            None, None, "Coordination service agent is already in error state."
        )


def test_parting_from_lost_hosts_keeps_the_reason(monkeypatch):
    service = _Cut()
    monkeypatch.setattr(coordination.context, "context", lambda: service)
    hosts = Hosts(None, count=2)
    try:
        raise ValueError("worker 1 cannot be reached")
    except ValueError as error:
        hosts.part(str(error))  # must not raise in its place
    assert "worker 0 left: worker 1 cannot be reached" in service.told[0]
    hosts.part("again")
    assert len(service.told) == 1
