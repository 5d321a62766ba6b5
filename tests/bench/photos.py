"""Photographs made from noise and shapes, to try a folder of one's own.

    python tests/bench/photos.py FOLDER [COUNT [WIDTH HEIGHT [LINKS]]]

writes COUNT (300) JPEGs of WIDTH x HEIGHT (4000 x 3000) pixels, of five
kinds of shapes in colours of their own; labels.csv beside the folder says
which. LINKS (0) is how many more names each gets, in 1,000 class folders: hard
links make a large folder of a small disk.
"""

import pathlib
import sys

import numpy as np
from PIL import Image, ImageDraw

CLASSES = 1000  # of links
KINDS = ("disc", "square", "triangle", "stripes", "ring")


def photograph(number: int, width: int, height: int) -> Image.Image:
    """One picture, a function of its number."""
    rng = np.random.default_rng(number)
    coarse = rng.integers(40, 216, (9, 12, 3), dtype=np.uint8)
    image = Image.fromarray(coarse).resize((width, height), Image.BICUBIC)
    draw = ImageDraw.Draw(image)
    kind = KINDS[number % len(KINDS)]
    for _ in range(6):
        size = int(height * rng.uniform(0.1, 0.35))
        x, y = (int(v) for v in rng.integers(0, (width - size, height - size)))
        color = tuple(int(c) for c in rng.integers(0, 256, 3))
        box = (x, y, x + size, y + size)
        if kind == "disc":
            draw.ellipse(box, fill=color)
        elif kind == "square":
            draw.rectangle(box, fill=color)
        elif kind == "ring":
            draw.ellipse(box, outline=color, width=size // 6)
        elif kind == "triangle":
            corners = [(x, y + size), (x + size, y + size), (x + size // 2, y)]
            draw.polygon(corners, fill=color)
        else:
            for line in range(0, size, max(size // 5, 1)):
                draw.line(
                    (x, y + line, x + size, y + line),
                    fill=color,
                    width=max(size // 12, 1),
                )
    noise = rng.normal(0, 6, (height, width, 1)).astype(np.int16)
    pixels = np.asarray(image, np.int16) + noise
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))


def main(folder: str, count=300, width=4000, height=3000, links=0) -> None:
    """Writes them."""
    root, links = pathlib.Path(folder), int(links)
    root.mkdir(parents=True, exist_ok=True)
    rows = ["file,label"]
    for number in range(int(count)):
        name = f"IMG_{number:04d}.JPG"
        photograph(number, int(width), int(height)).save(
            root / name, "JPEG", quality=90
        )
        rows.append(f"{name},{KINDS[number % len(KINDS)]}")
        for link in range(number * links, (number + 1) * links):
            place = root / f"class_{link % CLASSES:04d}"
            place.mkdir(exist_ok=True)
            (place / f"{link}.jpg").hardlink_to(root / name)
        if links:
            (root / name).unlink()
    if not links:
        table = root.parent / "labels.csv"
        table.write_text("\n".join(rows) + "\n")
    print(f"{int(count) * max(links, 1)} images in {root}")


if __name__ == "__main__":
    main(*sys.argv[1:])
