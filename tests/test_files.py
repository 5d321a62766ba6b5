"""Files: whole or not at all."""

import os
import pathlib

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


def test_a_file_is_synced_before_it_gets_its_name(tmp_path, monkeypatch):
    """And its folder after: a power cut leaves the old file or the new one."""
    order = []
    monkeypatch.setattr(files, "sync", lambda path: order.append(path))
    rename = files.gfile.rename

    def renamed(source, target, overwrite):
        order.append("rename")
        rename(source, target, overwrite)

    monkeypatch.setattr(files.gfile, "rename", renamed)
    path = str(tmp_path / "a.json")
    files.write_json(path, {"x": 1})
    assert order == [files.aside_of(path), "rename", str(tmp_path)]


def test_what_cannot_be_written_leaves_nothing_aside(tmp_path, monkeypatch):
    def full(path):
        raise OSError(28, "No space left on device", path)

    path = tmp_path / "a.json"
    files.write_json(str(path), {"x": 1})
    monkeypatch.setattr(files, "sync", full)
    with pytest.raises(OSError, match="No space"):
        files.write_json(str(path), {"x": 2})
    assert os.listdir(tmp_path) == ["a.json"]
    assert files.read_json(str(path)) == {"x": 1}


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"null", b"[]", b"3", b'"x"', b"\xff\xfe", b"[" * 100_000],
    ids=range(8),
)
def test_json_of_another_kind_is_named(tmp_path, content):
    path = tmp_path / "a.json"
    path.write_bytes(content)
    with pytest.raises(files.DamagedFile, match=r"a\.json is damaged \(.*\)"):
        files.read_json(str(path))


@pytest.mark.parametrize("read", [files.read_json, files.read_npz])
def test_what_cannot_be_read_is_named(tmp_path, read):
    with pytest.raises(files.UserError, match=r"gone cannot be read"):
        read(str(tmp_path / "gone"))


def test_one_array_is_not_arrays_by_name(tmp_path):
    np.save(tmp_path / "a.npy", np.arange(3))
    path = pathlib.Path(tmp_path / "a.npy")
    with pytest.raises(files.DamagedFile, match="one array"):
        files.read_npz(str(path))
