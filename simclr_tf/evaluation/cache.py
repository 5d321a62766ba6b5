"""Features on disk, so that an encoder sees the same images once.

The name of a file is a hash of its key: of everything that features depend on.
The file holds the key, too, so that a wrong file is found, not used. Labels
are no part of it: they are looked up each time, so that a class that came or
went between two runs cannot leave old numbers behind. Only a stream, whose
labels are known by reading it, has them stored.
"""

import hashlib
import json
import os
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from simclr_tf import files
from simclr_tf.evaluation.features import Features

# Raise it by one with every change of this library that gives the same image
# other pixels (decoding, orientation, transparency, crop, resizing) or the
# same pixels other features (a layer's arithmetic): features kept before then
# are computed anew.
PREPROCESSING_VERSION = 3


class Extracted(NamedTuple):
    """What came of reading and encoding a split.

    Attributes:
        features: of the images that could be read.
        unreadable: a line for each that could not: its name, and why.
    """

    features: Features
    unreadable: tuple[str, ...] = ()


def features_key(
    *, image_fingerprint: str, encoder_sha256: str, options: Mapping[str, Any]
) -> dict[str, Any]:
    """All that features depend on.

    Args:
        image_fingerprint: of the images and their ids, and of nothing else;
            of a stream, the whole fingerprint, since its labels are stored.
        encoder_sha256: of all variables; two encoders without variables must
            differ in options.
        options: {name: value} of every option that changes features: image
            size, crop, precision, what output is taken, how many examples.
    """
    return {
        "preprocessing_version": PREPROCESSING_VERSION,
        "image_fingerprint": image_fingerprint,
        "encoder_sha256": encoder_sha256,
        "options": dict(options),
    }


def cached(
    compute: Callable[[], Extracted],
    *,
    folder: str | None,
    key: Mapping[str, Any],
    labels_of: Callable[[np.ndarray], np.ndarray] | None = None,
    say: Callable[[str], None] = print,
) -> Extracted:
    """The features of this key: read, or else computed and kept.

    Args:
        compute: reads and encodes the split.
        folder: where they are kept; made if missing; None keeps nothing.
        key: from `features_key`.
        labels_of: ids int64[M] -> labels int64[M] or int64[M, K], of a source
            with random access; None for a stream.
        say: told when a file is damaged and computed anew.

    Returns:
        Extracted, with the bits that compute gave, and the same lines of
        unreadable images, whether it is read or computed.
    """
    if folder is None:
        return compute()
    text = json.dumps(key, sort_keys=True)
    name = hashlib.sha256(text.encode()).hexdigest()[:32]
    path = os.path.join(folder, f"features-{name}.npz")
    found = _read(path, text, labels_of, say)
    if found is None:
        found = compute()
        files.make_folders(folder)
        files.sweep_asides(folder)
        files.write_npz(path, _to_arrays(found, text, labels_of is None))
    return found


def lookup(
    ids: np.ndarray, labels: np.ndarray
) -> Callable[[np.ndarray], np.ndarray]:
    """`labels_of` for `cached`.

    Args:
        ids: int64[n], of all examples of a source, each once.
        labels: int64[n] or int64[n, K].
    """
    order = np.argsort(ids)
    ordered = np.asarray(ids)[order]

    def labels_of(wanted):
        places = np.searchsorted(ordered, wanted)
        places = np.minimum(places, len(ordered) - 1)
        if not np.array_equal(ordered[places], wanted):
            raise ValueError("it has examples that the split has not")
        return labels[order[places]]

    return labels_of


def _to_arrays(found: Extracted, text: str, with_labels: bool):
    arrays = {
        "values": found.features.values,
        "ids": found.features.ids,
        "unreadable": np.array(json.dumps(found.unreadable)),
        "key": np.array(text),
    }
    if with_labels:
        arrays["labels"] = found.features.labels
    return arrays


def _read(path: str, text: str, labels_of, say) -> Extracted | None:
    if not files.gfile.exists(path):
        return None
    try:
        arrays = files.read_npz(path)
        if str(arrays["key"]) != text:
            raise ValueError("it is of another key")
        unreadable = tuple(json.loads(str(arrays["unreadable"])))
        values, ids = arrays["values"], arrays["ids"]
        labels = arrays["labels"] if labels_of is None else labels_of(ids)
        if not len(values) == len(labels) == len(ids):
            raise ValueError("its columns differ in length")
    except (ValueError, KeyError, TypeError) as error:
        say(f"Cached features are computed anew: {path}: {error}")
        return None
    return Extracted(Features(values, labels, ids), unreadable)
