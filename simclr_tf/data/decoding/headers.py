"""In the graph: an image's orientation, and numbers of its header.

Nothing here decodes a pixel. A scan of the bytes for the name of an EXIF block
costs 0.2 ms a megabyte, and says of most images that they have none; only
where it is found are the parts of the file walked through.
"""

import numpy as np
import tensorflow as tf

HEAD_BYTES = 64
_ORIENTATION = 0x0112
_SHORT, _LONG = 3, 4
# Of the 10 to 40 entries that cameras write.
_MAX_ENTRIES = 128
_SCANNED_BYTES = 1 << 17


def head_of(encoded) -> tf.Tensor:
    """int32[HEAD_BYTES], its first bytes; 0 past its end."""
    head = tf.io.decode_raw(encoded, tf.uint8, fixed_length=HEAD_BYTES)
    return tf.cast(tf.ensure_shape(head, [HEAD_BYTES]), tf.int32)


def numbers(head, *places, little: bool = True) -> list[tf.Tensor]:
    """int32[] each, unsigned numbers of a header.

    Args:
        head: int32[k], its bytes.
        *places: (position, size in bytes) of each; one of 4 bytes is negative
            where it is too large.
        little: whether the first byte is the lowest.
    """
    # A product of matrices, since many slices would make a large graph.
    weights = np.zeros((len(places), head.shape[0]), np.int32)
    for row, (at, size) in zip(weights, places, strict=True):
        powers = 256 ** np.arange(size)
        row[at : at + size] = powers if little else powers[::-1]
    return tf.unstack(tf.linalg.matvec(tf.constant(weights), head))


def says(encoded, name: str) -> tf.Tensor:
    """bool[], whether bytes hold a name (a pattern of RE2) anywhere."""
    return tf.strings.regex_full_match(encoded, rf"\C*(?:{name})\C*")


def orientation(encoded) -> tf.Tensor:
    """int32[], 1..8 as EXIF counts them, of a JPEG, PNG or WebP image; 1
    where it says nothing, or nothing of sense."""

    is_jpeg = tf.strings.substr(encoded, 0, 2) == b"\xff\xd8"
    length = tf.strings.length(encoded)
    # A large JPEG is not scanned: its few parts are soon walked through.
    scanned = tf.where(is_jpeg, tf.minimum(length, _SCANNED_BYTES), length)
    scan = tf.strings.substr(encoded, 0, scanned)

    def said():
        block = tf.cond(
            is_jpeg, lambda: _jpeg_block(encoded), lambda: _chunk(encoded)
        )
        return _orientation_of(block)

    return tf.cond(
        (scanned < length) | says(scan, r"Exif\x00\x00|eXIf|EXIF"),
        said,
        lambda: tf.constant(1),
    )


def _jpeg_block(encoded) -> tf.Tensor:
    """string[], the EXIF block of a JPEG image; empty if it has none."""

    def step(at):
        mark = _bytes(encoded, at, 4)
        name = tf.strings.substr(encoded, at + 4, 6)
        marker, length = numbers(mark, (0, 2), (2, 2), little=False)
        found = (marker == 0xFFE1) & (name == b"Exif\0\0")
        # After the start of the scan come pixels. 0xFF fills up.
        over = (marker < 0xFF00) | (marker == 0xFFDA)
        jump = tf.where(marker == 0xFFFF, 1, length + 2)
        return found, over, jump, at + 4, length - 2

    return _walk(encoded, step, start=2)


def _chunk(encoded) -> tf.Tensor:
    """string[], the EXIF block of a PNG or WebP image; empty if none."""
    is_png = tf.strings.substr(encoded, 0, 4) == b"\x89PNG"
    # Of PNG: size, name, content, sum; of WebP: name, size, content, padding.
    size_at, name_at = tf.where(is_png, 0, 4), tf.where(is_png, 4, 0)

    def step(at):
        digits = _bytes(encoded, at + size_at, 4)
        size = tf.where(
            is_png,
            numbers(digits, (0, 4), little=False)[0],
            numbers(digits, (0, 4))[0],
        )
        name = tf.strings.substr(encoded, at + name_at, 4)
        found = (name == b"eXIf") | (name == b"EXIF")
        after = tf.where(is_png, size + 4, size + size % 2)
        return found, size < 0, after + 8, at + 8, size

    return _walk(encoded, step, start=tf.where(is_png, 8, 12))


def _walk(encoded, step, *, start) -> tf.Tensor:
    """string[], the content of a part of a file; empty if it has none.

    Args:
        encoded: the file.
        step: position of a part -> whether it is the one, whether the search
            is over, the part's length, and where and how long its content is.
        start: of the first part.
    """
    length = tf.strings.length(encoded)

    def body(at, *_):
        found, over, jump, begin, size = step(at)
        # A length that makes no sense ends the search, too.
        over |= found | (jump <= 0) | (jump > length - at)
        at = tf.where(over, length, at + jump)
        return at, tf.where(found, begin, 0), tf.where(found, size, 0)

    _, begin, size = tf.while_loop(
        lambda at, begin, _: (begin == 0) & (at + 12 <= length),
        body,
        tuple(map(tf.convert_to_tensor, (start, 0, 0))),
    )
    return tf.strings.substr(encoded, begin, tf.maximum(size, 0))


def _orientation_of(block) -> tf.Tensor:
    """int32[] 1..8 of an EXIF block, which is a TIFF without an image."""
    named = tf.strings.substr(block, 0, 6) == b"Exif\0\0"
    block = tf.strings.substr(block, tf.where(named, 6, 0), 1 << 20)
    little = tf.strings.substr(block, 0, 1) == b"I"
    _, _, low, high = tf.unstack(_words(block, 4, little))
    first = tf.where(little, low + 65536 * high, high + 65536 * low)
    length = tf.strings.length(block)
    first = tf.where((first >= 8) & (first < length), first, length)
    table = tf.strings.substr(block, first, 1 << 20)
    count, table = tf.split(
        _words(table, 1 + 6 * _MAX_ENTRIES, little), [1, 6 * _MAX_ENTRIES]
    )
    table = tf.reshape(table, [_MAX_ENTRIES, 6])
    tags, types, _, _, value, second = tf.unstack(table, axis=1)
    last = (types == _LONG) & tf.logical_not(little)
    values = tf.where(last, second, value)
    known = (tags == _ORIENTATION) & (values >= 1) & (values <= 8)
    known &= (types == _SHORT) | (types == _LONG)
    known &= tf.constant(np.arange(_MAX_ENTRIES, dtype=np.int32)) < count
    return tf.reduce_max(tf.where(known, values, 1))


def _words(encoded, count: int, little) -> tf.Tensor:
    """int32[count], of 16 bits each; 0 past the end."""
    both = [
        tf.io.decode_raw(
            encoded, tf.uint16, little_endian=order, fixed_length=2 * count
        )
        for order in (True, False)
    ]
    words = tf.where(little, *both)
    return tf.cast(tf.ensure_shape(words, [count]), tf.int32)


def _bytes(encoded, at, count: int) -> tf.Tensor:
    part = tf.strings.substr(encoded, at, count)
    part = tf.io.decode_raw(part, tf.uint8, fixed_length=count)
    return tf.cast(tf.ensure_shape(part, [count]), tf.int32)
