"""Once, in Python: what TensorFlow cannot decode rightly.

Such an image becomes a PNG, or a JPEG of high quality where it is a photograph
already packed with losses, which is a tenth of the size and can be read at a
reduced scale. What is converted stays in memory, encoded.
"""

import contextlib
import io
import warnings
from collections.abc import Sequence
from concurrent import futures
from typing import NamedTuple

import numpy as np
import tensorflow as tf
from PIL import Image, ImageOps

from simclr_tf.data.decoding import bands, kinds
from simclr_tf.data.decoding.levels import Unreadable, to_levels
from simclr_tf.data.decoding.pixels import MAX_PIXELS
from simclr_tf.errors import UserError

_NUM_THREADS = 16
# Photographs; at this quality, without subsampling, a JPEG is within a level.
_PHOTOGRAPHS = ("HEIC", "AVIF", "JPEG 2000")
_QUALITY = 95
# Of Pillow: grey of more than 8 bits.
_DEEP_GREY = ("I;16", "I;16L", "I;16B", "I;16N", "I", "F")
# Beside more memory, by whether the images are of bands.
_OTHER_WAY = {
    False: ", or convert them to JPEG or PNG beforehand",
    True: ", or make them smaller",
}

# The limit is ours, --max_image_pixels, and is checked before decoding.
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)
# Such an image is shown as it is stored.
warnings.filterwarnings("ignore", message="Corrupt EXIF data")


class Payload(NamedTuple):
    """What `decoder.Decoder` reads of files.

    Attributes:
        rows: object[n], paths (strings) or what files became (bytes).
        num_stretched: files whose levels are in their own range.
    """

    rows: np.ndarray
    num_stretched: int


def payload(
    paths: Sequence[str],
    kinds_of_paths: Sequence[str | None],
    *,
    limit_bytes: int,
    max_pixels: int = MAX_PIXELS,
    num_channels: int = 3,
    own_range: bool = False,
    progress=None,
) -> Payload:
    """What `decoder.Decoder` reads of files: their paths, or what they became.

    A file that cannot be converted keeps its path: it is unreadable when its
    turn comes, and `reason_of_file` says why.

    Args:
        paths: of images.
        kinds_of_paths: their kinds, from `kinds.kinds_of`.
        limit_bytes: what the converted ones may take together.
        max_pixels: of an image; a larger one is not read.
        num_channels, own_range: of `converted`.
        progress: called with (converted, to convert) every few images.

    Raises:
        UserError: they need more than limit_bytes.
    """
    rows = np.array(paths, dtype=object)
    how = {"num_channels": num_channels, "own_range": own_range}
    suspicious = {
        kind
        for kind in set(kinds_of_paths)
        # JPEG stands for PNG, too.
        if kind in ("WebP", "BMP")
        or (own_range and kind == "JPEG")
        or kinds.needs_pillow(kind, b"", **how)
    }
    suspects = [
        i for i, kind in enumerate(kinds_of_paths) if kind in suspicious
    ]

    def convert(i):
        head = kinds.head_of(paths[i])
        if not kinds.needs_pillow(kinds.sniff(head), head, **how):
            return None, False
        try:
            content = _content(paths[i])
            return _converted(content, max_pixels=max_pixels, **how)
        except (OSError, tf.errors.OpError, Unreadable):
            return None, False

    num_bytes = num_stretched = 0
    with futures.ThreadPoolExecutor(_NUM_THREADS) as pool:
        for number, (i, (made, stretched)) in enumerate(
            zip(suspects, pool.map(convert, suspects), strict=True), 1
        ):
            num_stretched += stretched
            if made is not None:
                rows[i] = made
                num_bytes += len(made)
            if num_bytes > limit_bytes:
                pool.shutdown(cancel_futures=True)
                raise UserError(
                    f"{len(suspects)} images, {paths[i]} among them, are of"
                    " kinds that have to be converted, and take more than"
                    f" --in_memory_limit_mb={limit_bytes >> 20} as that. Raise"
                    f" it{_OTHER_WAY[kinds.is_of_bands(num_channels)]}."
                )
            if progress is not None:
                progress(number, len(suspects))
    return Payload(rows, num_stretched)


def of_images(encoded: np.ndarray, **how) -> np.ndarray:
    """Encoded images object[n], those converted that have to be.

    Args:
        encoded: object[n].
        **how: of `converted`.
    """
    rows = encoded.copy()
    for i, content in enumerate(encoded):
        with contextlib.suppress(Unreadable):
            rows[i] = converted(content, **how) or content
    return rows


def converted(
    content: bytes,
    *,
    max_pixels: int = MAX_PIXELS,
    num_channels: int = 3,
    own_range: bool = False,
) -> bytes | None:
    """An image as a PNG or JPEG that TensorFlow decodes rightly.

    Args:
        content: of the file.
        max_pixels: of an image; a larger one is not decoded.
        num_channels: C of what it is to become. Neither 1 nor 3: a stack of
            bands, see `bands`.
        own_range: whether grey, or bands, of more than 8 bits are seen in
            the image's own range; see `levels`.

    Returns:
        The first frame, upright, with its alpha if it has any; None where
        TensorFlow decodes the file itself.

    Raises:
        Unreadable: no, or a damaged, or too large an image.
    """
    return _converted(
        content,
        max_pixels=max_pixels,
        num_channels=num_channels,
        own_range=own_range,
    )[0]


def _converted(
    content, *, max_pixels, num_channels, own_range
) -> tuple[bytes | None, bool]:
    """`converted`, and whether the levels are in the image's own range."""
    head = content[: kinds.HEAD_BYTES]
    kind = kinds.sniff(head)
    how = {"num_channels": num_channels, "own_range": own_range}
    if not kinds.needs_pillow(kind, head, **how):
        return None, False
    if kind == "NPY" or kinds.is_of_bands(num_channels):
        pixels, deep = _bands_of(content, max_pixels=max_pixels, **how)
        return bands.packed(pixels), deep and own_range
    if kind == "GIF" and kinds.plain_gif(content):
        return None, False
    image, deep = _picture_of(content, max_pixels, own_range)
    file = io.BytesIO()
    if kind in _PHOTOGRAPHS and image.mode == "RGB":
        image.save(file, "JPEG", quality=_QUALITY, subsampling=0)
    else:
        image.save(file, "PNG", compress_level=1)
    return file.getvalue(), deep and own_range


def _picture_of(
    content: bytes, max_pixels: int, own_range: bool
) -> tuple[Image.Image, bool]:
    """What Pillow shows of an image: the first frame, upright, RGB or RGBA;
    and whether it is grey of more than 8 bits.

    Raises:
        Unreadable: no, or a damaged, or too large an image.
    """
    with _in_words(content):
        with Image.open(io.BytesIO(content)) as opened:
            width, height = opened.size
            if width * height > max_pixels:
                raise Unreadable("larger than --max_image_pixels")
            opened.load()
            image = ImageOps.exif_transpose(opened)
        return _eight_bits(image, own_range), image.mode in _DEEP_GREY


def _bands_of(content: bytes, **how) -> tuple[np.ndarray, bool]:
    """uint8[h, w, C], and whether the file has more than 8 bits."""
    with _in_words(content):
        return bands.pixels_of(content, **how)


@contextlib.contextmanager
def _in_words(content: bytes):
    """Says of what fails inside why an image cannot be read."""
    kind = kinds.sniff(content[: kinds.HEAD_BYTES])
    if not content:
        raise Unreadable("an empty file")
    if kind is None:
        raise Unreadable("not an image")
    if needed := kinds.install(kind):
        raise Unreadable(f"{kind}, which needs {needed}")
    try:
        yield
    except Image.DecompressionBombError as error:
        raise Unreadable("larger than --max_image_pixels") from error
    except Image.UnidentifiedImageError as error:
        raise Unreadable(f"{kind}, damaged or of an unknown sort") from error
    except (OSError, SyntaxError, ValueError, EOFError, IndexError) as error:
        cut = "truncated" in str(error) or "end of" in str(error)
        raise Unreadable("truncated" if cut else "damaged") from error


def reason(
    content: bytes,
    *,
    max_pixels: int = MAX_PIXELS,
    num_channels: int = 3,
    own_range: bool = False,
) -> str:
    """Why an image could not be read, in a few words; args of `converted`."""
    kind = kinds.sniff(content[: kinds.HEAD_BYTES])
    try:
        if kind == "NPY" or kinds.is_of_bands(num_channels):
            _bands_of(
                content,
                max_pixels=max_pixels,
                num_channels=num_channels,
                own_range=own_range,
            )
        else:
            _picture_of(content, max_pixels, own_range)
    except Unreadable as error:
        return str(error)
    return f"{kind}, of a sort that TensorFlow does not decode"


def reason_of_file(path: str, **how) -> str:
    """`reason` of a file; also where it cannot be opened."""
    try:
        return reason(_content(path), **how)
    except (OSError, tf.errors.OpError) as error:
        return {
            FileNotFoundError: "missing",
            PermissionError: "without permission",
            tf.errors.NotFoundError: "missing",
            tf.errors.PermissionDeniedError: "without permission",
        }.get(type(error), "cannot be opened")


def _eight_bits(image: Image.Image, own_range: bool) -> Image.Image:
    """RGB, or RGBA where anything may be transparent."""
    if own_range and image.mode in _DEEP_GREY:
        own = to_levels(np.asarray(image), own_range=True)
        return Image.fromarray(own).convert("RGB")
    if image.mode.startswith("I;16") or image.mode == "I":
        # Pillow would cut off at 255. The high byte is what others show.
        levels = np.asarray(image).astype(np.int64) >> 8
        image = Image.fromarray(np.clip(levels, 0, 255).astype(np.uint8))
    alpha = image.mode in ("LA", "La", "PA", "RGBA", "RGBa")
    alpha = alpha or "transparency" in image.info
    return image.convert("RGBA" if alpha else "RGB")


def _content(path: str) -> bytes:
    if "://" in path:
        with tf.io.gfile.GFile(path, "rb") as file:
            return file.read()
    with open(path, "rb") as file:
        return file.read()
