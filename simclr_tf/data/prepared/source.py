"""A data set prepared by TensorFlow Datasets as a source.

Opened from its files alone (`dataset_info.json`, `features.json`), so data
prepared by any version of TFDS can be read, without the code that made it and
without a network. Images stay encoded until they are ours to decode.
"""

import dataclasses
import difflib
import os
from itertools import pairwise

import numpy as np
import tensorflow as tf
import tensorflow_datasets as tfds

from simclr_tf.data import decoding, digits, fingerprint, split_spec
from simclr_tf.data.examples import Source
from simclr_tf.data.prepared import features as tfds_features
from simclr_tf.data.prepared import guard
from simclr_tf.data.prepared.storage import Stored
from simclr_tf.data.shards import Pieces
from simclr_tf.errors import NotHere, UserError


def open_tfds(
    *,
    dataset: str,
    split: str,
    data_dir: str | None = None,
    image_key: str | None = None,
    label_key: str | None = None,
    cache: bool = False,
    in_memory_limit_mb: int = 2048,
    several_labels: bool = False,
    decoder: decoding.Decoder | None = None,
) -> Source:
    """Opens a split of a prepared TFDS data set, as `sources.open_source`.

    What is embedded is prepared where it is missing. The source has random
    access where the split fits in memory.
    """
    builder = _builder(dataset, data_dir)
    pieces, bytes_per_record = _pieces(builder, dataset, split)
    features = builder.info.features
    image_key = tfds_features.image_key(builder, dataset, image_key)
    asked, limit_bytes = label_key, in_memory_limit_mb << 20
    label_key = tfds_features.label_key(builder, dataset, asked, several_labels)
    of_values = tfds_features.is_value(features, label_key)
    if of_values and not _fits(builder, limit_bytes):
        if asked:
            raise _values_do_not_fit(dataset, label_key, in_memory_limit_mb)
        label_key, of_values = None, False
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
        limit_bytes=limit_bytes,
        decoder=decoder or decoding.Decoder(),
    )
    numbers = _numbering(stored) if of_values else None
    names = tfds_features.class_names(features, label_key, numbers)
    stored = dataclasses.replace(
        stored,
        numbers=numbers,
        label_shape=(len(names),) if several_labels else (),
    )
    examples = stored.examples(cache)
    images = _image_fingerprint(builder, pieces, image_key)
    return Source(
        name=dataset,
        split=split,
        examples=examples,
        image_fingerprint=images,
        fingerprint=fingerprint.digest(
            images, label_key, names, several_labels
        ),
        class_names=names,
        several_labels=several_labels,
    )


def tfds_splits(dataset: str, data_dir: str | None = None) -> list[str]:
    """The splits of a prepared TFDS data set."""
    return sorted(_builder(dataset, data_dir).info.splits)


def _builder(dataset, data_dir):
    if data_dir is not None:
        data_dir = os.path.expanduser(data_dir)
        guard.require_known_place(data_dir)
    if (name := _base_name(dataset)) in digits.BUILDERS:
        data_dir = digits.prepare(data_dir, name)
    elif data_dir is not None and not tf.io.gfile.isdir(data_dir):
        raise NotHere(f"--data_dir={data_dir} is not an existing folder.")
    try:
        return guard.open_builder(dataset, data_dir)
    except tfds.core.DatasetNotFoundError as error:
        raise _not_found(dataset, data_dir) from error
    except guard.DAMAGES as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise UserError(
            f"--dataset={dataset} in --data_dir={data_dir} cannot be opened:"
            f" {reason}"
        ) from error


def _base_name(dataset: str) -> str:
    return dataset.split("/")[0].split(":")[0]


def _not_found(dataset: str, data_dir: str | None) -> UserError:
    if data_dir and (parent := _parent_that_holds(dataset, data_dir)):
        return UserError(
            f"--data_dir={data_dir} lies in the folder of --dataset={dataset}:"
            f" its parent is the --data_dir. Give --data_dir={parent}."
        )
    place = data_dir or tfds.core.constants.DATA_DIR
    base = _base_name(dataset)
    known = tfds.list_builders(with_community_datasets=False)
    within = os.path.join(place, base)
    if tf.io.gfile.isdir(within):
        found = ", ".join(_subfolders(within))
        return (UserError if found else NotHere)(
            f"--dataset={dataset} is not prepared in --data_dir={place}:"
            f" its folder {base} holds {found or 'nothing'}. Name a"
            " configuration or version that is there."
        )
    if base in known:
        return NotHere(
            f"--dataset={dataset} is not prepared in --data_dir={place}, which"
            f" holds {', '.join(_subfolders(place)) or 'no data sets'}. Prepare"
            f" it with `tfds build {dataset} --data_dir={place}`, or give the"
            " --data_dir where it is."
        )
    near = difflib.get_close_matches(base, [*known, "folder"])
    hint = f" Did you mean {' or '.join(near)}?" if near else ""
    return NotHere(
        f"--dataset={dataset} is unknown: neither a TFDS data set, nor"
        f" prepared in --data_dir={place}, nor 'folder'.{hint}"
    )


def _parent_that_holds(dataset: str, data_dir: str) -> str | None:
    """The data_dir that was meant, where the folder of the data set was
    given, or the one of its configuration or version."""
    folder = data_dir.rstrip("/")
    for _ in range(3):
        folder, name = os.path.split(folder)
        if folder and name == _base_name(dataset):
            try:
                guard.open_builder(dataset, folder)
            except (tfds.core.DatasetNotFoundError, *guard.DAMAGES):
                continue
            return folder
    return None


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
    instructions = [
        one
        for part in split.split("+")
        for one in _instructions(splits, part.strip(), f"--dataset={dataset}")
    ]
    if _overlap(instructions):
        raise split_spec.repeated(split, f"--dataset={dataset}")
    takes = np.array([one.take for one in instructions], np.int64)
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


def _instructions(splits, part: str, where: str):
    """TFDS's description of where a split without a sum lies."""
    try:
        found = splits[part].file_instructions
    except (ValueError, KeyError, AssertionError) as error:
        name = split_spec.names(part)[0]
        if name in splits and "incompatible with" in str(error):
            size = splits[name].num_examples
            raise split_spec.beyond(part, where, size) from error
        raise split_spec.missing(part, where, splits) from error
    # A slice from a larger bound to a smaller one takes less than nothing.
    if not found or any(one.take <= 0 for one in found):
        raise split_spec.empty(part, where)
    return found


def _overlap(instructions) -> bool:
    """Whether two of them name one record."""
    runs = sorted((str(i.filename), i.skip, i.take) for i in instructions)
    return any(
        path == next_path and skip + take > next_skip
        for (path, skip, take), (next_path, next_skip, _) in pairwise(runs)
    )


def _fits(builder, limit_bytes: int) -> bool:
    """Whether the whole data set fits in memory."""
    sizes = map(_num_bytes, builder.info.splits.values())
    return sum(sizes) <= limit_bytes


def _values_do_not_fit(dataset, label_key, in_memory_limit_mb) -> UserError:
    return UserError(
        f"--label_key={label_key} of --dataset={dataset} is no ClassLabel. Only"
        " a ClassLabel is read from a stream: text and numbers become classes"
        " where all splits together fit in memory. Raise --in_memory_limit_mb="
        f"{in_memory_limit_mb}."
    )


def _numbering(stored: Stored) -> dict[bytes | int, int]:
    """Of the values of all splits, so that each numbers its classes alike."""
    values = []
    for name in sorted(stored.builder.info.splits):
        pieces, _ = _pieces(stored.builder, stored.name, name)
        one = dataclasses.replace(stored, split=name, pieces=pieces)
        values += one.label_values()
    return tfds_features.numbering(values)


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


def _image_fingerprint(builder, pieces: Pieces, image_key: str) -> str:
    """Of which records are read, and of what their files hold.

    The contents of the files where `fingerprint.of_shards` reads them, else
    what the data set says of itself: version, and sizes of splits and files.
    """
    paths = [str(path) for path in pieces.paths]
    files = list(dict.fromkeys(paths))
    contents = fingerprint.of_shards(files)
    if contents is None:
        used = [
            (name, info.num_bytes, info.shard_lengths)
            for name, info in sorted(builder.info.splits.items())
            if not set(files).isdisjoint(map(str, info.filepaths))
        ]
        contents = (builder.info.full_name, used)
    names = [os.path.basename(path) for path in paths]
    rows = zip(names, pieces.skips.tolist(), pieces.takes.tolist(), strict=True)
    return fingerprint.digest(contents, list(rows), image_key)
