"""In the graph: an encoded image becomes the pixels that a person sees."""

import re

import tensorflow as tf

from simclr_tf.data.decoding import headers
from simclr_tf.errors import UserError
from simclr_tf.picture import upright

# As of Pillow's warning of bombs. Decoded, such an image takes 268 MB, and as
# many of them are decoded side by side as there are cores.
MAX_PIXELS = 89_478_485
WHITE = (255, 255, 255)
_NAMED = {"white": WHITE, "black": (0, 0, 0)}
# What `rgb_of` is made for, if not told otherwise.
KINDS = frozenset({"JPEG", "PNG", "WebP", "GIF", "BMP"})


def background_of(text: str) -> tuple[int, int, int]:
    """(r, g, b) of "white", "black" or six hexadecimal digits.

    Raises:
        UserError: it is none of these.
    """
    if text in _NAMED:
        return _NAMED[text]
    if not re.fullmatch("[0-9a-fA-F]{6}", text):
        raise UserError(
            "--alpha_background must be white, black, or a colour of six"
            f" hexadecimal digits. Received: {text!r}."
        )
    red, green, blue = bytes.fromhex(text)
    return red, green, blue


def rgb_of(
    encoded,
    *,
    background=WHITE,
    max_pixels: int = MAX_PIXELS,
    kinds: frozenset[str] = KINDS,
    oriented: bool = True,
    transparent: bool = True,
) -> tf.Tensor:
    """uint8[h, w, 3], upright, from JPEG, PNG, WebP, GIF or BMP bytes.

    What it is is seen from the bytes. Of an animation, the first frame; grey
    becomes three equal channels; of 16 bits the high byte is taken.

    Args:
        encoded: string[].
        background: on which alpha is composited, (r, g, b) in 0..255.
        max_pixels: of an image; a larger one raises before it is decoded.
        kinds: which of KINDS there may be. Others may raise.
        oriented: whether an orientation may be said.
        transparent: whether anything may be transparent.
    """
    if kinds == {"JPEG"}:
        image = _jpeg(encoded, max_pixels)
    elif kinds == {"PNG"} and not transparent:
        head = headers.head_of(encoded)
        image = _png(encoded, head, max_pixels, channels=3)
    else:
        on = background if transparent else None
        image = _of_any_kind(encoded, on, max_pixels, kinds)
    if oriented and kinds & {"JPEG", "PNG", "WebP"}:
        image = upright(image, headers.orientation(encoded))
    image.set_shape([None, None, 3])
    return image


def _of_any_kind(encoded, background, max_pixels, kinds) -> tf.Tensor:
    """uint8[h, w, 3], not upright; background None: nothing is
    transparent."""
    start = tf.strings.substr(encoded, 0, 4)
    head = headers.head_of(encoded)
    # One switch, and branches for these kinds only: every function in the
    # graph costs a moment at the start of a job, several times over.
    branches, which = [lambda: _bmp(encoded, head, max_pixels)], 0

    def on_background(decode):
        return lambda: composite(
            decode(encoded, head, max_pixels, channels=4), background
        )

    def opaque(decode):
        return lambda: decode(encoded, head, max_pixels, channels=3)

    if "GIF" in kinds:
        branches += [opaque(_gif)]
        which = tf.where(start == b"GIF8", len(branches) - 1, which)
    for kind, begin, decode, has_alpha in (
        ("WebP", b"RIFF", _webp, _webp_has_alpha),
        ("PNG", b"\x89PNG", _png, _png_has_alpha),
    ):
        if kind in kinds:
            branches += [opaque(decode)]
            last = tf.constant(len(branches) - 1)
            if background is not None:
                branches += [on_background(decode)]
                last += tf.cast(has_alpha(encoded, head), tf.int32)
            which = tf.where(start == begin, last, which)
    branches += [lambda: _jpeg(encoded, max_pixels)]
    which = tf.where(is_jpeg(encoded), len(branches) - 1, which)
    return tf.switch_case(which, branches)


def is_jpeg(encoded) -> tf.Tensor:
    """bool[]."""
    return tf.strings.substr(encoded, 0, 3) == b"\xff\xd8\xff"


def _jpeg(encoded, max_pixels: int) -> tf.Tensor:
    shape = tf.io.extract_jpeg_shape(encoded)
    with tf.control_dependencies([check_size(shape, max_pixels)]):
        return tf.io.decode_jpeg(encoded, channels=3)


def _png(encoded, head, max_pixels, *, channels) -> tf.Tensor:
    width, height = headers.numbers(head, (16, 4), (20, 4), little=False)
    with tf.control_dependencies([_small_enough(height, width, max_pixels)]):
        return tf.io.decode_png(encoded, channels=channels)


def _png_has_alpha(encoded, head) -> tf.Tensor:
    """May be true by accident: it costs time then and changes nothing."""
    is_png = head[0] == 0x89
    size = tf.where(is_png, tf.strings.length(encoded), 0)
    chunks = tf.strings.substr(encoded, 0, size)
    return (head[25] >= 4) | headers.says(chunks, "tRNS")


def _webp_has_alpha(encoded, head) -> tf.Tensor:
    del encoded
    kind, extended, lossless = headers.numbers(head, (15, 1), (20, 1), (24, 1))
    flags = tf.where(kind == ord("X"), extended, lossless)
    return (kind != ord(" ")) & (flags & 0x10 != 0)


def _webp(encoded, head, max_pixels, *, channels) -> tf.Tensor:
    """Of a still image. TensorFlow 2.20 writes past its memory where the
    number of channels is left to it, and the image is an animation."""
    kind, flags, *sizes = headers.numbers(
        head, (15, 1), (20, 1), (24, 3), (27, 3), (21, 4), (26, 2), (28, 2)
    )
    extended = kind == ord("X")
    long_width, long_height, bits, width, height = sizes
    upper = tf.bitwise.right_shift(bits, 14)
    lossless = kind == ord("L")
    width = tf.where(lossless, bits + 1, width) & 0x3FFF
    height = tf.where(lossless, upper + 1, height) & 0x3FFF
    width = tf.where(extended, long_width + 1, width)
    height = tf.where(extended, long_height + 1, height)
    still = tf.logical_not(extended) | (flags & 0x02 == 0)
    checks = [
        _check(still, "an animation"),
        _small_enough(height, width, max_pixels),
    ]
    with tf.control_dependencies(checks):
        frames = tf.raw_ops.DecodeWebP(contents=encoded, channels=channels)
    return frames[0]


def _bmp(encoded, head, max_pixels) -> tf.Tensor:
    """Of a plain BMP, in the sense of `kinds.plain_bmp`; the rest raises."""
    letters, header_size, width, height, bits, packing = headers.numbers(
        head, (0, 2), (14, 4), (18, 4), (22, 4), (28, 2), (30, 4)
    )
    plain = (letters == 0x4D42) & (header_size >= 40)
    plain &= (bits == 24) & (packing == 0)
    checks = [
        _check(plain, "no image, or a BMP that TensorFlow misreads"),
        _small_enough(tf.abs(height), width, max_pixels),
    ]
    with tf.control_dependencies(checks):
        return tf.io.decode_bmp(encoded, channels=3)


def _gif(encoded, head, max_pixels, *, channels) -> tf.Tensor:
    """Of a plain GIF, in the sense of `kinds.plain_gif`."""
    width, height = headers.numbers(head, (6, 2), (8, 2))
    with tf.control_dependencies([_small_enough(height, width, max_pixels)]):
        image = tf.io.decode_image(
            encoded, channels=channels, expand_animations=False
        )
    data = tf.io.decode_raw(encoded, tf.uint8)
    control = (data[:-3] == 0x21) & (data[1:-2] == 0xF9) & (data[2:-1] == 4)
    opaque = tf.reduce_all(tf.logical_not(control) | (data[3:] % 2 == 0))
    fills = tf.reduce_all(tf.shape(image) == [height, width, channels])
    plain = _check(fills & opaque, "a GIF that TensorFlow misreads")
    with tf.control_dependencies([plain]):
        return tf.identity(image)


def composite(image, background) -> tf.Tensor:
    """uint8[h, w, 3] of uint8[h, w, 4] on a colour, as Pillow rounds it."""
    image = tf.cast(image, tf.int32)
    color, alpha = image[..., :3], image[..., 3:]
    mixed = color * alpha + tf.constant(background) * (255 - alpha)
    scaled = mixed * 128 + (128 << 7)
    shift = tf.bitwise.right_shift
    divided = shift(shift(scaled, 8) + scaled, 8)
    return tf.cast(shift(divided, 7), tf.uint8)


def check_size(shape, max_pixels: int):
    """An operation that raises where shape int32[3] has too many pixels."""
    height, width, _ = tf.unstack(shape)
    return _small_enough(height, width, max_pixels)


def _small_enough(height, width, max_pixels: int):
    height, width = (tf.cast(n, tf.int64) for n in (height, width))
    small = (height >= 0) & (width >= 0) & (height * width <= max_pixels)
    return _check(small, "larger than --max_image_pixels")


def _check(condition, words: str):
    # `tf.debugging.Assert` would put two more functions into the graph.
    return tf.raw_ops.Assert(condition=condition, data=[words])
