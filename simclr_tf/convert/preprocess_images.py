"""Images as this encoder was evaluated on. Needs NumPy and Pillow.

    from preprocess import preprocess

    images = preprocess("one.jpg")[None]     # float32[1, S, S, 3] in [0, 1]

The central square of CROP times the shorter side, resized by bicubic
interpolation (Keys, a = -0.5) to SIZE x SIZE, and divided by 255. Nothing is
subtracted: mean 0, standard deviation 1.
"""

import numpy as np
from PIL import Image, ImageOps

SIZE = 224
CROP = 0.875
# Whether an image that shrinks is low-pass filtered, as Pillow does it.
ANTIALIAS = False


def preprocess(image):
    """A path, a Pillow image or uint8[h, w, 3] to float32[SIZE, SIZE, 3]."""
    if not isinstance(image, np.ndarray):
        if not isinstance(image, Image.Image):
            image = Image.open(image)
        image = np.asarray(ImageOps.exif_transpose(image).convert("RGB"))
    height, width = image.shape[:2]
    side = max(round(CROP * min(height, width)), 1)
    top, left = (height - side + 1) // 2, (width - side + 1) // 2
    square = image[top : top + side, left : left + side].astype(np.float64)
    weights = _cubic(side)
    resized = np.einsum(
        "ij,jkc,lk->ilc", weights, square, weights, optimize=True
    )
    return (np.clip(np.rint(resized), 0, 255) / 255).astype(np.float32)


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
