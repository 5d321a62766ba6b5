"""Images of any number of bands: NPY arrays, TIFFs, and what Pillow opens.

An image of C bands, neither RGB nor grey, is converted once, into a PNG of one
channel in which the bands lie one below the other. TensorFlow decodes that,
and it takes less memory than the bare bytes.
"""

import io
import math

import numpy as np
import tensorflow as tf
from PIL import Image, ImageOps, ImageSequence

from simclr_tf.data.decoding import kinds
from simclr_tf.data.decoding.levels import Unreadable, to_levels

_SAMPLES, _BITS, _ORIENTATION = 277, 258, 274  # tags of TIFF


def pixels_of(
    content: bytes, *, num_channels: int, max_pixels: int, own_range: bool
) -> tuple[np.ndarray, bool]:
    """uint8[h, w, C] of an NPY file, or of another image of C bands; and
    whether there are more than 8 bits in it.

    Args:
        content: of the file.
        num_channels: C. Where it is 1 or 3, an array may have 1 or 3 bands.
        max_pixels: of an image; a larger one is not read.
        own_range: of `levels.to_levels`.

    Raises:
        Unreadable: another number of bands; a damaged, or too large an image.
    """
    kind = kinds.sniff(content[: kinds.HEAD_BYTES])
    if kind == "NPY":
        numbers = _of_array(content, max_pixels)
    elif kind == "TIFF":
        numbers = _of_tiff(content, max_pixels, num_channels, own_range)
    else:
        numbers = _of_picture(content, max_pixels)
    found = numbers.shape[-1]
    wanted = {num_channels} if kinds.is_of_bands(num_channels) else {1, 3}
    if found not in wanted:
        raise Unreadable(f"{found} bands, with --num_channels={num_channels}")
    deep = numbers.dtype.itemsize > 1
    return to_levels(numbers, own_range=own_range), deep


def packed(pixels: np.ndarray) -> bytes:
    """A PNG of uint8[h, w, C]: as it is where C is 1 or 3, else stacked."""
    if pixels.shape[-1] == 1:
        pixels = pixels[..., 0]
    elif pixels.shape[-1] != 3:
        pixels = np.moveaxis(pixels, -1, 0).reshape(-1, pixels.shape[1])
    file = io.BytesIO()
    image = Image.fromarray(np.ascontiguousarray(pixels))
    image.save(file, "PNG", compress_level=1)
    return file.getvalue()


def unpacked(encoded, num_channels: int) -> tf.Tensor:
    """uint8[h, w, C] of what `packed` stacked; anything else raises in the
    graph."""
    # What could not be converted is still a path, and no PNG.
    stacked = tf.io.decode_png(encoded, channels=1)
    height, width, _ = tf.unstack(tf.shape(stacked))
    shape = [num_channels, height // num_channels, width]
    image = tf.transpose(tf.reshape(stacked, shape), [1, 2, 0])
    return tf.ensure_shape(image, [None, None, num_channels])


def side_of_array(file) -> int:
    """Pixels of the shorter side of an NPY file, opened; 0: it is none."""
    try:
        shape, _ = _header(file)
    except (ValueError, OSError):
        return 0
    return min(shape[:2]) if len(shape) in (2, 3) else 0


def _header(file) -> tuple[tuple[int, ...], np.dtype]:
    """Shape and type of an NPY file.

    Raises:
        ValueError: there is no whole header.
        OSError: the file cannot be read.
    """
    try:
        version = np.lib.format.read_magic(file)
        read = {
            (1, 0): np.lib.format.read_array_header_1_0,
            (2, 0): np.lib.format.read_array_header_2_0,
        }[version]  # 3.0 is of names, not of numbers
        shape, _, dtype = read(file)
        return tuple(int(side) for side in shape), dtype
    except OSError:
        raise
    except Exception as error:  # it is parsed as Python: anything
        raise ValueError("a damaged header") from error


def _of_array(content: bytes, max_pixels: int) -> np.ndarray:
    file = io.BytesIO(content)
    try:
        shape, dtype = _header(file)
        if len(shape) not in (2, 3) or 0 in shape or dtype.hasobject:
            raise Unreadable(f"an array {list(shape)}, not [h, w, C] or [h, w]")
        if shape[0] * shape[1] > max_pixels:
            raise Unreadable("larger than --max_image_pixels")
        # The header is a stranger's: no memory on its word alone.
        if math.prod(shape) * dtype.itemsize > len(content) - file.tell():
            raise Unreadable("truncated")
        file.seek(0)
        numbers = np.load(file, allow_pickle=False)
    except Unreadable:
        raise
    except Exception as error:  # as of `_header`
        raise Unreadable("NPY, damaged") from error
    return numbers if numbers.ndim == 3 else numbers[..., np.newaxis]


def _of_picture(content: bytes, max_pixels: int) -> np.ndarray:
    """[h, w, C] by Pillow, upright, alpha as one more band."""
    with Image.open(io.BytesIO(content)) as opened:
        _require_size(opened.size, max_pixels)
        opened.load()
        image = ImageOps.exif_transpose(opened)
    if image.mode == "P":  # its numbers are no levels
        clear = "transparency" in image.info
        image = image.convert("RGBA" if clear else "RGB")
    numbers = np.asarray(image)
    return numbers if numbers.ndim == 3 else numbers[..., np.newaxis]


def _of_tiff(content, max_pixels, num_channels, own_range) -> np.ndarray:
    """By Pillow, unless it would drop bands, or bits that are needed. Pages
    of one band each are the bands, where there are as many."""
    try:
        with Image.open(io.BytesIO(content)) as opened:
            _require_size(opened.size, max_pixels)
            num_bands = len(opened.getbands())
            whole = opened.tag_v2.get(_SAMPLES, 1) == num_bands
            if own_range and num_bands > 1:
                whole = whole and max(opened.tag_v2.get(_BITS, (8,))) <= 8
            if whole and (num_bands, opened.n_frames) == (1, num_channels):
                pages = [
                    np.asarray(ImageOps.exif_transpose(page))
                    for page in ImageSequence.Iterator(opened)
                ]
                return np.stack(pages, axis=-1)
            if whole:
                return _of_picture(content, max_pixels)
    except (Image.UnidentifiedImageError, SyntaxError):
        pass  # five bands and more, for instance
    return _by_tifffile(content, max_pixels)


def _by_tifffile(content: bytes, max_pixels: int) -> np.ndarray:
    try:
        import tifffile
    except ImportError as error:
        raise Unreadable(
            f"TIFF of several bands, which needs {kinds.FORMATS}"
        ) from error
    try:
        with tifffile.TiffFile(io.BytesIO(content)) as file:
            page = file.pages[0]
            _require_size((page.imagewidth, page.imagelength), max_pixels)
            if page.tags.valueof(_ORIENTATION, 1) != 1:
                raise Unreadable("TIFF of several bands that is turned")
            numbers = page.asarray()
            first = page.axes.startswith("S")  # band by band
    except Unreadable:
        raise
    except Exception as error:  # of whatever codec
        raise Unreadable("TIFF, damaged or of an unknown sort") from error
    numbers = np.moveaxis(numbers, 0, -1) if first else numbers
    return numbers if numbers.ndim == 3 else numbers[..., np.newaxis]


def _require_size(size, max_pixels: int) -> None:
    if size[0] * size[1] > max_pixels:
        raise Unreadable("larger than --max_image_pixels")
