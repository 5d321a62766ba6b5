"""Which labels count: classes, texts, numbers; and -1, which never does."""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds

from simclr_tf.data import subset
from simclr_tf.data.sources import open_source
from tests.tiny_datasets import builder_class, image_of, prepare, write_tfds

TEXTS = ("wolf", "ant", "wolf", "cow")


def opened(place, split="train", *, limit_mb=100, **options):
    return open_source(
        dataset="tiny",
        split=split,
        data_dir=str(place),
        in_memory_limit_mb=limit_mb,
        **options,
    )


def with_labels(place, feature, value_of, *, key="label", **options):
    options = {"splits": {"train": 12, "test": 2}} | options
    write_tfds(
        "tiny", place, num_classes=None,
        extra_features={key: (feature, value_of)}, **options,
    )  # fmt: skip
    return place


def unlabelled(place):
    """As stl10 has it: of a split of its own, every label is -1."""
    write_tfds(
        "tiny", place, splits={"unlabelled": 9, "train": 6}, num_classes=3,
        num_shards=2,
    )  # fmt: skip
    builder = tfds.builder_from_directory(f"{place}/tiny/1.0.0")
    for path in builder.info.splits["unlabelled"].filepaths:
        records = [
            tf.train.Example.FromString(record.numpy())
            for record in tf.data.TFRecordDataset(str(path))
        ]
        with tf.io.TFRecordWriter(str(path)) as writer:
            for record in records:
                record.features.feature["label"].int64_list.value[0] = -1
                writer.write(record.SerializeToString())
    return place


@pytest.mark.parametrize("limit_mb", [100, 0])
def test_a_split_of_no_label_has_none(tmp_path, limit_mb):
    place = unlabelled(tmp_path)
    none = opened(place, "unlabelled", limit_mb=limit_mb)
    assert not none.has_labels
    assert none.num_classes is None
    assert none.class_names == ("0", "1", "2"), "those of the data set"
    for split in ("train", "unlabelled+train"):
        some = opened(place, split, limit_mb=limit_mb)
        assert some.has_labels
        assert some.num_classes == 3


def test_parts_may_be_without_labels(tmp_path):
    both = opened(unlabelled(tmp_path), "unlabelled+train")
    labels = subset.labels_of(both)
    part = subset.labelled(both)
    np.testing.assert_array_equal(subset.labels_of(part), labels[labels >= 0])
    assert part.num_examples == 6
    assert subset.labelled(part) is part
    none = subset.take(both, np.flatnonzero(labels < 0), name="rest")
    assert not none.has_labels


@pytest.mark.parametrize("asked", [None, "label"])
def test_texts_are_classes(tmp_path, asked):
    """Numbered over all splits, so that one which lacks a class agrees."""
    place = with_labels(tmp_path, tfds.features.Text(), lambda n: TEXTS[n % 4])
    train, test = (opened(place, s, label_key=asked) for s in ("train", "test"))
    assert train.class_names == test.class_names == ("ant", "cow", "wolf")
    expected = [("ant", "cow", "wolf").index(TEXTS[n % 4]) for n in range(12)]
    assert sorted(subset.labels_of(train)) == sorted(expected)
    assert sorted(subset.labels_of(test)) == [0, 2]
    assert test.num_classes == 3


def test_whole_numbers_are_classes_and_the_negative_one_is_none(tmp_path):
    place = with_labels(
        tmp_path,
        tfds.features.Scalar(np.int32),
        lambda n: (-1, 7, 30)[n % 3],
        image_shape=(None, None, 3),
        file_format="array_record",
    )
    source = opened(place)
    assert source.class_names == ("7", "30")
    counts = np.unique(subset.labels_of(source), return_counts=True)
    np.testing.assert_array_equal(counts, [[-1, 0, 1], [4, 4, 4]])


def test_a_stream_reads_classes_only(tmp_path):
    place = with_labels(tmp_path, tfds.features.Text(), lambda n: TEXTS[n % 4])
    with pytest.raises(ValueError, match=r"--label_key=label.*from a stream"):
        opened(place, limit_mb=0, label_key="label")
    # To pretrain, nobody needs them.
    assert not opened(place, limit_mb=0).has_labels


def test_other_features_are_no_labels_unless_asked_for(tmp_path):
    place = with_labels(
        tmp_path, tfds.features.Text(), lambda n: f"n{n}", key="file_name"
    )
    assert not opened(place).has_labels
    assert opened(place, label_key="file_name").num_classes == 12


def test_a_label_that_is_a_fraction_is_refused(tmp_path):
    place = with_labels(tmp_path, tfds.features.Scalar(np.float32), float)
    assert not opened(place).has_labels
    with pytest.raises(ValueError, match="--label_key=label is not among"):
        opened(place, label_key="label")


@pytest.mark.parametrize("limit_mb", [100, 0])
@pytest.mark.parametrize("shape", [(8, 6, 1), (None, None, 3)])
def test_tensors_of_pixels_are_images(tmp_path, limit_mb, shape):
    rng = np.random.default_rng(0)
    images = [
        image_of(
            n % 3, n, shape=(8, 6 + n * (not shape[0]), shape[-1]), rng=rng
        )
        for n in range(5)
    ]
    label = tfds.features.ClassLabel(num_classes=5)
    feature = tfds.features.Tensor(shape=shape, dtype=np.uint8, encoding="zlib")
    write_tfds(
        "tiny", tmp_path, splits={"train": 5}, num_classes=None,
        image_key="unused", image_shape=(4, 4, 3),
        extra_features={
            "pixels": (feature, lambda n: images[n]),
            "label": (label, lambda n: n),
        },
    )  # fmt: skip
    source = opened(tmp_path, limit_mb=limit_mb, image_key="pixels")
    examples = source.examples
    if source.random_access:
        picks = [({}, tf.constant(i, tf.int64)) for i in range(5)]
    else:
        records = [record for _, record in examples.pieces.in_order()]
        pick = {"records": tf.stack(records)}
        picks = [(pick, tf.constant(i, tf.int64)) for i in range(5)]
    for pick, index in picks:
        image, label = examples.read(pick, index)
        expected = np.broadcast_to(
            images[int(label)], (*images[int(label)].shape[:2], 3)
        )
        np.testing.assert_array_equal(image, expected)


class _Two:
    """Two examples of one feature, "picture"."""

    def __init__(self, dtype):
        self.splits = {"train": 2}
        self._dtype = dtype

    def of_split(self, split):
        del split
        for number in range(2):
            yield number, {"picture": np.full((4, 4, 1), number, self._dtype)}


def test_a_tensor_alone_is_the_image(tmp_path):
    def prepared(name, dtype):
        feature = tfds.features.Tensor(shape=(4, 4, 1), dtype=dtype)
        builder = builder_class(
            name,
            features=tfds.features.FeaturesDict({"picture": feature}),
            keys=None,
            examples=_Two(dtype),
            config=None,
            version="1.0.0",
        )
        prepare(builder(data_dir=str(tmp_path)))
        return open_source(dataset=name, split="train", data_dir=str(tmp_path))

    source = prepared("pixels", np.uint8)
    assert source.examples.payload.shape == (2, 4, 4, 1)
    with pytest.raises(ValueError, match=r"no image.*Tensor uint8 \[H, W"):
        prepared("deep", np.uint16)
