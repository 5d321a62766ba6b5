"""A data set prepared by TensorFlow Datasets as a source.

Opened from its files alone (`dataset_info.json`, `features.json`), so data
prepared by any version of TFDS can be read, without the code that made it and
without a network. Images stay encoded until they are ours to decode.
"""

import difflib
import hashlib
import os

import numpy as np
import tensorflow as tf
import tensorflow_datasets as tfds
from tensorflow_datasets.core import read_only_builder

from simclr_tf.data import digits, tfds_features
from simclr_tf.data.examples import Source
from simclr_tf.data.shards import Pieces
from simclr_tf.data.tfds_storage import Stored
from simclr_tf.errors import UserError


def open_tfds(
    *,
    dataset: str,
    split: str,
    data_dir: str | None = None,
    image_key: str | None = None,
    label_key: str | None = None,
    cache: bool = False,
    in_memory_limit_mb: int = 2048,
    download: bool = False,
    several_labels: bool = False,
) -> Source:
    """Opens a split of a prepared TFDS data set.

    Args:
        dataset: name, with configuration and version where they matter:
            "imagenet2012_subset/1pct", "cifar10:3.0.2". "digits" is prepared
            where it is missing.
        split: TFDS's syntax: "train", "train[:10%]", "train+test".
        data_dir: TFDS's default where None.
        image_key: the feature to read, where there are several images.
        label_key: the ClassLabel to read, where there are several.
        cache: keep the images decoded in memory.
        in_memory_limit_mb: what fits is kept in memory; the rest is streamed.
        download: let TFDS download and prepare what is missing.
        several_labels: label_key is a sequence of ClassLabels. Where there is
            also a `<label_key>_no_difficult`, a class that only the first has
            is -1, not counted.

    Returns:
        Source, of random access where the split fits in memory.

    Raises:
        UserError: one line that names the flag, for all that can be wrong.
    """
    builder = _builder(dataset, data_dir, download)
    pieces, bytes_per_record = _pieces(builder, dataset, split)
    features = builder.info.features
    image_key = tfds_features.image_key(builder, dataset, image_key)
    label_key = tfds_features.label_key(
        builder, dataset, label_key, several_labels
    )
    label = tfds_features.class_label(features, label_key)
    label_shape = (label.num_classes,) if several_labels else ()
    stored = Stored(
        name=dataset,
        builder=builder,
        split=split,
        pieces=pieces,
        bytes_per_record=bytes_per_record,
        parse=tfds_features.parser(
            features, image_key, label_key, several_labels
        ),
        shape=features[image_key].shape,
        limit_bytes=in_memory_limit_mb << 20,
        label_shape=label_shape,
    )
    return Source(
        name=dataset,
        split=split,
        num_examples=pieces.num_examples,
        num_classes=label.num_classes if label else None,
        class_names=tuple(label.names) if label else (),
        fingerprint=_fingerprint(builder, pieces, image_key, label_key),
        examples=stored.examples(cache),
        several_labels=several_labels,
    )


def tfds_splits(dataset: str, data_dir: str | None = None) -> list[str]:
    """The splits of a prepared TFDS data set."""
    return sorted(_builder(dataset, data_dir, download=False).info.splits)


def _builder(dataset, data_dir, download):
    if data_dir is not None:
        data_dir = os.path.expanduser(data_dir)
    if _base_name(dataset) == "digits":
        data_dir = digits.prepare(data_dir)
    elif download:
        tfds.builder(dataset, data_dir=data_dir).download_and_prepare()
    elif data_dir is not None and not tf.io.gfile.isdir(data_dir):
        raise UserError(f"--data_dir={data_dir} is not an existing folder.")
    try:
        return read_only_builder.builder_from_files(dataset, data_dir=data_dir)
    except tfds.core.DatasetNotFoundError as error:
        raise UserError(_not_found(dataset, data_dir)) from error
    except (ValueError, OSError, tf.errors.OpError) as error:
        raise UserError(
            f"--dataset={dataset} in --data_dir={data_dir} cannot be opened:"
            f" {str(error).splitlines()[0]}"
        ) from error


def _base_name(dataset: str) -> str:
    return dataset.split("/")[0].split(":")[0]


def _not_found(dataset: str, data_dir: str | None) -> str:
    place = data_dir or tfds.core.constants.DATA_DIR
    base = _base_name(dataset)
    known = tfds.list_builders(with_community_datasets=False)
    within = os.path.join(place, base)
    if tf.io.gfile.isdir(within):
        found = ", ".join(_subfolders(within)) or "nothing"
        return (
            f"--dataset={dataset} is not prepared in --data_dir={place}:"
            f" its folder {base} holds {found}. Name a configuration or"
            " version that is there."
        )
    if base in known:
        return (
            f"--dataset={dataset} is not prepared in --data_dir={place}, which"
            f" holds {', '.join(_subfolders(place)) or 'no data sets'}. Prepare"
            f" it with `tfds build {dataset} --data_dir={place}`, or give the"
            " --data_dir where it is."
        )
    near = difflib.get_close_matches(base, [*known, "folder"])
    hint = f" Did you mean {' or '.join(near)}?" if near else ""
    return (
        f"--dataset={dataset} is unknown: neither a TFDS data set, nor"
        f" prepared in --data_dir={place}, nor 'folder'.{hint}"
    )


def _subfolders(place: str) -> list[str]:
    if not tf.io.gfile.isdir(place):
        return []
    names = (name.rstrip("/") for name in tf.io.gfile.listdir(place))
    return sorted(
        name
        for name in names
        if not name.startswith(".")
        and name != "downloads"
        and tf.io.gfile.isdir(os.path.join(place, name))
    )


def _pieces(builder, dataset: str, split: str) -> tuple[Pieces, float]:
    """Where the records of a split lie, and the mean size of one in bytes."""
    splits = builder.info.splits
    try:
        instructions = splits[split].file_instructions
    except (ValueError, KeyError, AssertionError) as error:
        raise UserError(
            f"split {split!r} (--train_split, --eval_split) does not exist in"
            f" --dataset={dataset}, which has {', '.join(sorted(splits))};"
            " parts are written train[:10%], sums train+test."
        ) from error
    takes = np.array([one.take for one in instructions], np.int64)
    if not takes.sum():
        raise UserError(
            f"split {split!r} (--train_split, --eval_split) of"
            f" --dataset={dataset} is empty."
        )
    split_of = {
        str(path): name for name in splits for path in splits[name].filepaths
    }
    used = [split_of[str(one.filename)] for one in instructions]
    first_id_of = _first_ids(splits, used)
    num_bytes = sum(
        _num_bytes(splits[name]) * take / splits[name].num_examples
        for name, take in zip(used, takes, strict=True)
    )
    pieces = Pieces(
        paths=np.array([str(one.filename) for one in instructions], object),
        skips=np.array([one.skip for one in instructions], np.int64),
        takes=takes,
        first_ids=np.array(
            [first_id_of[str(one.filename)] + one.skip for one in instructions],
            np.int64,
        ),
    )
    return pieces, num_bytes / takes.sum()


def _num_bytes(split) -> int:
    """What prepared data says of itself, or else, as old data, its files."""
    return split.num_bytes or sum(
        tf.io.gfile.stat(str(path)).length for path in split.filepaths
    )


def _first_ids(splits, used: list[str]) -> dict[str, int]:
    """Path -> id of its first record: the number of the record in its split,
    the whole splits one behind the other where the spec names several."""
    first_ids, count = {}, 0
    for name in dict.fromkeys(used):
        for path, length in zip(
            splits[name].filepaths, splits[name].shard_lengths, strict=True
        ):
            first_ids[str(path)] = count
            count += length
    return first_ids


def _fingerprint(builder, pieces: Pieces, *keys) -> str:
    names = [os.path.basename(str(path)) for path in pieces.paths]
    rows = zip(names, pieces.skips.tolist(), pieces.takes.tolist(), strict=True)
    described = repr((builder.info.full_name, list(rows), keys))
    return hashlib.sha256(described.encode()).hexdigest()[:16]
