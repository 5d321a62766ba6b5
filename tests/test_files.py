"""Files: whole or not at all."""

import os

import pytest

from simclr_tf import files


def test_json_round_trip_leaves_nothing_aside(tmp_path):
    path = str(tmp_path / "a.json")
    files.write_json(path, {"x": 1})
    files.write_json(path, {"x": 2})
    assert files.read_json(path) == {"x": 2}
    assert os.listdir(tmp_path) == ["a.json"]


def test_damaged_json_is_named(tmp_path):
    path = tmp_path / "config.json"
    path.write_text('{"x": ')
    with pytest.raises(ValueError, match=r"config\.json is damaged"):
        files.read_json(str(path))
