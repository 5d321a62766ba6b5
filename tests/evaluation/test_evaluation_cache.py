"""Cached features: once, the same bits, and never another's."""

import numpy as np
import pytest

from simclr_tf.evaluation import cache
from simclr_tf.evaluation.features import Features

PARTS = {
    "encoder_sha256": "ab",
    "fingerprint": "cd",
    "split": "train",
    "preprocessing": {"image_size": 32, "crop_proportion": 0.875},
}


@pytest.fixture
def features(rng):
    return Features(
        rng.normal(size=(9, 4)).astype(np.float32),
        rng.integers(-1, 3, (9, 3)),
        rng.integers(0, 2**62, 9),
    )


class Counted:
    def __init__(self, features):
        self.times, self._features = 0, features

    def __call__(self):
        self.times += 1
        return self._features


def read(compute, folder, said=None, **changes):
    return cache.cached(
        compute,
        folder=str(folder),
        key=cache.features_key(**{**PARTS, **changes}),
        say=(said if said is not None else []).append,
    )


def assert_same(found, wanted):
    for ours, theirs in zip(found, wanted, strict=True):
        assert ours.dtype == theirs.dtype
        np.testing.assert_array_equal(ours, theirs)


def test_features_are_computed_once(tmp_path, features):
    compute = Counted(features)
    for _ in range(3):
        assert_same(read(compute, tmp_path / "new" / "folder"), features)
    assert compute.times == 1
    assert len(list((tmp_path / "new" / "folder").iterdir())) == 1


@pytest.mark.parametrize(
    "change",
    [
        {"encoder_sha256": "abc"},
        {"fingerprint": "x"},
        {"split": "test"},
        {"preprocessing": {"image_size": 32, "crop_proportion": 1.0}},
        {"preprocessing": {"image_size": 32}},
    ],
    ids=str,
)
def test_another_key_is_another_file(tmp_path, features, change):
    read(Counted(features), tmp_path)
    other = features._replace(values=features.values + 1)
    compute = Counted(other)
    assert_same(read(compute, tmp_path, **change), other)
    assert compute.times == 1
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize("spoil", ["cut", "flip", "empty", "other"])
def test_damaged_features_are_computed_anew_with_a_word(
    tmp_path, features, spoil
):
    read(Counted(features), tmp_path)
    (path,) = tmp_path.iterdir()
    content = bytearray(path.read_bytes())
    if spoil == "cut":
        content = content[:200]
    elif spoil == "flip":
        content[180] ^= 4
    elif spoil == "empty":
        content = b""
    else:
        read(Counted(features), tmp_path / "x", split="test")
        content = next((tmp_path / "x").iterdir()).read_bytes()
    path.write_bytes(content)
    compute, said = Counted(features), []
    assert_same(read(compute, tmp_path, said), features)
    assert compute.times == 1
    assert len(said) == 1 and path.name in said[0]
    assert_same(read(compute, tmp_path, said), features)
    assert (compute.times, len(said)) == (1, 1)


def test_without_a_folder_nothing_is_kept(features):
    compute = Counted(features)
    for _ in range(2):
        cache.cached(compute, folder=None, key={})
    assert compute.times == 2
