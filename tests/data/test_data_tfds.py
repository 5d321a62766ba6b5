"""TFDS data sets: opened from their files, of any shape, key and size."""

import json
import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds
from PIL import Image
from sklearn import datasets as sklearn_datasets

from simclr_tf.data import digits
from simclr_tf.data.prepared import source as tfds_source
from simclr_tf.data.sources import open_source
from simclr_tf.errors import UserError
from tests.tiny_datasets import write_tfds


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    """Data sets of real names, and some of odd features."""
    place = tmp_path_factory.mktemp("tfds")
    text = (tfds.features.Text(), lambda number: f"n{number}")
    write_tfds(
        "cifar10", place, splits={"train": 40, "test": 10},
        extra_features={"id": text},
    )  # fmt: skip
    write_tfds(
        "imagenet2012", place, splits={"train": 30, "validation": 7},
        image_shape=(None, None, 3), sizes=[(40, 60), (51, 33)],
        num_classes=1000, encoding_format="jpeg", num_shards=3,
        extra_features={"file_name": text},
    )  # fmt: skip
    write_tfds(
        "imagenet2012_subset", place, splits={"train": 8, "validation": 4},
        image_shape=(None, None, 3), num_classes=1000, config="1pct",
        encoding_format="jpeg", extra_features={"file_name": text},
    )  # fmt: skip
    write_tfds(
        "unlabelled", place, splits={"train": 12}, num_classes=None,
        image_key="picture", image_shape=(20, 10, 4),
    )  # fmt: skip
    label = tfds.features.ClassLabel(names=["even", "odd"])
    image = tfds.features.Image(shape=(8, 8, 3))
    write_tfds(
        "ambiguous", place, splits={"train": 6}, supervised=False,
        image_shape=(8, 8, 1),
        extra_features={
            "parity": (label, lambda number: number % 2),
            "other": (image, lambda _: np.full((8, 8, 3), 7, np.uint8)),
        },
    )  # fmt: skip
    return str(place)


def raw(builder, split, image_key="image", label_key="label"):
    """What TFDS itself reads, in the order of the files."""
    for example in tfds.as_numpy(builder.as_dataset(split=split)):
        yield example[image_key], example.get(label_key, -1)


@pytest.mark.parametrize(
    ("dataset", "split", "storage"),
    [
        ("cifar10", "train", "pixels"),
        ("cifar10", "train[:25%]", "pixels"),
        ("cifar10", "train[35:]+test[:2]", "pixels"),
        ("imagenet2012", "train[10:25]", "images"),
        ("imagenet2012_subset/1pct", "validation", "images"),
    ],
)
def test_reads_what_tfds_reads(data_dir, dataset, split, storage):
    source = open_source(dataset=dataset, split=split, data_dir=data_dir)
    builder = tfds.builder(dataset, data_dir=data_dir)
    expected = list(raw(builder, split))
    assert source.num_examples == len(expected)
    assert source.examples.storage == storage
    assert source.num_classes == builder.info.features["label"].num_classes
    for index, (image, label) in enumerate(expected):
        ours, our_label = source.examples.read({}, tf.constant(index, tf.int64))
        assert our_label == label
        np.testing.assert_array_equal(ours, image)


def test_ids_are_numbers_in_the_whole_split(data_dir):
    def ids(split):
        source = open_source(
            dataset="imagenet2012", split=split, data_dir=data_dir
        )
        return source.examples.ids.numpy()

    np.testing.assert_array_equal(ids("train"), np.arange(30))
    np.testing.assert_array_equal(ids("train[13:19]"), np.arange(13, 19))
    np.testing.assert_array_equal(
        ids("train[28:]+validation[5:]"), [28, 29, 35, 36]
    )


def test_ids_and_fingerprint_are_those_of_the_stream(data_dir):
    options = {"dataset": "imagenet2012", "split": "train[4:27]"}
    memory = open_source(**options, data_dir=data_dir)
    stream = open_source(**options, data_dir=data_dir, in_memory_limit_mb=0)
    assert stream.examples.storage == "stream"
    assert not stream.random_access
    assert stream.num_examples == 23
    assert stream.fingerprint == memory.fingerprint
    ids = [int(i) for i, _ in stream.examples.pieces.in_order()]
    assert ids == memory.examples.ids.numpy().tolist()
    np.testing.assert_array_equal(
        stream.examples.pieces.name_of(tf.constant(ids, tf.int64)),
        memory.examples.name_of(tf.range(23, dtype=tf.int64)),
    )
    assert memory.examples.name_of(
        tf.constant([0, 22], tf.int64)
    ).numpy().tolist() == [
        b"imagenet2012-train.tfrecord-00000-of-00003 record 4",
        b"imagenet2012-train.tfrecord-00002-of-00003 record 6",
    ]


def test_the_fingerprint_tells_splits_and_keys_apart(data_dir):
    def fingerprint(split, **keys):
        return open_source(
            dataset="ambiguous", split=split, data_dir=data_dir, **keys
        ).fingerprint

    one = fingerprint("train", image_key="image", label_key="label")
    assert one == fingerprint("train", image_key="image", label_key="label")
    others = {
        fingerprint("train[:5]", image_key="image", label_key="label"),
        fingerprint("train", image_key="other", label_key="label"),
        fingerprint("train", image_key="image", label_key="parity"),
    }
    assert len(others | {one}) == 4


def test_no_labels_and_another_key(data_dir):
    source = open_source(dataset="unlabelled", split="train", data_dir=data_dir)
    assert source.num_classes is None
    assert not source.has_labels
    image, label = source.examples.read({}, tf.constant(3, tf.int64))
    assert label == -1
    builder = tfds.builder("unlabelled", data_dir=data_dir)
    expected = [image for image, _ in raw(builder, "train", "picture")]
    shown = Image.new("RGBA", expected[3].shape[1::-1], "white")
    shown.alpha_composite(Image.fromarray(np.asarray(expected[3])))
    np.testing.assert_array_equal(image, np.array(shown.convert("RGB")))


def test_without_supervised_keys_the_label_is_found_or_asked_for(data_dir):
    def opened(**keys):
        return open_source(
            dataset="ambiguous", split="train", data_dir=data_dir, **keys
        )

    with pytest.raises(ValueError, match="--image_key: image, other"):
        opened()
    with pytest.raises(ValueError, match="--label_key: label, parity"):
        opened(image_key="image")
    with pytest.raises(ValueError, match=r"--label_key=id is not.*parity"):
        opened(image_key="image", label_key="id")
    source = opened(image_key="other", label_key="parity")
    assert source.class_names == ("even", "odd")
    image, _ = source.examples.read({}, tf.constant(0, tf.int64))
    np.testing.assert_array_equal(image, np.full((8, 8, 3), 7))


def test_a_single_label_needs_no_supervised_keys(data_dir, tmp_path):
    del data_dir
    write_tfds("plain", tmp_path, splits={"train": 4}, supervised=False)
    source = open_source(dataset="plain", split="train", data_dir=str(tmp_path))
    assert source.num_classes == 10


def test_cache_decodes_images_of_any_size_once(data_dir):
    options = {"dataset": "imagenet2012", "split": "validation"}
    encoded = open_source(**options, data_dir=data_dir)
    cached = open_source(**options, data_dir=data_dir, cache=True)
    assert encoded.examples.can_fail
    assert not cached.examples.can_fail
    for index in range(7):
        pair = [
            source.examples.read({}, tf.constant(index, tf.int64))
            for source in (encoded, cached)
        ]
        np.testing.assert_array_equal(pair[0][0], pair[1][0])
        assert pair[0][1] == pair[1][1]


def test_array_record_is_read_into_memory_or_refused(tmp_path):
    for file_format in ("tfrecord", "array_record"):
        write_tfds(
            "either", tmp_path / file_format, splits={"train": 20},
            image_shape=(None, None, 3), num_shards=2,
            file_format=file_format,
        )  # fmt: skip
    options = {"dataset": "either", "split": "train[3:17]"}
    tfrecord, array_record = (
        open_source(**options, data_dir=str(tmp_path / file_format))
        for file_format in ("tfrecord", "array_record")
    )
    for mine, other in (
        (tfrecord.examples.payload, array_record.examples.payload),
        (tfrecord.examples.labels, array_record.examples.labels),
        (tfrecord.examples.ids, array_record.examples.ids),
    ):
        np.testing.assert_array_equal(mine, other)
    with pytest.raises(ValueError, match="cannot stream array_record"):
        open_source(
            **options,
            data_dir=str(tmp_path / "array_record"),
            in_memory_limit_mb=0,
        )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"dataset": "cifra10"}, "--dataset=cifra10 is unknown.*mean cifar10"),
        ({"dataset": "qwxz"}, "--dataset=qwxz is unknown"),
        ({"dataset": "mnist"}, "--dataset=mnist is not prepared.*tfds build"),
        ({"dataset": "cifar10:1.0.0"}, "cifar10 holds 3.0.2"),
        ({"dataset": "imagenet2012_subset/10pct"}, "holds 1pct"),
        ({"split": "val"}, r"'val' \(--train_split.*has test, train"),
        ({"split": "train[:0%]"}, r"'train\[:0%\]'.*is empty"),
        ({"split": "train["}, r"'train\['.*does not exist"),
        ({"data_dir": "/nowhere/at/all"}, "--data_dir=/nowhere/at/all is not"),
        ({"image_key": "picture"}, "--image_key=picture is not.*: image"),
        (
            {
                "dataset": "imagenet2012",
                "cache": True,
                "in_memory_limit_mb": 0,
            },
            "--cache_dataset.*--in_memory_limit_mb=0",
        ),
    ],
)
def test_errors_name_the_flag(data_dir, options, message):
    defaults = {"dataset": "cifar10", "split": "train", "data_dir": data_dir}
    with pytest.raises(ValueError, match=message) as error:
        open_source(**(defaults | options))
    assert "\n" not in str(error.value)


def test_an_empty_data_dir_says_how_to_prepare(tmp_path):
    with pytest.raises(ValueError, match=r"holds no data sets.*tfds build"):
        open_source(
            dataset="imagenet2012", split="train", data_dir=str(tmp_path)
        )


def test_data_that_does_not_tell_its_size_is_still_not_swallowed(tmp_path):
    noise = np.random.default_rng(0).integers(0, 255, (600, 600, 3))
    write_tfds(
        "silent", tmp_path, splits={"train": 2}, image_shape=(None, None, 3),
        edit=lambda _, example: example | {"image": noise.astype(np.uint8)},
    )  # fmt: skip
    (path,) = tmp_path.rglob("dataset_info.json")
    info = json.loads(path.read_text())
    del info["splits"][0]["numBytes"]
    path.write_text(json.dumps(info))
    options = {"dataset": "silent", "split": "train", "in_memory_limit_mb": 1}
    source = open_source(**options, data_dir=str(tmp_path))
    assert source.examples.storage == "stream"


@pytest.mark.parametrize("limit", [0, 100])
def test_a_missing_file_is_named(tmp_path, limit):
    write_tfds(
        "holes", tmp_path, splits={"train": 9}, num_shards=3,
        image_shape=(None, None, 3),
    )  # fmt: skip
    (shard,) = tmp_path.rglob("*00001-of-00003")
    shard.unlink()
    with pytest.raises(ValueError, match=r"damaged.*00001-of-00003"):
        open_source(
            dataset="holes",
            split="train",
            data_dir=str(tmp_path),
            in_memory_limit_mb=limit,
        )


def test_floating_point_images_are_refused(tmp_path):
    image = tfds.features.Image(shape=(4, 4, 1), dtype=np.float32)
    write_tfds(
        "depth", tmp_path, splits={"train": 2}, num_classes=None,
        extra_features={
            "far": (image, lambda _: np.zeros((4, 4, 1), np.float32))
        },
    )  # fmt: skip
    with pytest.raises(ValueError, match=r"--image_key=far.*only 8 and 16"):
        open_source(
            dataset="depth",
            split="train",
            data_dir=str(tmp_path),
            image_key="far",
        )


def test_the_digits_are_scikit_learns(tmp_path):
    seen = []
    for split, size in (("train", 1437), ("test", 360)):
        source = open_source(
            dataset="digits", split=split, data_dir=str(tmp_path)
        )
        assert source.num_examples == size
        counts = np.bincount(source.examples.labels)
        assert counts.min() >= 0.096 * size
        assert counts.max() <= 0.104 * size
        assert source.examples.payload.shape == (size, 8, 8, 1)
        seen += [
            (image.tobytes(), label)
            for image, label in zip(
                source.examples.payload.numpy(),
                source.examples.labels.numpy(),
                strict=True,
            )
        ]
    original = sklearn_datasets.load_digits()
    scaled = np.round(original.images * 255 / 16).astype(np.uint8)
    expected = [
        (image.tobytes(), label)
        for image, label in zip(scaled, original.target, strict=True)
    ]
    assert sorted(seen) == sorted(expected)
    assert [path.name for path in tmp_path.iterdir()] == ["digits"]
    builder = tfds.builder("digits", data_dir=str(tmp_path))
    assert builder.info.splits["test"].num_examples == 360


def test_the_digits_need_a_place_that_can_be_written(tmp_path):
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(ValueError, match=r"--dataset=digits.*--data_dir"):
        open_source(
            dataset="digits", split="train", data_dir=str(tmp_path / "file")
        )


def test_the_digits_may_be_prepared_by_two_at_once(tmp_path, monkeypatch):
    write = digits._write

    def write_while_another_finishes(aside, name):
        monkeypatch.setattr(digits, "_write", write)
        digits.prepare(str(tmp_path))
        return write(aside, name)

    monkeypatch.setattr(digits, "_write", write_while_another_finishes)
    assert digits.prepare(str(tmp_path)) == str(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["digits"]


_PREPARE = """
import sys
from simclr_tf.data import digits
digits.prepare(sys.argv[1])
"""


@pytest.mark.slow
def test_two_processes_prepare_the_digits_at_once(tmp_path):
    both = [
        subprocess.Popen(
            [sys.executable, "-c", _PREPARE, str(tmp_path)],
            stdout=subprocess.PIPE,
            cwd=pathlib.Path(__file__).parents[2],
        )
        for _ in range(2)
    ]
    outputs = [process.communicate(timeout=120)[0] for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert outputs == [b"", b""], "quietly"
    assert [path.name for path in tmp_path.iterdir()] == ["digits"]
    info = json.loads((tmp_path / "digits/1.0.0/dataset_info.json").read_text())
    sizes = {s["name"]: s["shardLengths"] for s in info["splits"]}
    assert sizes == {"train": ["1437"], "test": ["360"]}


def test_opening_asks_no_registered_code(data_dir, monkeypatch):
    """Data of a version that this TFDS no longer knows can be read."""
    write_tfds(
        "cifar10", pathlib.Path(data_dir) / "old", splits={"train": 4},
        version="2.0.0",
    )  # fmt: skip
    monkeypatch.setattr(
        tfds_source.tfds, "builder", lambda *_, **__: pytest.fail("asked")
    )
    source = open_source(
        dataset="cifar10", split="train", data_dir=f"{data_dir}/old"
    )
    assert source.num_examples == 4


def test_fashion_mnist(fashion_mnist_dir):
    """Real data, prepared by TFDS, where it lies at hand."""
    place = fashion_mnist_dir
    options = {"dataset": "fashion_mnist", "data_dir": place}
    source = open_source(**options, split="test")
    assert source.examples.payload.shape == (10_000, 28, 28, 1)
    np.testing.assert_array_equal(np.bincount(source.examples.labels), 1000)
    builder = tfds.builder("fashion_mnist", data_dir=place)
    for index, (image, label) in enumerate(raw(builder, "test[:50]")):
        np.testing.assert_array_equal(source.examples.payload[index], image)
        assert source.examples.labels[index] == label
    part = open_source(**options, split="train[:10%]")
    assert part.num_examples == 6000
    assert part.class_names[0] == "T-shirt/top"


def test_digits_are_not_written_among_pictures(tmp_path):
    """--dataset=folder was forgotten."""
    photos = tmp_path / "photos"
    (photos / "train" / "cats").mkdir(parents=True)
    (photos / "train" / "cats" / "1.JPG").touch()
    with pytest.raises(UserError, match="--dataset=folder"):
        digits.prepare(str(photos))
    assert os.listdir(photos) == ["train"]
