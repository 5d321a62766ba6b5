"""Table B.1: parameters, moving statistics and outputs of every encoder."""

import math

import pytest
import tensorflow as tf
import tf_keras as keras

from simclr_tf.models.resnet import resnet

# depth, width, image size, sk, se: trainable, moving statistics, D.
COUNTS = {
    (18, 1, 224, 0, 0): (11_180_736, 9_728, 512),
    (18, 2, 224, 0, 0): (44_684_672, 19_456, 1024),
    (18, 4, 224, 0, 0): (178_662_144, 38_912, 2048),
    (34, 1, 224, 0, 0): (21_288_896, 17_152, 512),
    (34, 2, 224, 0, 0): (85_102_464, 34_304, 1024),
    (34, 4, 224, 0, 0): (340_303_616, 68_608, 2048),
    (50, 1, 224, 0, 0): (23_508_032, 53_120, 2048),
    (50, 2, 224, 0, 0): (93_907_072, 106_240, 4096),
    (50, 4, 224, 0, 0): (375_378_176, 212_480, 8192),
    (101, 1, 224, 0, 0): (42_500_160, 105_344, 2048),
    (101, 2, 224, 0, 0): (169_771_136, 210_688, 4096),
    (101, 4, 224, 0, 0): (678_625_536, 421_376, 8192),
    (152, 1, 224, 0, 0): (58_143_808, 151_424, 2048),
    (152, 2, 224, 0, 0): (232_253_568, 302_848, 4096),
    (152, 4, 224, 0, 0): (928_370_944, 605_696, 8192),
    (18, 1, 32, 0, 0): (11_173_056, 9_728, 512),
    (50, 1, 32, 0, 0): (23_500_352, 53_120, 2048),
    (50, 1, 224, 0.0625, 0): (35_215_584, 61_824, 2048),
    (50, 2, 224, 0.0625, 0): (140_306_048, 122_816, 4096),
    (101, 1, 224, 0.0625, 0): (64_662_304, 123_840, 2048),
    (101, 2, 224, 0.0625, 0): (257_132_224, 245_760, 4096),
    (152, 1, 224, 0.0625, 0): (88_940_896, 178_688, 2048),
    (152, 2, 224, 0.0625, 0): (353_398_528, 354_368, 4096),
    (152, 3, 224, 0.0625, 0): (794_704_160, 531_200, 6144),
    (18, 1, 224, 0.0625, 0): (11_199_968, 9_856, 512),
    (50, 1, 224, 0, 0.25): (26_039_024, 53_120, 2048),
}

# The fast suite builds every stem, kind and block once; the rest take seconds
# each, the deepest a minute or more.
QUICK_ROWS = (
    (18, 1, 224, 0, 0),
    (18, 2, 224, 0, 0),
    (34, 1, 224, 0, 0),
    (50, 1, 224, 0, 0),
    (18, 1, 32, 0, 0),
    (50, 1, 224, 0.0625, 0),
    (18, 1, 224, 0.0625, 0),
    (50, 1, 224, 0, 0.25),
)


def marks(row):
    depth, _, _, sk_ratio, _ = row
    if row in QUICK_ROWS:
        return []
    return pytest.mark.soak if depth == 152 and sk_ratio else pytest.mark.slow


def size_of(variables):
    return sum(math.prod(v.shape) for v in variables)


@pytest.mark.parametrize(
    ("row", "want"),
    [pytest.param(row, want, marks=marks(row)) for row, want in COUNTS.items()],
)
def test_parameter_counts_of_table_b1(row, want):
    depth, width, image_size, sk_ratio, se_ratio = row
    # In a graph of its own a variable is a node: nothing is allocated.
    with tf.Graph().as_default():
        encoder = resnet(
            depth=depth,
            width=width,
            image_size=image_size,
            sk_ratio=sk_ratio,
            se_ratio=se_ratio,
        )
    got = (
        size_of(encoder.trainable_variables),
        size_of(encoder.non_trainable_variables),
        encoder.output_shape[-1],
    )
    assert got == want


@pytest.mark.slow
def test_depth_200_has_its_blocks():
    with tf.Graph().as_default():
        encoder = resnet(depth=200, width=0.125, image_size=224)
    blocks = [
        sum(isinstance(layer, keras.layers.Add) for layer in stage.layers)
        for stage in encoder.stages
    ]
    assert blocks == [0, 3, 24, 36, 3]


def test_depth_10_has_one_block_per_group():
    encoder = resnet(depth=10, image_size=32)
    stem = 3 * 3 * 3 * 64 + 2 * 64
    groups = sum(
        9 * c_in * c + 9 * c * c + c_in * c + 3 * 2 * c
        for c_in, c in ((64, 64), (64, 128), (128, 256), (256, 512))
    )
    assert size_of(encoder.trainable_variables) == stem + groups
