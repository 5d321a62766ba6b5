"""How an encoder's images are prepared, as a program to give away."""

import pathlib
import re

_PROGRAM = pathlib.Path(__file__).with_name("preprocess_images.py")


def program(
    *,
    size: int,
    crop: float,
    antialias: bool,
    num_channels: int = 3,
    background: tuple[int, int, int] = (255, 255, 255),
    own_range: bool = False,
) -> str:
    """`preprocess_images.py` with the settings of an encoder.

    Args:
        size: S, side of its images in pixels.
        crop: of an image's shorter side, what evaluation keeps.
        antialias: of `augment.geometry.crop_resize`.
        num_channels: of its images; 1 is grey, 3 RGB.
        background: on which alpha is composited, 0..255.
        own_range: whether more than 8 bits are seen in an image's own range.
    """
    text = _PROGRAM.read_text("utf-8")
    settings = {
        "SIZE": size,
        "CROP": crop,
        "ANTIALIAS": antialias,
        "CHANNELS": num_channels,
        "BACKGROUND": background,
        "OWN_RANGE": own_range,
    }
    for name, value in settings.items():
        text, count = re.subn(
            rf"^{name} = .*$", f"{name} = {value!r}", text, flags=re.MULTILINE
        )
        assert count == 1, name
    return text
