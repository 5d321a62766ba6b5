"""Whether a folder takes what a job will write, before it starts."""

import collections

import pytest
import tensorflow as tf

from simclr_tf.errors import UserError
from simclr_tf.run_files import room

Usage = collections.namedtuple("Usage", "total used free")
# 4 MB of weights, and the same of the optimizer.
WEIGHTS = [tf.Variable(tf.zeros([2**20]))]


def test_folder_that_cannot_be_written_names_the_flag(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(UserError, match="--model_dir"):
        room.require_writable(str(tmp_path / "file" / "below"))


@pytest.fixture
def free(monkeypatch):
    def has(mebibytes):
        monkeypatch.setattr(
            "shutil.disk_usage", lambda _: Usage(0, 0, mebibytes * 2**20)
        )

    return has


def require(folder, **options):
    given = {"saves": 100, "keep_checkpoints": 5, "keep_saved_models": 1}
    room.require(
        str(folder), model=WEIGHTS, optimizer=WEIGHTS, **given | options
    )


@pytest.mark.parametrize(
    ("options", "needed"),
    [
        ({}, 4 + 6 * 8 + 4),
        ({"keep_saved_models": 0}, 4 + 6 * 8),
        ({"saves": 2}, 4 + 2 * 8 + 4),
        ({"saves": 0}, 4 + 4),
        ({"keep_checkpoints": 1}, 4 + 2 * 8 + 4),
    ],
)
def test_what_a_run_keeps_and_one_more(tmp_path, free, options, needed):
    free(needed)
    require(tmp_path, **options)
    free(needed - 1)
    with pytest.raises(UserError, match=f"{needed}.0 MiB") as caught:
        require(tmp_path, **options)
    for word in (str(tmp_path), "--model_dir", "--keep_checkpoint_max"):
        assert word in str(caught.value)


def test_checkpoints_that_are_there_take_no_more(tmp_path, free):
    for step in range(5):
        (tmp_path / f"ckpt-{step}.index").touch()
    free(4 + 8 + 4)
    require(tmp_path)


def test_other_file_systems_are_not_asked(free):
    free(0)
    require("gs://bucket/run")
