"""Checkpoints: whole or not at all, and every misfit by name."""

import os

import numpy as np
import pytest
import tensorflow as tf

from simclr_tf.run_files import checkpoints


def make_variables(seed=0, kernel_shape=(20, 30)):
    rng = np.random.default_rng(seed)
    return checkpoints.named_variables(
        [
            tf.Variable(rng.normal(size=kernel_shape), name="conv/kernel"),
            tf.Variable(rng.normal(size=5), name="conv/bias"),
        ],
        [tf.Variable(seed, dtype=tf.int64, name="iteration")],
    )


def values(variables):
    return {name: v.numpy() for name, v in variables.items()}


def assert_same(left, right):
    assert left.keys() == right.keys()
    for name in left:
        np.testing.assert_array_equal(left[name], right[name])


@pytest.fixture
def folder(tmp_path):
    return str(tmp_path)


def save(folder, step, seed, **shape):
    made = checkpoints.Checkpoints(
        folder, make_variables(seed, **shape), max_to_keep=5
    )
    return made.save(step)


def test_round_trip_is_exact(folder):
    written = make_variables(seed=1)
    path = checkpoints.Checkpoints(folder, written, max_to_keep=5).save(7)
    assert path.endswith("ckpt-7")
    assert checkpoints.step_of(path) == 7
    read = make_variables(seed=2)
    found = checkpoints.Checkpoints(
        folder, read, max_to_keep=5
    ).restore_newest()
    assert found == path
    assert_same(values(read), values(written))


def test_no_checkpoint_at_all(folder):
    made = checkpoints.Checkpoints(folder, make_variables(), max_to_keep=5)
    assert made.restore_newest() is None


def test_newest_by_number_not_by_name(folder):
    for step in (8, 9, 10, 100):
        save(folder, step, seed=step)
    paths = checkpoints.checkpoint_paths(folder)
    assert [checkpoints.step_of(p) for p in paths] == [8, 9, 10, 100]


def test_a_folder_with_brackets_is_a_folder(tmp_path):
    folder = str(tmp_path / "a[1]*")
    path = save(folder, 3, seed=1)
    assert checkpoints.checkpoint_paths(folder) == [path]


def test_only_so_many_are_kept(folder):
    made = checkpoints.Checkpoints(folder, make_variables(), max_to_keep=2)
    for step in (1, 2, 3):
        made.save(step)
    paths = checkpoints.checkpoint_paths(folder)
    assert [checkpoints.step_of(p) for p in paths] == [2, 3]


def truncate(path):
    with open(path, "r+b") as file:
        file.truncate(100)


def flip_a_byte(path):
    with open(path, "r+b") as file:
        file.seek(2000)
        byte = file.read(1)
        file.seek(2000)
        file.write(bytes([byte[0] ^ 0xFF]))


def empty_index(path):
    with open(path.replace(".data-00000-of-00001", ".index"), "wb"):
        pass


@pytest.mark.parametrize("damage", [truncate, flip_a_byte, empty_index])
def test_damaged_newest_is_named_and_the_one_before_used(
    folder, capsys, damage
):
    save(folder, 10, seed=10)
    newest = save(folder, 20, seed=20)
    damage(f"{newest}.data-00000-of-00001")
    read = make_variables(seed=0)
    found = checkpoints.Checkpoints(
        folder, read, max_to_keep=5
    ).restore_newest()
    assert checkpoints.step_of(found) == 10
    assert newest in capsys.readouterr().out
    assert_same(values(read), values(make_variables(seed=10)))


def test_damaged_checkpoint_changes_nothing(folder):
    path = save(folder, 20, seed=20)
    truncate(f"{path}.data-00000-of-00001")
    read = make_variables(seed=3)
    with pytest.raises(checkpoints.UnreadableCheckpoint, match="ckpt-20"):
        checkpoints.restore(path, read)
    assert_same(values(read), values(make_variables(seed=3)))


def test_unreadable_ones_are_out_of_the_way_not_lost(folder):
    """With --keep_checkpoint_max=1, too, they push no good one out."""
    save(folder, 10, seed=10)
    newest = save(folder, 20, seed=20)
    truncate(f"{newest}.data-00000-of-00001")
    made = checkpoints.Checkpoints(folder, make_variables(), max_to_keep=1)
    made.restore_newest()
    assert sorted(os.listdir(f"{folder}/unreadable")) == [
        "ckpt-20.data-00000-of-00001",
        "ckpt-20.index",
    ]
    made.save(15)
    assert checkpoints.checkpoint_paths(folder) == [f"{folder}/ckpt-15"]


def test_nothing_readable_is_an_error_not_a_fresh_start(folder):
    path = save(folder, 20, seed=20)
    truncate(f"{path}.data-00000-of-00001")
    made = checkpoints.Checkpoints(folder, make_variables(), max_to_keep=5)
    with pytest.raises(ValueError, match="None of the checkpoints"):
        made.restore_newest(first_steps=10)
    assert checkpoints.checkpoint_paths(folder) == [path]


@pytest.mark.parametrize("completed", [True, False])
def test_a_run_without_a_first_checkpoint_starts_anew(
    folder, capsys, completed
):
    """Killed while it wrote its first: nothing is there to lose."""
    path = save(folder, 20, seed=20)
    with open(f"{path}.index", "r+b") as file:
        file.truncate(100)
    if not completed:
        os.remove(f"{folder}/checkpoint")
    made = checkpoints.Checkpoints(folder, make_variables(), max_to_keep=5)
    first_steps = 20 if completed else 0
    assert made.restore_newest(first_steps=first_steps) is None
    assert "Starting from step 0" in capsys.readouterr().out
    assert checkpoints.checkpoint_paths(folder) == []
    assert len(os.listdir(f"{folder}/unreadable")) == 2


def test_only_the_chief_moves_what_is_unreadable(folder):
    save(folder, 10, seed=10)
    newest = save(folder, 20, seed=20)
    truncate(f"{newest}.data-00000-of-00001")
    other = checkpoints.Checkpoints(
        folder, make_variables(), max_to_keep=1, writes=False
    )
    assert other.restore_newest() == f"{folder}/ckpt-10"
    assert len(checkpoints.checkpoint_paths(folder)) == 2


def test_other_tools_find_the_newest(folder):
    made = checkpoints.Checkpoints(folder, make_variables(), max_to_keep=2)
    for step in (1, 2, 3):
        made.save(step)
    assert tf.train.latest_checkpoint(folder) == f"{folder}/ckpt-3"


def test_orphans_of_a_run_of_before_are_pruned(folder):
    """Not in TensorFlow's list, they would stay for good."""
    for step in (1, 2, 3):
        save(folder, step, seed=step)
    os.remove(f"{folder}/checkpoint")
    checkpoints.Checkpoints(folder, make_variables(), max_to_keep=1).save(9)
    assert checkpoints.checkpoint_paths(folder) == [f"{folder}/ckpt-9"]
    assert len(os.listdir(folder)) == 3


@pytest.mark.parametrize("listed", [True, False])
def test_a_save_that_was_cut_short_is_finished(folder, listed):
    """After the newest got its name, before the older one went."""
    save(folder, 2, seed=1)
    state = os.path.join(folder, "checkpoint")
    with open(state, "rb") as file:
        before = file.read()
    save(folder, 4, seed=2)
    if not listed:
        with open(state, "wb") as file:
            file.write(before)
    for writes, left in ((False, [2, 4]), (True, [4])):
        checkpoints.Checkpoints(
            folder, make_variables(), max_to_keep=1, writes=writes
        ).restore_newest()
        paths = checkpoints.checkpoint_paths(folder)
        assert [checkpoints.step_of(p) for p in paths] == left
    assert tf.train.latest_checkpoint(folder) == f"{folder}/ckpt-4"


def test_objects_keep_the_order(monkeypatch):
    made = checkpoints.Checkpoints("ram://c", make_variables(), max_to_keep=1)
    made.save(1)
    made.save(2)
    read = make_variables(seed=5)
    again = checkpoints.Checkpoints("ram://c", read, max_to_keep=1)
    assert again.restore_newest() == "ram://c/ckpt-2"


def test_misfits_are_listed_and_change_nothing(folder):
    path = save(folder, 1, seed=1)
    other = make_variables(seed=2, kernel_shape=(20, 31))
    other["head:kernel"] = tf.Variable([1.0], name="head/kernel")
    del other["conv:bias"]
    before = values(other)
    with pytest.raises(ValueError) as caught:
        checkpoints.restore(path, other)
    message = str(caught.value)
    assert "conv:kernel has shape (20, 30), not (20, 31)" in message
    assert "head:kernel is not in it" in message
    assert "conv:bias is in it only" in message
    assert_same(values(other), before)


def test_two_variables_of_one_name_are_refused():
    twins = [tf.Variable(1.0, name="w"), tf.Variable(2.0, name="w")]
    with pytest.raises(ValueError, match="named w"):
        checkpoints.named_variables(twins)


def test_written_on_replicas_read_on_one_device(folder, mesh):
    """Per-replica statistics, too: what is read is what every replica held."""
    with mesh.scope():
        variables = checkpoints.named_variables(
            [
                tf.Variable([1.0, 2.0], name="w"),
                tf.Variable(
                    [3.0],
                    name="mean",
                    trainable=False,
                    synchronization=tf.VariableSynchronization.ON_READ,
                    aggregation=tf.VariableAggregation.MEAN,
                ),
            ]
        )
    path = checkpoints.Checkpoints(folder, variables, max_to_keep=1).save(1)
    read = checkpoints.named_variables(
        [tf.Variable([0.0, 0.0], name="w"), tf.Variable([0.0], name="mean")]
    )
    checkpoints.restore(path, read)
    np.testing.assert_array_equal(read["w"], [1.0, 2.0])
    np.testing.assert_array_equal(read["mean"], [3.0])
    with mesh.scope():
        checkpoints.restore(path, variables)
    for value in mesh.experimental_local_results(variables["mean"]):
        np.testing.assert_array_equal(value, [3.0])
