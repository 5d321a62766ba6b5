"""The embedded digits in colour as a folder of pictures, for a study of one.

    python tests/bench/color_folder.py FOLDER [DIGITS]

writes the pictures of DIGITS (01234) of color_digits, 901 of 8 x 8 pixels, as
FOLDER/{train,test}/DIGIT/NUMBER.png, every fifth of a digit for testing, as
color_digits has it. A run then takes --dataset=folder --data_dir=FOLDER.
"""

import pathlib
import sys

import numpy as np
from PIL import Image
from sklearn import datasets

from simclr_tf.data import digits


def write(folder: str, kept: str = "01234") -> int:
    """Writes them; returns how many."""
    found = datasets.load_digits()
    background, ink = (
        color[:, None, None] for color in digits.colors(len(found.images))
    )
    shares = found.images[..., np.newaxis] / 16
    pictures = np.round(255 * (background + (ink - background) * shares))
    by_class = np.argsort(found.target, kind="stable")
    for_test = set(by_class[::5].tolist())
    numbers = [i for i in by_class.tolist() if str(found.target[i]) in kept]
    for i in numbers:
        split = "test" if i in for_test else "train"
        place = pathlib.Path(folder, split, str(found.target[i]))
        place.mkdir(parents=True, exist_ok=True)
        picture = Image.fromarray(pictures[i].astype(np.uint8))
        picture.save(place / f"{i:04d}.png")
    return len(numbers)


if __name__ == "__main__":
    print(f"{write(*sys.argv[1:])} pictures in {sys.argv[1]}")
