"""A folder of images as a source.

    data_dir/cat/001.jpg            subfolders are classes, by sorted name;
    data_dir/dog/nested/002.PNG     what lies deeper belongs to them
    data_dir/001.jpg                no subfolders: no labels
    data_dir/train/..., val/...     a folder per split, of either kind

A folder that has `data_dir/<split>/` uses it for that split. One without
split folders is all "train". Either takes slices as in TFDS, `train[:90%]` and
`train[90%:]`, of a fixed shuffling by the hashes of the paths, and sums of
these, `train+val`.

Files with the suffix of an image, and others that start like one, count as
images; what kind they are is seen from their bytes. The rest, and names that
begin with a dot, are passed over.
"""

import dataclasses
import hashlib
import os
import re
from concurrent import futures

import numpy as np
import tensorflow as tf

from simclr_tf.data import decoding, fingerprint, split_spec
from simclr_tf.data.examples import Examples, Source, decoded
from simclr_tf.data.subset import joined
from simclr_tf.errors import UserError

SUFFIXES = (".jpg", ".jpeg", ".png", ".gif", ".bmp", ".webp")
# Folders of these names split a data set; they are not classes.
SPLIT_NAMES = ("train", "val", "valid", "validation", "test")
_HEAD = re.compile(
    rb"\xff\xd8\xff|\x89PNG|GIF8[79]a|BM.{4}\0{4}|RIFF.{4}WEBP", re.DOTALL
)
# Listing is waiting, for a network most of all.
_NUM_THREADS = 16


def open_folder(
    *,
    split: str,
    data_dir: str | None,
    cache: bool = False,
    in_memory_limit_mb: int = 2048,
) -> Source:
    """Opens a folder of images.

    Args:
        split: "train", or the name of a split folder, with or without slice,
            or a sum of these.
        data_dir: the folder, on any file system that TensorFlow can read.
        cache: decode every image once and keep it in memory.
        in_memory_limit_mb: how much cache may take.

    Returns:
        Source with random access.

    Raises:
        UserError: no such folder or split, or no images in it.
    """
    if "+" in split:
        return _sum(split, data_dir, cache, in_memory_limit_mb)
    root = _existing_folder(data_dir)
    name = split_spec.parse_part(split)[0]
    splits = _split_folders(root)
    folder = _folder_of_split(root, name, splits)
    files, ignored = _images(folder)
    if not files:
        raise UserError(
            f"--data_dir={data_dir} has no JPEG, PNG, GIF, BMP or WebP image"
            f" for split {split!r} ({ignored} other files)."
        )
    labelled = any("/" in file for file in files)
    classes = _classes(root, folder, splits) if labelled else []
    ids = np.array([_path_id(file) for file in files], np.int64)
    chosen = split_spec.slice_of(ids, split, f"--data_dir={data_dir}")
    files, ids = [files[i] for i in chosen], ids[chosen]
    limit_bytes = in_memory_limit_mb << 20
    images, contents = fingerprint.of_files(
        [_join(folder, file) for file in files], ids
    )
    labels = _labels(files, classes)
    examples = _examples(folder, files, ids, labels, contents, limit_bytes)
    if cache:
        examples = decoded(examples, limit_bytes=limit_bytes)
    return Source(
        name="folder",
        split=split,
        examples=examples,
        image_fingerprint=images,
        fingerprint=fingerprint.with_labels(images, labels, classes),
        class_names=tuple(classes),
        ignored_files=ignored,
    )


def _sum(split, data_dir, cache, in_memory_limit_mb) -> Source:
    parts = {
        part: open_folder(
            split=part,
            data_dir=data_dir,
            cache=cache,
            in_memory_limit_mb=in_memory_limit_mb,
        )
        for part in split.split("+")
    }
    where = f"--data_dir={data_dir}"
    if len(parts) <= split.count("+"):
        raise split_spec.repeated(split, where)
    whole = joined(list(parts.values()), split=split, where=where)
    # Slices of one folder all count what is passed over in it.
    ignored = {
        split_spec.parse_part(part)[0]: source.ignored_files
        for part, source in parts.items()
    }
    return dataclasses.replace(whole, ignored_files=sum(ignored.values()))


def _images(folder: str) -> tuple[list[str], int]:
    """Sorted relative paths of the images, and how many files are not.

    Where there are class folders, a file beside them has no class, and is not.
    """
    files, level = [], [""]
    with futures.ThreadPoolExecutor(_NUM_THREADS) as pool:
        while level:
            listed = list(pool.map(lambda path: _list(folder, path), level))
            files += [file for found, _ in listed for file in found]
            level = [path for _, folders in listed for path in folders]
        unclear = [file for file in files if not _has_suffix(file)]
        starts = pool.map(
            lambda file: _starts_like_image(folder, file), unclear
        )
        other = {f for f, good in zip(unclear, starts, strict=True) if not good}
    images = [file for file in files if file not in other]
    nested = [file for file in images if "/" in file]
    return sorted(nested or images), len(files) - len(nested or images)


def _list(folder: str, path: str) -> tuple[list[str], list[str]]:
    """Files and folders right under folder/path, relative to folder."""
    files, folders = [], []
    for entry in tf.io.gfile.listdir(_join(folder, path)):
        name = entry.rstrip("/")
        if name.startswith("."):
            continue
        relative = f"{path}/{name}" if path else name
        # To ask a remote file system about each of a million images would
        # take hours, so a name that looks like an image's is a file.
        if entry.endswith("/") or (
            not _has_suffix(name) and tf.io.gfile.isdir(_join(folder, relative))
        ):
            folders.append(relative)
        else:
            files.append(relative)
    return files, folders


def _has_suffix(path: str) -> bool:
    return path.lower().endswith(SUFFIXES)


def _starts_like_image(folder: str, file: str) -> bool:
    try:
        with tf.io.gfile.GFile(_join(folder, file), "rb") as opened:
            return bool(_HEAD.match(opened.read(12)))
    except tf.errors.OpError:
        return False


def folder_splits(data_dir: str | None) -> list[str]:
    """The split folders; "train" alone where there are none."""
    return _split_folders(_existing_folder(data_dir)) or ["train"]


def has_folder_split(data_dir: str | None, name: str) -> bool:
    """Whether `open_folder` finds images under this name, without slice."""
    root = _existing_folder(data_dir)
    there = _split_folders(root) or ["train"]
    return name in there or tf.io.gfile.isdir(_join(root, name))


def _existing_folder(data_dir: str | None) -> str:
    if not data_dir:
        raise UserError(
            "--dataset=folder needs --data_dir, the folder of images."
        )
    root = os.path.expanduser(data_dir).rstrip("/")
    if not tf.io.gfile.isdir(root):
        raise UserError(f"--data_dir={data_dir} is not an existing folder.")
    return root


def _split_folders(root: str) -> list[str]:
    return [
        name for name in SPLIT_NAMES if tf.io.gfile.isdir(_join(root, name))
    ]


def _folder_of_split(root: str, name: str, splits: list[str]) -> str:
    if name in splits or tf.io.gfile.isdir(_join(root, name)):
        return _join(root, name)
    if splits:
        raise split_spec.missing(name, f"--data_dir={root}", splits)
    if name != "train":
        where = f"--data_dir={root} (no split folders, so all is 'train')"
        raise split_spec.missing(name, where, ["train"])
    return root


def _classes(root: str, folder: str, splits: list[str]) -> list[str]:
    """Class names of the folder and of the other splits, so that a class
    which one split lacks does not shift the labels of the others."""
    others = {_join(root, split) for split in splits}
    found = [_list(one, "")[1] for one in others | {folder}]
    return sorted(set().union(*found))


def _path_id(path: str) -> int:
    """A hash that moving the folder does not change, in 0..2^63-1."""
    digest = hashlib.blake2b(path.encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1


def _labels(files: list[str], classes: list[str]) -> np.ndarray:
    """int64[n], the number of the class folder; -1 without class folders."""
    label_of = {name: label for label, name in enumerate(classes)}
    labels = [label_of.get(file.split("/")[0], -1) for file in files]
    return np.array(labels, np.int64)


def _examples(folder, files, ids, labels, contents, limit_bytes) -> Examples:
    names = [_join(folder, file) for file in files]
    kinds = decoding.kinds_of(names)
    payload = decoding.payload(names, kinds, limit_bytes=limit_bytes)
    with tf.device("CPU:0"):
        paths = tf.constant(names)
        return Examples(
            payload=tf.constant(payload),
            labels=tf.constant(labels),
            ids=tf.constant(ids),
            decode=decoding.Decoder(paths=True),
            name_of=lambda index: tf.gather(paths, index),
            storage="files",
            can_fail=True,
            contents=contents,
        )


def _join(folder: str, path: str) -> str:
    return f"{folder}/{path}" if path else folder
