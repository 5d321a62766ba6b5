"""A folder of images as a source.

    data_dir/cat/001.jpg            subfolders are classes, by sorted name;
    data_dir/dog/nested/002.PNG     what lies deeper belongs to them
    data_dir/001.jpg                no subfolders: no labels
    data_dir/train/..., val/...     a folder per split, of either kind

A folder that has `data_dir/<split>/` uses it for that split. One without
split folders is all "train". Either takes slices as in TFDS, `train[:90%]` and
`train[90%:]`, of a fixed shuffling by the hashes of the paths, and sums of
these, `train+val`. `layout` says what becomes of other arrangements, `listing`
what counts as an image, `places` what --data_dir may be, and `label_file` how
labels come from a table instead of from folders.
"""

import dataclasses
import functools
import hashlib
import os
import warnings
from collections.abc import Sequence

import numpy as np
import tensorflow as tf
from PIL import Image

from simclr_tf.data import corrupt, decoding, fingerprint, split_spec
from simclr_tf.data.examples import Examples, Source, decoded
from simclr_tf.data.folder import labelling
from simclr_tf.data.folder.contents import Folder, Reading, text_of
from simclr_tf.data.subset import joined

# Images whose size a survey looks at.
_MEASURED = 50


def open_folder(
    reading: Reading,
    *,
    split: str,
    cache: bool = False,
    in_memory_limit_mb: int = 2048,
    decoder: decoding.Decoder | None = None,
) -> Source:
    """Opens a folder of images.

    Args:
        reading: which one, and how.
        split: "train", or the name of a split folder, with or without slice,
            or a sum of these.
        cache: decode every image once and keep it in memory.
        in_memory_limit_mb: how much cache, and converted images, may take.
        decoder: what becomes of alpha and of large images.

    Returns:
        Source with random access.

    Raises:
        UserError: no such folder or split, no images in it, a folder that may
            be a split or a class, or labels that cannot be read.
    """
    limit_bytes = in_memory_limit_mb << 20
    folder = Folder(reading)
    decoder = dataclasses.replace(
        decoder or decoding.Decoder(),
        paths=True,
        kinds=frozenset({"JPEG", "PNG", *folder.listing.kinds.values()}),
    )
    chosen = [_chosen(folder, part) for part in split.split("+")]
    if len({part.split for part in chosen}) < len(chosen):
        raise split_spec.repeated(split, folder.where)
    parts = [
        _part(folder, part, limit_bytes, decoder, cache=cache)
        for part in _told_apart(chosen)
    ]
    if len(parts) == 1:
        return parts[0]
    return joined(parts, split=split, where=folder.where)


def survey(reading: Reading, split: str) -> tuple[int, int]:
    """How many images a split has, and pixels of the median shorter side.

    Args:
        reading: which folder, and how.
        split: as of `open_folder`.

    Raises:
        UserError: as `open_folder`.
    """
    folder, chosen = Folder(reading), []
    for part in split.split("+"):
        names, lies_in = folder.names_of(part)
        start = len(lies_in) + 1 if lies_in else 0
        if "[" in part:
            ids = path_ids([name[start:] for name in names])
            kept = split_spec.slice_of(ids, part, folder.where)
            names = [names[i] for i in kept]
        chosen += names
    step = max(1, len(chosen) // _MEASURED)
    paths = folder.paths(chosen[::step])
    sides = [side for path in paths if (side := _side(path))]
    return len(chosen), int(np.median(sides)) if sides else 0


def _side(path: str) -> int:
    """Pixels of the shorter side; 0 where the image cannot be read."""
    remote = fingerprint.is_remote(path)
    try:
        with (
            warnings.catch_warnings(),
            tf.io.gfile.GFile(path, "rb")
            if remote
            else open(path, "rb") as file,
        ):
            # What is damaged is said where it is decoded.
            warnings.simplefilter("ignore")
            if decoding.sniff(file.read(decoding.HEAD_BYTES)) == "NPY":
                file.seek(0)
                return decoding.side_of_array(file)
            file.seek(0)
            with Image.open(file) as image:
                return min(image.size)
    except (
        *(OSError, ValueError, SyntaxError, tf.errors.OpError),
        Image.DecompressionBombError,
    ):
        return 0


def folder_splits(reading: Reading) -> list[str]:
    """The splits of a folder; "train" alone where it has no split folders."""
    return sorted(Folder(reading).splits) or ["train"]


def has_folder_split(reading: Reading, name: str) -> bool:
    """Whether a split or a folder is called so itself; slices do not count."""
    folder = Folder(reading)
    there = folder.splits or {"train": ""}
    return name in there or folder.folder_of(name) == name


@dataclasses.dataclass(frozen=True, eq=False)
class _Chosen:
    """The images of a split without a sum.

    Attributes:
        split: as it was asked for.
        names: of the images, with the folder of the split.
        ids: int64[n], sample ids.
        lies_in: the folder of the split.
    """

    split: str
    names: list[str]
    ids: np.ndarray
    lies_in: str


def _chosen(folder: Folder, split: str) -> _Chosen:
    names, lies_in = folder.names_of(split)
    start = len(lies_in) + 1 if lies_in else 0
    ids = path_ids([name[start:] for name in names])
    chosen = split_spec.slice_of(ids, split, folder.where)
    if len(chosen) < len(names):
        names, ids = [names[i] for i in chosen], ids[chosen]
    return _Chosen(split, names, ids, lies_in)


def _told_apart(parts: Sequence[_Chosen]) -> list[_Chosen]:
    """The parts of a sum, with different ids for different images.

    An id is of the path below the split, which leaves it the same where a
    split is moved. Splits may each have a cat/001.jpg: these get ids of the
    path with the split.
    """
    found, counts = np.unique(
        np.concatenate([part.ids for part in parts]), return_counts=True
    )
    shared = found[counts > 1]
    if not shared.size:
        return list(parts)
    return [
        dataclasses.replace(
            part,
            ids=np.where(
                np.isin(part.ids, shared), path_ids(part.names), part.ids
            ),
        )
        for part in parts
    ]


def _part(
    folder: Folder,
    chosen: _Chosen,
    limit_bytes: int,
    decoder: decoding.Decoder,
    *,
    cache: bool,
) -> Source:
    """A split without a sum."""
    names, ids, lies_in = chosen.names, chosen.ids, chosen.lies_in
    labels, classes, notes = labelling.of(folder, names, lies_in)
    paths = folder.paths(names)
    images, contents = fingerprint.of_files(paths, ids)
    rows, num_stretched = decoding.payload(
        paths,
        folder.kinds(names),
        limit_bytes=limit_bytes,
        **decoder.conversion,
    )
    if num_stretched:
        notes.append(f"{num_stretched} of more than 8 bits, in their own range")
    if not decoder.of_bands:
        decoder = dataclasses.replace(decoder, **decoding.of_payload(rows))
    examples = _examples(paths, rows, ids, labels, contents, decoder)
    if cache:
        examples = decoded(
            examples,
            limit_bytes=limit_bytes,
            num_channels=decoder.decoded_channels,
        )
    return Source(
        name="folder",
        split=chosen.split,
        examples=examples,
        image_fingerprint=images,
        fingerprint=fingerprint.with_labels(images, labels, classes),
        class_names=tuple(map(text_of, classes)),
        several_labels=labels.ndim == 2,
        num_channels=decoder.decoded_channels,
        notes=tuple(notes + folder.notes(lies_in)),
        left_out=tuple(
            sorted(
                corrupt.line_of(os.fsencode(path), reason)
                for path, reason in folder.listing.unread.items()
            )
        ),
    )


def path_ids(names: Sequence[str]) -> np.ndarray:
    """int64[n] in 0..2^63-1, hashes that moving the folder does not change."""
    hashed = [
        hashlib.blake2b(name, digest_size=8).digest()
        for name in _as_bytes(names)
    ]
    ids = np.frombuffer(b"".join(hashed), "<u8") >> 1
    return ids.astype(np.int64)


def _as_bytes(names: Sequence[str]) -> list[bytes]:
    """Names as a file system knows them; a million in a fraction of the time
    that one by one would take."""
    return os.fsencode("\0".join(names)).split(b"\0") if names else []


def _examples(paths, payload, ids, labels, contents, decoder) -> Examples:
    with tf.device("CPU:0"):
        # A file system knows names as bytes, which need not be UTF-8.
        names = rows = tf.constant(_as_bytes(paths))
        converted = [i for i, row in enumerate(payload) if type(row) is bytes]
        if converted:
            rows = tf.tensor_scatter_nd_update(
                names,
                [[i] for i in converted],
                tf.constant([payload[i] for i in converted]),
            )
        return Examples(
            payload=rows,
            labels=tf.constant(labels),
            ids=tf.constant(ids),
            decode=decoder,
            name_of=lambda index: tf.gather(names, index),
            storage="files",
            can_fail=True,
            contents=contents,
            reason_of=functools.partial(_reason, **decoder.conversion),
        )


def _reason(path: bytes, **how) -> str:
    return decoding.reason_of_file(os.fsdecode(path), **how)
