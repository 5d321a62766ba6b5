"""A program of R replicas on virtual devices, in a process of its own."""

import re

import numpy as np
import pytest
import tensorflow as tf

from simclr_tf import distributed
from tpu import rehearsal

R = 3


def program():
    """Replicas add up what they are given, times what nobody writes; each
    counts its own, too."""
    factor = tf.Variable(2.0)
    total = tf.Variable(tf.zeros([2]))
    own = tf.Variable(5.0)
    count = tf.Variable(0, dtype=tf.int64)

    @tf.function(jit_compile=True, autograph=False)
    def step(index, values):
        with distributed.one_of(R, index):
            total.assign_add(distributed.all_reduce_sum(values) * factor / 2)
        own.assign_add(tf.reduce_sum(values))
        count.assign_add(1)

    specs = [tf.TensorSpec([], tf.int32), tf.TensorSpec([2], tf.float32)]
    variables = {"total": total, "own": own, "count": count}
    return step, specs, {"factor": factor, **variables}


def steps(number):
    index = np.arange(R, dtype=np.int32)
    values = np.arange(2 * R, dtype=np.float32).reshape([R, 2])
    return [[index, values * (step + 1)] for step in range(number)]


def test_a_variable_without_a_name_is_refused():
    step, specs, variables = program()
    del variables["own"]
    with pytest.raises(ValueError, match="no name"):
        rehearsal.perform(step, specs, steps(1), variables)


@pytest.mark.parametrize(
    ("ending", "said"),
    [
        ("kill -KILL $$", r"by SIGKILL, memory was missing"),
        ("echo no such op >&2; exit 3", "status 3, and said: no such op"),
    ],
)
def test_a_program_that_dies_is_a_reason(monkeypatch, tmp_path, ending, said):
    python = tmp_path / "python"
    python.write_text(f"#!/bin/sh\n{ending}\n")
    python.chmod(0o755)
    monkeypatch.setattr(rehearsal.sys, "executable", str(python))
    step, specs, variables = program()
    done = rehearsal.perform(step, specs, steps(1), variables)
    assert re.search(said, done.reason)


@pytest.mark.slow
def test_what_comes_out_goes_in_again():
    step, specs, variables = program()
    done = rehearsal.perform(
        step, specs, steps(2), variables, watched=["total"]
    )
    assert done.reason is None
    # Sums of [0, 2, 4] and [1, 3, 5], and then twice as much.
    expected = np.array([[6.0, 9.0], [18.0, 27.0]])
    for replica in range(R):
        np.testing.assert_array_equal(
            done.watched["total"][:, replica], expected
        )
    assert set(done.after) == {"own", "count"}
    assert done.after["count"] == 2
    assert done.after["own"] == 5 + 3 * (0 + 1)
    assert done.differing == ["own"]
    # Here, nothing has moved.
    assert variables["own"] == 5
