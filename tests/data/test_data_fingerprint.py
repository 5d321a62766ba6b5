"""Fingerprints: they change with images and labels, and with nothing else."""

import os
import shutil
import threading
import time
import types

import numpy as np
import pytest
import tensorflow_datasets as tfds

from simclr_tf.data import fingerprint
from simclr_tf.data.sources import open_source
from tests import image_files
from tests.tiny_datasets import write_tfds


@pytest.fixture(params=["contents", "times"])
def told_by(request, monkeypatch):
    """How files are told apart: read, or by what the file system says."""
    if request.param == "times":
        monkeypatch.setattr(fingerprint, "CONTENT_LIMIT_BYTES", 0)
    return request.param


def opened(root, split="test"):
    return open_source(dataset="folder", data_dir=str(root), split=split)


@pytest.fixture
def root(tmp_path):
    """{train,test}/{b,c}, three BMPs each, all of one size in bytes."""
    for number in range(12):
        split, label = ("train", "test")[number // 6], "bc"[number % 2]
        name = f"{split}/{label}/{number % 6 // 2}.bmp"
        image_files.write(tmp_path / "root" / name, number)
    sizes = {path.stat().st_size for path in tmp_path.rglob("*.bmp")}
    assert len(sizes) == 1
    return tmp_path / "root"


def exchange(one, other):
    aside = one.with_name("aside")
    one.rename(aside)
    other.rename(one)
    aside.rename(other)


def prints(source):
    return source.fingerprint, source.image_fingerprint


def test_the_same_twice(root, told_by):
    del told_by
    assert prints(opened(root)) == prints(opened(root))


def test_images_that_change_places_change_both(root, told_by):
    """Files of two classes are exchanged: equal paths, equal sizes."""
    del told_by
    before = opened(root)
    for number in range(3):
        exchange(
            root / "test" / "b" / f"{number}.bmp",
            root / "test" / "c" / f"{number}.bmp",
        )
    after = opened(root)
    assert before.fingerprint != after.fingerprint
    assert before.image_fingerprint != after.image_fingerprint


def test_a_class_more_changes_the_labels_alone(root, told_by):
    """A folder a/ of another split moves the class numbers of this one."""
    del told_by
    before = opened(root, "train")
    image_files.write(root / "test" / "a" / "0.bmp", 99)
    after = opened(root, "train")
    assert before.examples.labels.numpy().tolist() == [0, 0, 0, 1, 1, 1]
    assert after.examples.labels.numpy().tolist() == [1, 1, 1, 2, 2, 2]
    assert before.image_fingerprint == after.image_fingerprint
    assert before.fingerprint != after.fingerprint


def test_another_name_for_a_class_changes_it(root, told_by):
    del told_by
    before = opened(root)
    for split in ("train", "test"):
        (root / split / "c").rename(root / split / "d")
    after = opened(root)
    assert after.examples.labels.numpy().tolist() == [0, 0, 0, 1, 1, 1]
    assert before.fingerprint != after.fingerprint


def test_an_image_of_the_same_size_changes_it(root, told_by):
    del told_by
    before = opened(root)
    path = root / "test" / "b" / "0.bmp"
    os.utime(image_files.write(path, 77), ns=(0, 12345))
    after = opened(root)
    assert before.image_fingerprint != after.image_fingerprint
    assert opened(root, "train").fingerprint != after.fingerprint


def test_a_copy_keeps_it_where_contents_are_read(root, tmp_path, told_by):
    shutil.copytree(root, tmp_path / "copy", copy_function=shutil.copyfile)
    same = prints(opened(root)) == prints(opened(tmp_path / "copy"))
    assert same == (told_by == "contents")


def test_what_cannot_be_read_is_no_content(tmp_path):
    (tmp_path / "empty.png").write_bytes(b"")
    image_files.write(tmp_path / "good.png")
    paths = [str(tmp_path / name) for name in ("empty.png", "good.png", "no")]
    _, contents = fingerprint.of_files(paths, np.arange(3))
    assert contents[0] == contents[2] == fingerprint.NO_CONTENT
    assert contents[1] >= 0


def written(place, **options):
    options = {"splits": {"train": 8, "test": 6}, "num_classes": 3} | options
    write_tfds("tiny", place, **options)
    return str(place)


@pytest.mark.parametrize("limit_mb", [100, 0])
def test_prepared_data_is_told_by_what_it_holds(tmp_path, limit_mb):
    """Wherever it lies, in memory or streamed."""

    def source(place, split="test"):
        return open_source(
            dataset="tiny", split=split, data_dir=place,
            in_memory_limit_mb=limit_mb,
        )  # fmt: skip

    one = written(tmp_path / "one")
    shutil.copytree(one, tmp_path / "copy")
    assert prints(source(one)) == prints(source(str(tmp_path / "copy")))
    others = [
        written(
            tmp_path / "labels",
            edit=lambda number, e: e | {"label": (number + 1) % 3},
        ),
        written(tmp_path / "images", seed=1),
    ]
    found = [prints(source(place)) for place in (one, *others)]
    found.append(prints(source(one, "train")))
    found.append(prints(source(one, "test[:3]")))
    assert len({labels for labels, _ in found}) == len(found)
    assert len({images for _, images in found}) == len(found)


def test_names_of_classes_change_the_labels_alone(tmp_path):
    def source(place, names):
        label = tfds.features.ClassLabel(names=names)
        write_tfds(
            "tiny", tmp_path / place, splits={"train": 4}, num_classes=None,
            extra_features={"label": (label, lambda number: number % 2)},
        )  # fmt: skip
        return open_source(
            dataset="tiny", split="train", data_dir=str(tmp_path / place)
        )

    one, other = source("one", ["cat", "dog"]), source("other", ["cow", "dog"])
    assert (one.class_names, other.class_names) == (
        ("cat", "dog"),
        ("cow", "dog"),
    )
    assert one.image_fingerprint == other.image_fingerprint
    assert one.fingerprint != other.fingerprint


def test_large_prepared_data_is_told_by_its_description(tmp_path, monkeypatch):
    monkeypatch.setattr(fingerprint, "CONTENT_LIMIT_BYTES", 0)

    def source(place, split="test"):
        return open_source(dataset="tiny", split=split, data_dir=place)

    one = written(tmp_path / "one")
    shutil.copytree(one, tmp_path / "copy", copy_function=shutil.copyfile)
    assert prints(source(one)) == prints(source(str(tmp_path / "copy")))
    other = written(tmp_path / "other", splits={"train": 8, "test": 7})
    assert source(one).image_fingerprint != source(other).image_fingerprint
    assert source(one, "train").fingerprint != source(one).fingerprint


def test_remote_files_are_told_by_size_and_time(monkeypatch):
    """Of very many, some that their ids choose are asked about."""
    asked = []

    def stat(path):
        asked.append(path)
        return types.SimpleNamespace(length=len(path), mtime_nsec=7)

    monkeypatch.setattr(fingerprint.tf.io.gfile, "stat", stat)
    paths, ids = [f"gs://b/{n}.png" for n in range(9)], np.arange(9)[::-1]
    whole, contents = fingerprint.of_files(paths, ids)
    assert contents is None
    assert sorted(asked) == paths
    asked.clear()
    monkeypatch.setattr(fingerprint, "REMOTE_LIMIT", 4)
    part, _ = fingerprint.of_files(paths, ids)
    assert sorted(asked) == paths[-4:], "those of the smallest ids"
    assert part != whole
    assert part == fingerprint.of_files(paths, ids)[0]


def test_calls_that_wait_run_side_by_side():
    """A file system that answers late is asked by many threads, from the
    first late answer on; the order of the answers is that of the paths."""
    threads, number = set(), 5 * fingerprint._FILES_A_TASK

    def late(path):
        threads.add(threading.get_ident())
        wait = int(path) >= fingerprint._FILES_A_TASK
        time.sleep(3 * fingerprint._SLOW_CALL_SECONDS * wait)
        return int(path)

    paths = [str(i) for i in range(number)]
    for asked, at_least, at_most in [(paths, 3, 4), (paths[:256], 1, 1)]:
        threads.clear()
        found = fingerprint._mapped(late, asked, fingerprint._NUM_THREADS)
        np.testing.assert_array_equal(found, np.arange(len(asked)))
        assert at_least <= len(threads) <= at_most
