"""What occurs in a small source, so that its graph need not be made for more.

A large graph takes a second at the start of each pipeline: nothing beside a
large source, and much beside a few hundred images.
"""

import os
from collections.abc import Iterable, Sequence
from typing import Any

import tensorflow as tf

from simclr_tf.data.decoding import kinds

# What is read of files for it.
LIMIT_BYTES = 64 << 20
_MOST_FILES = 50_000
_ORIENTED = (b"Exif\0\0", b"eXIf", b"EXIF")


def of_contents(contents: Iterable[bytes]) -> dict[str, Any]:
    """Fields of `decoder.Decoder` that are right for these images, encoded:
    which kinds there are, whether any may be turned, or transparent, and how
    large the JPEGs are."""
    found, oriented, transparent, largest_side = set(), False, False, 0
    for content in contents:
        kind = kinds.sniff(content[: kinds.HEAD_BYTES])
        found.add(kind)
        oriented = oriented or any(name in content for name in _ORIENTED)
        transparent = transparent or _may_be_transparent(kind, content)
        if kind == "JPEG":
            largest_side = max(largest_side, _shorter_side(content))
    # What is no image is left to fail in any branch.
    there = frozenset(found - {None}) or frozenset({"JPEG"})
    return {
        "kinds": there,
        "oriented": oriented,
        "transparent": transparent,
        "largest_side": largest_side,
    }


def of_payload(rows: Sequence[str | bytes]) -> dict[str, Any]:
    """The same of `conversion.payload`; nothing where that would take long."""
    if len(rows) > _MOST_FILES:
        return {}
    paths = [row for row in rows if not isinstance(row, bytes)]
    try:
        if any("://" in path for path in paths):
            return {}
        num_bytes = 0
        for path in paths:
            num_bytes += os.path.getsize(path)
            if num_bytes > LIMIT_BYTES:
                return {}
    except OSError:
        return {}
    return of_contents(_content(row) for row in rows)


def _may_be_transparent(kind: str | None, content: bytes) -> bool:
    if kind == "PNG":
        return content[25:26] >= b"\4" or b"tRNS" in content
    return kind == "WebP" and content[12:16] != b"VP8 "


def _shorter_side(content: bytes) -> int:
    """Of a JPEG, in pixels; 0 where it cannot be read."""
    try:
        height, width, _ = tf.io.extract_jpeg_shape(content).numpy()
    except tf.errors.OpError:
        return 0
    return int(min(height, width))


def _content(row: str | bytes) -> bytes:
    if isinstance(row, bytes):
        return row
    try:
        with open(row, "rb") as file:
            return file.read()
    except OSError:
        return b""
