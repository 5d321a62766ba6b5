"""Cached features: once, the same bits, and never another's."""

import numpy as np
import pytest

from simclr_tf.evaluation import cache
from simclr_tf.evaluation.features import Features

PARTS = {
    "encoder_sha256": "ab",
    "image_fingerprint": "cd",
    "options": {"image_size": 32, "crop_proportion": 0.875},
}
UNREADABLE = ("a/broken.jpg", "b/caf\u00e9, x.png")


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
        return cache.Extracted(self._features, UNREADABLE)


def read(compute, folder, said=None, labels_of=None, **changes):
    found = cache.cached(
        compute,
        folder=str(folder),
        key=cache.features_key(**{**PARTS, **changes}),
        labels_of=labels_of,
        say=(said if said is not None else []).append,
    )
    assert found.unreadable == UNREADABLE  # read or computed
    return found.features


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
        {"image_fingerprint": "x"},
        {"options": {"image_size": 32, "crop_proportion": 1.0}},
        {"options": {"image_size": 32}},
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


def test_another_version_of_this_library_is_another_file(
    tmp_path, features, monkeypatch
):
    read(Counted(features), tmp_path)
    monkeypatch.setattr(
        cache, "PREPROCESSING_VERSION", cache.PREPROCESSING_VERSION + 1
    )
    compute = Counted(features)
    read(compute, tmp_path)
    assert compute.times == 1


@pytest.mark.parametrize("shape", [(), (3,)], ids=["one", "several"])
def test_labels_are_looked_up_each_time(tmp_path, features, rng, shape):
    """A class that comes first moves the numbers of all others."""
    order = rng.permutation(9)
    for _ in range(3):
        labels = rng.integers(-1, 5, (9, *shape))
        now = features._replace(labels=labels)
        labels_of = cache.lookup(now.ids[order], labels[order])
        found = read(Counted(now), tmp_path, labels_of=labels_of)
        assert_same(found, now)
    (path,) = tmp_path.iterdir()
    with np.load(path) as kept:
        assert "labels" not in kept.files


def test_examples_that_have_gone_are_computed_anew(tmp_path, features):
    read(Counted(features), tmp_path, labels_of=lambda ids: features.labels)
    left = features._replace(**{k: v[1:] for k, v in vars_of(features)})
    compute, said = Counted(left), []
    labels_of = cache.lookup(left.ids, left.labels)
    assert_same(read(compute, tmp_path, said, labels_of), left)
    assert compute.times == 1 and len(said) == 1


def vars_of(features):
    return features._asdict().items()


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
        read(Counted(features), tmp_path / "x", image_fingerprint="other")
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
