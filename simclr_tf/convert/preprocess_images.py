"""Images as this encoder was evaluated on. Needs NumPy and Pillow.

    from preprocess import preprocess

    images = preprocess("one.jpg")[None]     # float32[1, S, S, C] in [0, 1]

Upright, and what is transparent on BACKGROUND; C is CHANNELS. The central
square of CROP times the shorter side, resized by bicubic interpolation (Keys,
a = -0.5) to SIZE x SIZE, and divided by 255. Nothing is subtracted: mean 0,
standard deviation 1.
"""

import numpy as np
from PIL import Image, ImageOps

SIZE = 224
CROP = 0.875
# Whether an image that shrinks is low-pass filtered, as Pillow does it.
ANTIALIAS = False
CHANNELS = 3
BACKGROUND = (255, 255, 255)
# Of more than 8 bits: whether an image's least is black, its greatest white.
OWN_RANGE = False
# What Pillow calls images of so many channels; and grey of more than 8 bits.
_MODES = {1: "L", 3: "RGB"}
_DEEP_GREY = ("I;16", "I;16L", "I;16B", "I;16N", "I", "F")


def preprocess(image):
    """A path, a Pillow image or an array [h, w, C] to float32[SIZE, SIZE, C].

    A file can be read of one channel and of three; else give an array: uint8
    in 0..255, bool, uint16, or floats in 0..1; with OWN_RANGE, any numbers.
    """
    if not isinstance(image, np.ndarray):
        if CHANNELS not in _MODES:
            raise ValueError(f"give an array [h, w, {CHANNELS}], not a file")
        if not isinstance(image, Image.Image):
            image = Image.open(image)
        image = _pixels(image)
    if image.ndim != 3 or image.shape[2] != CHANNELS or 0 in image.shape:
        raise ValueError(f"[h, w, {CHANNELS}] is read, not {image.shape}")
    image = _levels(image)
    height, width = image.shape[:2]
    side = max(round(CROP * min(height, width)), 1)
    top, left = (height - side + 1) // 2, (width - side + 1) // 2
    square = image[top : top + side, left : left + side].astype(np.float64)
    weights = _cubic(side)
    resized = np.einsum(
        "ij,jkc,lk->ilc", weights, square, weights, optimize=True
    )
    return (np.clip(np.rint(resized), 0, 255) / 255).astype(np.float32)


def _pixels(image):
    """uint8[h, w, C] of a Pillow image."""
    image = ImageOps.exif_transpose(image)
    if image.mode in _DEEP_GREY and (OWN_RANGE or image.mode != "F"):
        # Pillow would cut off at 255.
        numbers = np.asarray(image)
        if not OWN_RANGE:
            numbers = np.clip(numbers.astype(np.int64) >> 8, 0, 255)
            numbers = numbers.astype(np.uint8)
        image = Image.fromarray(_levels(numbers))
    if image.has_transparency_data:
        shown = Image.new("RGBA", image.size, (*BACKGROUND, 255))
        shown.alpha_composite(image.convert("RGBA"))
        image = shown.convert("RGB")
    pixels = np.asarray(image.convert(_MODES[CHANNELS]))
    return pixels.reshape(*pixels.shape[:2], CHANNELS)


def _levels(numbers):
    """uint8 of numbers of any type."""
    kind, size = numbers.dtype.kind, numbers.dtype.itemsize
    if (kind, size) == ("u", 1):
        return numbers
    if kind == "b":
        return numbers.astype(np.uint8) * 255
    low, high = float(numbers.min()), float(numbers.max())
    if OWN_RANGE:
        scale = 255 / ((high - low) or 1)
        return np.rint((numbers.astype(np.float64) - low) * scale).astype(
            np.uint8
        )
    if (kind, size) == ("u", 2):
        return (numbers >> 8).astype(np.uint8)
    if kind == "f" and low >= 0 and high <= 1:
        return np.rint(numbers * 255).astype(np.uint8)
    raise ValueError(f"{numbers.dtype} from {low:g} to {high:g}")


def _cubic(side):
    """[SIZE, side]: of what each pixel is made."""
    scale = side / SIZE
    centers = (np.arange(SIZE) + 0.5) * scale - 0.5
    x = np.abs(centers[:, None] - np.arange(side))
    x /= max(scale, 1) if ANTIALIAS else 1
    near = (1.5 * x - 2.5) * x * x + 1
    far = -0.5 * (((x - 5) * x + 8) * x - 4)
    weights = np.where(x <= 1, near, np.where(x < 2, far, 0))
    return weights / weights.sum(axis=1, keepdims=True)
