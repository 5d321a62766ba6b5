"""Files: whole or not at all."""

import os

import numpy as np
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


def test_arrays_round_trip(tmp_path):
    path = str(tmp_path / "a.npz")
    arrays = {"x": np.arange(6.0).reshape(2, 3), "names": np.array(["a", "b"])}
    files.write_npz(path, arrays)
    found = files.read_npz(path)
    assert found.keys() == arrays.keys()
    for name, array in arrays.items():
        np.testing.assert_array_equal(found[name], array)
    assert os.listdir(tmp_path) == ["a.npz"]


@pytest.mark.parametrize("kept", [0, 3, 100, -30])
def test_damaged_arrays_are_named(tmp_path, kept):
    path = tmp_path / "a.npz"
    files.write_npz(str(path), {"x": np.arange(100)})
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(ValueError, match=r"a\.npz is damaged"):
        files.read_npz(str(path))


def test_a_spoilt_array_is_found(tmp_path):
    path = tmp_path / "a.npz"
    files.write_npz(str(path), {"x": np.arange(100)})
    content = bytearray(path.read_bytes())
    content[300] ^= 1
    path.write_bytes(content)
    with pytest.raises(ValueError, match="damaged"):
        files.read_npz(str(path))
