"""What an image file is: by its first bytes, never by its name alone."""

import io
import re
from collections.abc import Sequence
from concurrent import futures

import tensorflow as tf
from PIL import Image

# Enough of a file for `sniff` and `needs_pillow`.
HEAD_BYTES = 64

# Names that images bear which TensorFlow or Pillow alone can read.
SUFFIXES = (
    ".jpg",
    ".jpeg",
    ".jpe",
    ".jfif",
    ".png",
    ".apng",
    ".gif",
    ".bmp",
    ".dib",
    ".webp",
)
# Names of images that only some builds of Pillow, or an extra, can read.
SUFFIXES_OF_EXTRAS = (
    ".tif",
    ".tiff",
    ".heic",
    ".heif",
    ".avif",
    ".jp2",
    ".j2k",
    ".jpx",
)

_STARTS = {
    "JPEG": rb"\xff\xd8\xff",
    "PNG": rb"\x89PNG\r\n\x1a\n",
    "GIF": rb"GIF8[79]a",
    "BMP": rb"BM.{4}\0{4}",
    "WebP": rb"RIFF.{4}WEBP",
    "TIFF": rb"II[\x2a\x2b]\0|MM\0[\x2a\x2b]",
    "AVIF": rb".{4}ftypavi[fs]",
    "HEIC": rb".{4}ftyp(?:hei[cxms]|hev[cxms]|mif1|msf1)",
    "JPEG 2000": rb"\0\0\0\x0cjP  \r\n\x87\n|\xff\x4f\xff\x51",
    "NPY": rb"\x93NUMPY[\1-\3]\0",
}
_PATTERNS = {
    kind: re.compile(start, re.DOTALL) for kind, start in _STARTS.items()
}
# What brings the readers of the rarer kinds.
FORMATS = "pip install 'simclr_tf[formats]'"
# How Pillow calls what not every build of it can read.
_PILLOW_NAMES = {
    "TIFF": "TIFF",
    "AVIF": "AVIF",
    "HEIC": "HEIF",
    "JPEG 2000": "JPEG2000",
}
# A graphic control extension whose flags say that a colour is transparent.
_TRANSPARENT_GIF = re.compile(
    rb"\x21\xf9\x04[" + re.escape(bytes(range(1, 256, 2))) + rb"]"
)
# Of a PNG's header: the depth, and the type of its colours.
_GREY_OF_16_BITS = b"\x10\0"
# Opening is waiting, for a network most of all.
_NUM_THREADS = 16
_FILES_A_TASK = 256


def sniff(head: bytes) -> str | None:
    """The kind of an image by its first bytes, HEAD_BYTES of them if there.

    Returns:
        "JPEG", "PNG", "GIF", "BMP", "WebP", "TIFF", "AVIF", "HEIC",
        "JPEG 2000", "NPY"; None where it is none of these.
    """
    for kind, pattern in _PATTERNS.items():
        if pattern.match(head):
            return kind
    return None


def kinds_of(paths: Sequence[str]) -> list[str | None]:
    """`sniff` of files, several at a time; None for one without permission."""
    tasks = [
        paths[i : i + _FILES_A_TASK]
        for i in range(0, len(paths), _FILES_A_TASK)
    ]
    with futures.ThreadPoolExecutor(_NUM_THREADS) as pool:
        done = pool.map(lambda task: [sniff(head_of(p)) for p in task], tasks)
        return [kind for task in done for kind in task]


def head_of(path: str) -> bytes:
    """The first HEAD_BYTES of a file; fewer, or none, where it has no more
    or cannot be read."""
    try:
        if "://" in path:
            with tf.io.gfile.GFile(path, "rb") as file:
                return file.read(HEAD_BYTES)
        with open(path, "rb", buffering=0) as file:
            return file.read(HEAD_BYTES)
    except (OSError, tf.errors.OpError):
        return b""


def needs_pillow(
    kind: str | None,
    head: bytes,
    *,
    num_channels: int = 3,
    own_range: bool = False,
) -> bool:
    """Whether TensorFlow would decode an image wrongly, or not at all.

    Of a GIF it takes the whole file to tell: `plain_gif`.

    Args:
        kind: from `sniff`.
        head: its first HEAD_BYTES.
        num_channels: of what it is to become; see `bands`.
        own_range: whether more than 8 bits are seen in the image's own range.
    """
    if kind is None:
        return False
    if is_of_bands(num_channels):
        return True
    if kind == "PNG":
        return own_range and head[24:26] == _GREY_OF_16_BITS
    if kind == "JPEG":
        return False
    if kind == "WebP":
        return head[12:16] == b"VP8X" and bool(head[20] & 0x02)  # animated
    if kind == "BMP":
        return not plain_bmp(head)
    return True


def is_of_bands(num_channels: int) -> bool:
    """Whether images of so many channels are neither RGB nor grey, which
    any image can become."""
    return num_channels not in (1, 3)


def plain_bmp(head: bytes) -> bool:
    """Whether a BMP has 24 bits a pixel and neither palette nor packing."""
    header_size, bits, packing = (
        int.from_bytes(head[at : at + size], "little")
        for at, size in ((14, 4), (28, 2), (30, 4))
    )
    return 40 <= header_size < 256 and bits == 24 and packing == 0


def plain_gif(content: bytes) -> bool:
    """Whether TensorFlow decodes a GIF rightly: nothing in it may be
    transparent, and the first frame has to fill the canvas."""
    if _TRANSPARENT_GIF.search(content):
        return False
    try:
        with Image.open(io.BytesIO(content)) as opened:
            (frame,) = {tile[1] for tile in opened.tile}
            return frame == (0, 0, *opened.size)
    except (OSError, SyntaxError, ValueError, EOFError):
        return False


def install(kind: str) -> str | None:
    """What to install to read a kind of image; None where it can be read."""
    if kind not in _PILLOW_NAMES:
        return None
    register_extras()
    Image.init()
    if _PILLOW_NAMES[kind] in Image.OPEN:
        return None
    return FORMATS


def register_extras() -> None:
    """Lets Pillow open HEIC images, where pillow-heif is installed."""
    try:
        import pillow_heif
    except ImportError:
        return
    pillow_heif.register_heif_opener()
