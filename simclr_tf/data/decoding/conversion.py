"""By Pillow, once, in Python: what TensorFlow cannot decode rightly.

Such an image becomes a PNG, or a JPEG of high quality where it is a photograph
already packed with losses, which is a tenth of the size and can be read at a
reduced scale. What is converted stays in memory, encoded.
"""

import contextlib
import io
import re
import warnings
from collections.abc import Sequence
from concurrent import futures

import numpy as np
import tensorflow as tf
from PIL import Image, ImageOps

from simclr_tf.data.decoding import kinds
from simclr_tf.data.decoding.pixels import MAX_PIXELS
from simclr_tf.errors import UserError

_NUM_THREADS = 16
# Photographs; at this quality, without subsampling, a JPEG is within a level.
_PHOTOGRAPHS = ("HEIC", "AVIF", "JPEG 2000")
_QUALITY = 95
# A graphic control extension whose flags say that a colour is transparent.
_TRANSPARENT_GIF = re.compile(
    rb"\x21\xf9\x04[" + re.escape(bytes(range(1, 256, 2))) + rb"]"
)

# The limit is ours, --max_image_pixels, and is checked before decoding.
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)
# Such an image is shown as it is stored.
warnings.filterwarnings("ignore", message="Corrupt EXIF data")


def payload(
    paths: Sequence[str],
    kinds_of_paths: Sequence[str | None],
    *,
    limit_bytes: int,
    max_pixels: int = MAX_PIXELS,
    progress=None,
) -> np.ndarray:
    """What `pixels.Decoder` reads of files: their paths, or what they became.

    A file that cannot be converted keeps its path: it is unreadable when its
    turn comes, and `reason_of_file` says why.

    Args:
        paths: of images.
        kinds_of_paths: their kinds, from `kinds.kinds_of`.
        limit_bytes: what the converted ones may take together.
        max_pixels: of an image; a larger one is not read.
        progress: called with (converted, to convert) every few images.

    Returns:
        object[n], strings and bytes.

    Raises:
        UserError: they need more than limit_bytes.
    """
    rows = np.array(paths, dtype=object)
    suspicious = {
        kind
        for kind in set(kinds_of_paths)
        if kind in ("WebP", "BMP") or kinds.needs_pillow(kind, b"")
    }
    suspects = [
        i for i, kind in enumerate(kinds_of_paths) if kind in suspicious
    ]

    def convert(i):
        if not kinds.needs_pillow(kinds_of_paths[i], kinds.head_of(paths[i])):
            return None
        try:
            return converted(_content(paths[i]), max_pixels=max_pixels)
        except (OSError, tf.errors.OpError, Unreadable):
            return None

    num_bytes = 0
    with futures.ThreadPoolExecutor(_NUM_THREADS) as pool:
        for number, (i, made) in enumerate(
            zip(suspects, pool.map(convert, suspects), strict=True), 1
        ):
            if made is not None:
                rows[i] = made
                num_bytes += len(made)
            if num_bytes > limit_bytes:
                pool.shutdown(cancel_futures=True)
                raise UserError(
                    f"{len(suspects)} images, {paths[i]} among them, are of"
                    " kinds that have to be converted, and take more than"
                    f" --in_memory_limit_mb={limit_bytes >> 20} as that. Raise"
                    " it, or convert them to JPEG or PNG beforehand."
                )
            if progress is not None:
                progress(number, len(suspects))
    return rows


def of_images(encoded: np.ndarray, *, max_pixels: int) -> np.ndarray:
    """Encoded images object[n], those converted that have to be."""
    rows = encoded.copy()
    for i, content in enumerate(encoded):
        with contextlib.suppress(Unreadable):
            rows[i] = converted(content, max_pixels=max_pixels) or content
    return rows


class Unreadable(Exception):
    """Says in a few words why an image cannot be read."""


def converted(content: bytes, *, max_pixels: int = MAX_PIXELS) -> bytes | None:
    """An image as a PNG or JPEG that TensorFlow decodes rightly.

    Args:
        content: of the file.
        max_pixels: of an image; a larger one is not decoded.

    Returns:
        The first frame, upright, with its alpha if it has any; None where
        TensorFlow decodes the file itself.

    Raises:
        Unreadable: no, or a damaged, or too large an image.
    """
    kind = kinds.sniff(content[: kinds.HEAD_BYTES])
    if not kinds.needs_pillow(kind, content[: kinds.HEAD_BYTES]):
        return None
    if kind == "GIF" and plain_gif(content):
        return None
    image = picture_of(content, max_pixels=max_pixels)
    file = io.BytesIO()
    if kind in _PHOTOGRAPHS and image.mode == "RGB":
        image.save(file, "JPEG", quality=_QUALITY, subsampling=0)
    else:
        image.save(file, "PNG", compress_level=1)
    return file.getvalue()


def picture_of(content: bytes, *, max_pixels: int = MAX_PIXELS) -> Image.Image:
    """What Pillow shows of an image: the first frame, upright, RGB or RGBA.

    Raises:
        Unreadable: no, or a damaged, or too large an image.
    """
    kind = kinds.sniff(content[: kinds.HEAD_BYTES])
    if not content:
        raise Unreadable("an empty file")
    if kind is None:
        raise Unreadable("not an image")
    if needed := kinds.install(kind):
        raise Unreadable(f"{kind}, which needs {needed}")
    try:
        with Image.open(io.BytesIO(content)) as opened:
            width, height = opened.size
            if width * height > max_pixels:
                raise Unreadable("larger than --max_image_pixels")
            opened.load()
            return _eight_bits(ImageOps.exif_transpose(opened))
    except Image.DecompressionBombError as error:
        raise Unreadable("larger than --max_image_pixels") from error
    except Image.UnidentifiedImageError as error:
        raise Unreadable(f"{kind}, damaged or of an unknown sort") from error
    except (OSError, SyntaxError, ValueError, EOFError, IndexError) as error:
        cut = "truncated" in str(error) or "end of" in str(error)
        raise Unreadable("truncated" if cut else "damaged") from error


def reason(content: bytes, *, max_pixels: int = MAX_PIXELS) -> str:
    """Why an image could not be read, in a few words."""
    try:
        picture_of(content, max_pixels=max_pixels)
    except Unreadable as error:
        return str(error)
    kind = kinds.sniff(content[: kinds.HEAD_BYTES])
    return f"{kind}, of a sort that TensorFlow does not decode"


def reason_of_file(path: str, *, max_pixels: int = MAX_PIXELS) -> str:
    """`reason` of a file; also where it cannot be opened."""
    try:
        return reason(_content(path), max_pixels=max_pixels)
    except (OSError, tf.errors.OpError) as error:
        return {
            FileNotFoundError: "missing",
            PermissionError: "without permission",
            tf.errors.NotFoundError: "missing",
            tf.errors.PermissionDeniedError: "without permission",
        }.get(type(error), "cannot be opened")


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


def _eight_bits(image: Image.Image) -> Image.Image:
    """RGB, or RGBA where anything may be transparent."""
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
