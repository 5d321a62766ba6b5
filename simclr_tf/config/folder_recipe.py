"""A recipe for a folder of pictures: what there is, and what it runs on.

A pure function of a survey. Of the paper's settings it keeps the views and the
loss; depth, size, batch and length are what the machine can do with so many
images in a time that a person waits for.
"""

import dataclasses
from typing import Any

from simclr_tf.config import step_memory

# Of the memory that is free, what a run plans to take.
_SHARE = 0.7
# ResNet-50 has more to learn from than it can learn from fewer images.
_LEAST_FOR_DEPTH_50 = 5_000
_SIZES = (32, 64, 96, 128, 160, 224)
_MOST_ON_CPU = 96
_LEAST_BATCH = 8
# Images that one core is asked to go through, at 96 px: about a quarter of
# an hour.
_IMAGES_OF_A_CORE = 8_000
_EPOCHS = {False: (5, 100), True: (20, 200)}
_IMAGES_OF_AN_ACCELERATOR = 20_000_000
# Of a copy on disk, with the paper's crops: pixels of the shorter side to one
# of a view's, and bytes to a pixel of its square.
_COPY_SIDE, _COPY_BYTES_OF_SQUARE = 3.5, 0.25
_MOST_COPY_BYTES = 10e9


@dataclasses.dataclass(frozen=True)
class Survey:
    """What is there.

    Attributes:
        num_images: of the training split.
        side: pixels of the shorter side, of the median image.
        has_accelerator: whether a GPU or TPU trains.
        cores: of the host.
        free_bytes: memory of the host that nothing uses.
    """

    num_images: int
    side: int
    has_accelerator: bool
    cores: int
    free_bytes: float


def recipe(survey: Survey, *, num_channels: int = 3) -> dict[str, Any]:
    """Options for a folder, by name.

    Args:
        survey: what is there.
        num_channels: C of the images; 3 is RGB.
    """
    fast = survey.has_accelerator
    largest = _SIZES[-1] if fast else _MOST_ON_CPU
    size = max(
        (s for s in _SIZES if s <= min(survey.side, largest)), default=_SIZES[0]
    )
    deep = fast and survey.num_images >= _LEAST_FOR_DEPTH_50
    depth = 50 if deep else 18
    batch = _batch(survey, depth, size)
    total = _IMAGES_OF_AN_ACCELERATOR
    if not fast:
        total = _IMAGES_OF_A_CORE * survey.cores * (_MOST_ON_CPU / size) ** 2
    least, most = _EPOCHS[fast]
    epochs = min(max(total / survey.num_images, least), most)
    values = {
        "resnet_depth": depth,
        "image_size": size,
        "train_batch_size": batch,
        "train_epochs": float(round(epochs)),
        "checkpoint_epochs": float(max(1, round(epochs / 10))),
    }
    if num_channels != 3:
        # Jitter and drop are defined in RGB.
        values["color_jitter_strength"] = 0.0
    if num_channels not in (1, 3):
        return values  # a copy keeps no bands
    copy_side = size * _COPY_SIDE
    copy_bytes = survey.num_images * copy_side**2 * _COPY_BYTES_OF_SQUARE
    if survey.side >= 2 * copy_side and copy_bytes < _MOST_COPY_BYTES:
        values["cache_dataset"] = "disk"
    return values


def reason(survey: Survey, values: dict[str, Any]) -> str:
    """Why, in one line."""
    where = (
        "a GPU or TPU" if survey.has_accelerator else f"{survey.cores} cores"
    )
    copies = ""
    if values.get("cache_dataset") == "disk":
        copies = ", from copies shrunk for it (--cache_dataset=disk)"
    if values.get("color_jitter_strength") == 0:
        copies += ", no colour distortion (--color_jitter_strength=0)"
    length = f"{values['train_epochs']:g} epochs"
    if values.get("train_steps"):  # which overrides them
        length = f"{values['train_steps']} steps"
    return (
        f"Recipe for {survey.num_images} images of about {survey.side} px on "
        f"{where} with {survey.free_bytes / 1e9:.0f} GB free: ResNet-"
        f"{values['resnet_depth']} at {values['image_size']} px, batch "
        f"{values['train_batch_size']}, {length}{copies}. Any of these can be "
        "given as a flag."
    )


def _batch(survey: Survey, depth: int, size: int) -> int:
    """A power of two: a quarter of the images at most, so that an epoch has
    steps, and what fits the memory."""
    most = 256 if survey.has_accelerator else 64
    few = max(survey.num_images // 4, 1)
    batch = min(most, 2 ** (few.bit_length() - 1))
    batch = max(batch, min(_LEAST_BATCH, survey.num_images))
    if survey.has_accelerator:
        return batch
    fits = step_memory.largest_batch(
        _SHARE * survey.free_bytes, depth=depth, width=1, image_size=size
    )
    return max(1, min(batch, fits or 1))
