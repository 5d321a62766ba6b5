"""Image files for the tests, written by Pillow: an independent encoder."""

import io

import numpy as np
from PIL import Image


def pixels(number, *, height=9, width=12):
    """uint8[H, W, 3], smooth, so that JPEG keeps it, and unlike the others."""
    rows, columns = np.mgrid[:height, :width]
    base = 20 * number % 200
    planes = (base + rows, base + columns, 255 - base - rows)
    return np.stack(planes, axis=-1).astype(np.uint8)


def encode(array, kind, mode="RGB", **options):
    """bytes of an image file of a kind such as "PNG"."""
    file = io.BytesIO()
    Image.fromarray(array).convert(mode).save(file, kind, **options)
    return file.getvalue()


def write(path, number=0, kind=None, mode="RGB"):
    """Writes pixels(number); the kind is the suffix's, if not given."""
    path.parent.mkdir(parents=True, exist_ok=True)
    kind = kind or path.suffix[1:].upper().replace("JPG", "JPEG")
    path.write_bytes(encode(pixels(number), kind, mode))
    return path


def write_folder(root, count, *, kind="PNG"):
    """count flat images 00.png, 01.png, ..."""
    for number in range(count):
        write(root / f"{number:02d}.{kind.lower()}", number, kind)
    return root
