"""Features on disk, so that an encoder sees a split once.

The key is a hash of everything that features depend on: the encoder's
weights, the examples, and what is done to them before the encoder. A file
holds the key's parts too, so that a wrong one is found, not used.
"""

import hashlib
import json
import os
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from simclr_tf import files
from simclr_tf.evaluation.features import Features


def features_key(
    *,
    encoder_sha256: str,
    fingerprint: str,
    split: str,
    preprocessing: Mapping[str, Any],
) -> dict[str, Any]:
    """What features depend on.

    Args:
        encoder_sha256: of all variables, and of nothing less: two encoders
            without variables are told apart by `preprocessing`.
        fingerprint: of the source.
        split: of the source.
        preprocessing: image size, crop, precision, what output is taken, how
            many examples: whatever else would change the features.
    """
    return {
        "encoder_sha256": encoder_sha256,
        "fingerprint": fingerprint,
        "split": split,
        "preprocessing": dict(preprocessing),
    }


def cached(
    compute: Callable[[], Features],
    *,
    folder: str | None,
    key: Mapping[str, Any],
    say: Callable[[str], None] = print,
) -> Features:
    """The features of this key: read, or else computed and kept.

    Args:
        compute: computes them.
        folder: where they are kept; made if missing; None keeps nothing.
        key: from `features_key`.
        say: told when a file is damaged and computed anew.

    Returns:
        Features, with the bits that compute gives.
    """
    if folder is None:
        return compute()
    text = json.dumps(key, sort_keys=True)
    name = hashlib.sha256(text.encode()).hexdigest()[:32]
    path = os.path.join(folder, f"features-{name}.npz")
    found = _read(path, text, say)
    if found is None:
        found = compute()
        files.gfile.makedirs(folder)
        files.write_npz(path, {**found._asdict(), "key": np.array(text)})
    return found


def _read(path: str, text: str, say) -> Features | None:
    if not files.gfile.exists(path):
        return None
    try:
        arrays = files.read_npz(path)
        if str(arrays.pop("key")) != text:
            raise ValueError("it is of another key")
        found = Features(**arrays)
        if len({len(column) for column in found}) != 1:
            raise ValueError("its columns differ in length")
    except (ValueError, KeyError, TypeError) as error:
        say(f"Cached features are computed anew: {path}: {error}")
        return None
    return found
