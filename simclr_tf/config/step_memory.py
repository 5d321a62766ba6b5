"""How much host memory a training step takes: an estimate, before any step.

What the backward pass needs of the forward pass is most of it: of every
convolution, for every view, its output and what normalisation makes of it.
The constants are measured on CPUs (tests/bench/step_memory.py says how); the
estimate is for deciding what surely does not fit, not for packing tightly.
"""

_BLOCKS = {
    10: (1, 1, 1, 1),
    18: (2, 2, 2, 2),
    34: (3, 4, 6, 3),
    50: (3, 4, 6, 3),
    101: (3, 4, 23, 3),
    152: (3, 8, 36, 3),
    200: (3, 24, 36, 3),
}
_BOTTLENECK_DEPTH = 50
_SMALL_IMAGE = 32  # and below: no stride and no pooling in the stem

# Bytes that are held for each output of a convolution.
BYTES_OF_OUTPUT = 6.0
# TensorFlow itself, its threads, and the images that wait.
BASE_BYTES = 1.5e9
_VIEWS = 2


def conv_outputs(*, depth: int, width: float, image_size: int) -> float:
    """Numbers that the convolutions of a ResNet give for one view."""
    strides = 1 if image_size <= _SMALL_IMAGE else 2
    side = image_size / strides
    total = 64 * side**2
    side = side if strides == 1 else side / 2
    for stage, blocks in enumerate(_BLOCKS[depth]):
        channels = 64 * 2**stage
        before = side
        side = side if stage == 0 else side / 2
        if depth < _BOTTLENECK_DEPTH:
            total += blocks * 2 * channels * side**2 + channels * side**2
            continue
        total += blocks * (2 * channels + 4 * channels) * side**2
        total += channels * (before**2 - side**2) + 4 * channels * side**2
    return width * total


def step_bytes(
    *, depth: int, width: float, image_size: int, batch_size: int
) -> float:
    """Bytes that a step takes on one host, in all.

    Args:
        depth, width, image_size: of the encoder.
        batch_size: images that go through it at a time, two views each.
    """
    outputs = conv_outputs(depth=depth, width=width, image_size=image_size)
    return BASE_BYTES + _VIEWS * batch_size * outputs * BYTES_OF_OUTPUT


def largest_batch(
    free_bytes: float, *, depth: int, width: float, image_size: int
) -> int:
    """The largest power of two of images whose step fits; 0 where none does."""
    outputs = conv_outputs(depth=depth, width=width, image_size=image_size)
    most = (free_bytes - BASE_BYTES) / (_VIEWS * outputs * BYTES_OF_OUTPUT)
    return 2 ** (int(most).bit_length() - 1) if most >= 1 else 0
