"""In the graph: an encoded image becomes the pixels that a person sees."""

import dataclasses
import functools

import tensorflow as tf

from simclr_tf.data.decoding import headers

# As of Pillow's warning of bombs. Decoded, such an image takes 268 MB, and as
# many of them are decoded side by side as there are cores.
MAX_PIXELS = 89_478_485
WHITE = (255, 255, 255)


@dataclasses.dataclass(frozen=True)
class Decoder:
    """The `decode` of `Examples` whose payload is encoded, or paths.

    Attributes:
        paths: whether an element is a path, or what a file was converted to
            (`conversion.payload`); else an encoded image.
        background: on which alpha is composited, (r, g, b) in 0..255.
        max_pixels: of an image; a larger one raises before it is decoded.
    """

    paths: bool = False
    background: tuple[int, int, int] = WHITE
    max_pixels: int = MAX_PIXELS

    def __call__(self, element) -> tf.Tensor:
        """uint8[h, w, 3], upright, of an element of the payload.

        Raises:
            In the graph: no, or a damaged, or too large an image, or one of
            a sort that TensorFlow decodes wrongly.
        """
        return rgb_of(
            self.encoded(element),
            background=self.background,
            max_pixels=self.max_pixels,
        )

    def encoded(self, element) -> tf.Tensor:
        """string[], the encoded image of an element of the payload."""
        return _content_of(element) if self.paths else element


def _content_of(element) -> tf.Tensor:
    """string[], the bytes of an element of `conversion.payload`."""
    start = tf.strings.substr(element, 0, 4)
    here = (start == b"\x89PNG") | (
        tf.strings.substr(start, 0, 3) == b"\xff\xd8\xff"
    )
    return tf.cond(here, lambda: element, lambda: tf.io.read_file(element))


def rgb_of(
    encoded, *, background=WHITE, max_pixels: int = MAX_PIXELS
) -> tf.Tensor:
    """uint8[h, w, 3], upright, from JPEG, PNG, WebP, GIF or BMP bytes.

    What it is is seen from the bytes. Of an animation, the first frame; grey
    becomes three equal channels; of 16 bits the high byte is taken.

    Args:
        encoded: string[].
        background: on which alpha is composited, (r, g, b) in 0..255.
        max_pixels: of an image; a larger one raises before it is decoded.
    """
    start = tf.strings.substr(encoded, 0, 4)

    def others():
        head = headers.head_of(encoded)
        kinds = (b"\x89PNG", _png), (b"RIFF", _webp), (b"GIF8", _gif)
        decode = lambda: _bmp(encoded, head, max_pixels)  # noqa: E731
        for name, one in kinds:
            decode = functools.partial(
                tf.cond,
                start == name,
                functools.partial(one, encoded, head, background, max_pixels),
                decode,
            )
        return decode()

    image = tf.cond(
        is_jpeg(encoded),
        lambda: jpeg_pixels(encoded, max_pixels=max_pixels),
        others,
    )
    image = upright(image, headers.orientation(encoded))
    image.set_shape([None, None, 3])
    return image


def is_jpeg(encoded) -> tf.Tensor:
    """bool[]."""
    return tf.strings.substr(encoded, 0, 3) == b"\xff\xd8\xff"


def jpeg_pixels(encoded, *, max_pixels: int, ratio: int = 1) -> tf.Tensor:
    """uint8[ceil(h / ratio), ceil(w / ratio), 3] as stored, not upright.

    Args:
        encoded: string[], JPEG bytes.
        max_pixels: of the whole image.
        ratio: 1, 2, 4 or 8.
    """
    height, width = tf.unstack(tf.io.extract_jpeg_shape(encoded)[:2])
    with tf.control_dependencies([_small_enough(height, width, max_pixels)]):
        return tf.io.decode_jpeg(encoded, channels=3, ratio=ratio)


def upright(image, orientation) -> tf.Tensor:
    """uint8[h, w, 3] turned and mirrored as EXIF's orientation 1..8 says."""

    def turned():
        image_ = tf.cond(
            orientation >= 5,
            lambda: tf.transpose(image, [1, 0, 2]),
            lambda: image,
        )
        rows, columns = mirrored(orientation)
        return tf.raw_ops.Reverse(tensor=image_, dims=[rows, columns, False])

    return tf.cond(orientation == 1, lambda: image, turned)


def mirrored(orientation) -> tuple[tf.Tensor, tf.Tensor]:
    """Whether rows and columns run backwards, once rows and columns have
    changed places where the orientation is 5 or more."""
    rows = (orientation == 3) | (orientation == 4) | (orientation >= 7)
    columns = (orientation == 2) | (orientation == 3) | (orientation == 6)
    return rows, columns | (orientation == 7)


def _png(encoded, head, background, max_pixels) -> tf.Tensor:
    width, height = (
        headers.number(head[at : at + 4], little=False) for at in (16, 20)
    )
    # A match by accident costs time and changes nothing: alpha is 255 then.
    has_alpha = (head[25] >= 4) | headers.says(encoded, "tRNS")
    with tf.control_dependencies([_small_enough(height, width, max_pixels)]):
        return tf.cond(
            has_alpha,
            lambda: composite(
                tf.io.decode_png(encoded, channels=4), background
            ),
            lambda: tf.io.decode_png(encoded, channels=3),
        )


def _webp(encoded, head, background, max_pixels) -> tf.Tensor:
    """Of a still image. TensorFlow 2.20 writes past its memory where the
    number of channels is left to it, and the image is an animation."""
    is_lossless, is_extended = head[15] == ord("L"), head[15] == ord("X")
    lossless = headers.number(head[21:25])
    sizes = tf.where(
        is_extended,
        [headers.number(head[at : at + 3]) + 1 for at in (24, 27)],
        tf.where(
            is_lossless,
            [
                (lossless & 0x3FFF) + 1,
                (tf.bitwise.right_shift(lossless, 14) & 0x3FFF) + 1,
            ],
            [headers.number(head[at : at + 2]) & 0x3FFF for at in (26, 28)],
        ),
    )
    has_alpha = tf.where(is_extended, head[20] & 0x10, head[24] & 0x10) != 0
    has_alpha &= is_extended | is_lossless
    still = tf.debugging.Assert(
        tf.logical_not(is_extended) | (head[20] & 0x02 == 0), ["an animation"]
    )

    def decode(channels):
        return tf.raw_ops.DecodeWebP(contents=encoded, channels=channels)[0]

    small = _small_enough(sizes[1], sizes[0], max_pixels)
    with tf.control_dependencies([still, small]):
        return tf.cond(
            has_alpha,
            lambda: composite(decode(4), background),
            lambda: decode(3),
        )


def _bmp(encoded, head, max_pixels) -> tf.Tensor:
    """Of a plain BMP, in the sense of `kinds.plain_bmp`."""
    width, height, packing = (
        headers.number(head[at : at + 4]) for at in (18, 22, 30)
    )
    plain = (head[14] >= 40) & (head[28] == 24) & (packing == 0)
    small = _small_enough(tf.abs(height), width, max_pixels)
    is_bmp = tf.strings.substr(encoded, 0, 2) == b"BM"
    assert_plain = tf.debugging.Assert(
        is_bmp & plain, ["no image, or a BMP that TensorFlow misreads"]
    )
    with tf.control_dependencies([assert_plain, small]):
        return tf.io.decode_bmp(encoded, channels=3)


def _gif(encoded, head, background, max_pixels) -> tf.Tensor:
    """Of a plain GIF, in the sense of `conversion.plain_gif`."""
    del background
    width, height = headers.number(head[6:8]), headers.number(head[8:10])
    with tf.control_dependencies([_small_enough(height, width, max_pixels)]):
        image = tf.io.decode_image(encoded, channels=3, expand_animations=False)
    data = tf.io.decode_raw(encoded, tf.uint8)
    control = (data[:-3] == 0x21) & (data[1:-2] == 0xF9) & (data[2:-1] == 4)
    transparent = tf.reduce_any(control & (data[3:] % 2 == 1))
    fills = tf.reduce_all(tf.shape(image) == [height, width, 3])
    plain = tf.debugging.Assert(
        fills & tf.logical_not(transparent), ["a GIF that TensorFlow misreads"]
    )
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


def _small_enough(height, width, max_pixels: int):
    height, width = (tf.cast(n, tf.int64) for n in (height, width))
    return tf.debugging.Assert(
        (height >= 0) & (width >= 0) & (height * width <= max_pixels),
        ["larger than --max_image_pixels"],
    )
