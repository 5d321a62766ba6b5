"""The encoder f(.): a ResNet, and its wider and SimCLRv2 variants.

Post-activation residual networks (He et al. 2016) as in the paper's
experiments: h is the output of the average pool. Projection heads are in
`heads.py`, selective kernels and squeeze-and-excitation in
`selective_kernel.py`.
"""

import functools

import tensorflow as tf
import tf_keras as keras

from simclr_tf.models.images import require_float_images
from simclr_tf.models.parts import Parts
from simclr_tf.models.selective_kernel import selective_kernel, squeeze_excite

# Images up to this side get the CIFAR stem (paper, appendix B.9).
SMALL_IMAGE_SIZE = 32


class ResNet(keras.Model):
    """A functional model whose stages can be told apart.

    Attributes:
        parts: what `resnet` decided for all blocks, and a head on top may
            share: seed, dtype policy, batch normalisation.
        stages: five models in order: stem, group 1, ..., group 4.

    Call arguments:
        inputs: images float32[N, S, S, C] in [0, 1].
        training: True for batch statistics.

    Raises:
        TypeError: when called with images that are not floats.
    """

    parts: Parts

    def __call__(self, inputs, *args, **kwargs):
        require_float_images(inputs)
        return super().__call__(inputs, *args, **kwargs)

    @property
    def stages(self) -> list[keras.Model]:
        return [part for part in self.layers if isinstance(part, keras.Model)]


# AutoGraph would have nothing to convert, and takes seconds to find out.
@tf.autograph.experimental.do_not_convert
def resnet(
    *,
    depth: int,
    width: float = 1,
    image_size: int,
    sk_ratio: float = 0.0,
    se_ratio: float = 0.0,
    bn_momentum: float = 0.9,
    bn_groups: str = "global",
    dtype=None,
    seed: int = 0,
    num_channels: int = 3,
) -> ResNet:
    """The encoder network f(.): images to representations h.

    Args:
        depth: 18, 34 (basic blocks), 50, 101, 152, 200 (bottlenecks), or
            10, basic blocks [1, 1, 1, 1], ours for CPUs.
        width: multiplies every channel count; may be a fraction.
        image_size: side of the images in pixels. Up to 32, the stem is a
            3x3 convolution of stride 1 without a max pool.
        sk_ratio: above 0, selective kernels in the bottlenecks (the v2
            paper uses 0.0625) and the stem and shortcuts of ResNet-D.
        se_ratio: above 0, squeeze-and-excitation in every block.
        bn_momentum: weight of the past in BN's moving averages.
        bn_groups: which rows share BN statistics, as in `BatchNorm`.
        dtype: Keras dtype policy or its name; None for the global one.
        seed: of the initial weights, which depend on nothing else.
        num_channels: C of the images; 3 is RGB.

    Returns:
        A model from images float32[N, S, S, C] in [0, 1] to h float32[N, D],
        with D = 512 * width, four times that for bottlenecks.

    Raises:
        ValueError: if an argument is out of its range.
    """
    _check(depth, width, image_size, sk_ratio, se_ratio)
    block, block_counts = _BLOCKS[depth]
    parts = Parts(
        seed=seed,
        dtype=_policy(dtype),
        bn_momentum=bn_momentum,
        bn_groups=bn_groups,
    )
    block = functools.partial(
        block, sk_ratio=sk_ratio, se_ratio=se_ratio, parts=parts
    )
    stem = functools.partial(
        _stem,
        width=width,
        small=image_size <= SMALL_IMAGE_SIZE,
        resnet_d=sk_ratio > 0,
        parts=parts,
    )
    images = keras.Input([image_size, image_size, num_channels], name="images")
    x = _stage("stem", images, stem)
    for i, num_blocks in enumerate(block_counts):
        group = functools.partial(
            _group,
            block=block,
            num_blocks=num_blocks,
            filters=_scaled(64 * 2**i, width),
            strides=1 if i == 0 else 2,
            name=f"group{i + 1}",
        )
        x = _stage(f"group{i + 1}", x, group)
    h = keras.layers.GlobalAveragePooling2D(dtype="float32", name="pool")(x)
    encoder = ResNet(inputs=images, outputs=h, name="encoder")
    encoder.parts = parts
    return encoder


def freeze_after_block(encoder: ResNet, block: int) -> None:
    """Freezes the encoder up to and with a group; what follows learns.

    Frozen layers keep their weights and their BN statistics bit for bit,
    also when called with training=True.

    Args:
        encoder: as `resnet` made it.
        block: -1 freezes nothing, 0 the stem, b up to group b, 4 all.

    Raises:
        ValueError: if `block` is not in -1..4.
    """
    if block not in range(-1, len(encoder.stages)):
        raise ValueError(
            "block must be -1 (train all), 0 (freeze the stem), 1, 2, 3 or 4 "
            f"(freeze the encoder); received {block}."
        )
    for stage in encoder.stages[: block + 1]:
        stage.trainable = False


def _stage(name, x, body):
    """Applies `body` to x as a model of its own, named `name`."""
    inputs = keras.Input(x.shape[1:], dtype=x.dtype, name=f"{name}_input")
    return keras.Model(inputs, body(inputs), name=name)(x)


def _stem(x, *, width, small, resnet_d, parts):
    filters = _scaled(64, width)
    if small:
        x = parts.conv(x, filters, 3, name="stem_conv")
        return parts.norm(x, name="stem_norm")
    if resnet_d:
        half = _scaled(32, width)
        x = parts.conv(x, half, 3, 2, name="stem_conv1")
        x = parts.norm(x, name="stem_norm1")
        x = parts.conv(x, half, 3, name="stem_conv2")
        x = parts.norm(x, name="stem_norm2")
        x = parts.conv(x, filters, 3, name="stem_conv3")
        x = parts.norm(x, name="stem_norm3")
    else:
        x = parts.conv(x, filters, 7, 2, name="stem_conv")
        x = parts.norm(x, name="stem_norm")
    return keras.layers.MaxPool2D(
        3, 2, padding="same", dtype=parts.dtype, name="stem_pool"
    )(x)


def _group(x, *, block, num_blocks, filters, strides, name):
    # Ref: the first block of every group projects its shortcut, also that of
    # group 1 of ResNet-18 and 34, whose shapes already match.
    x = block(x, filters, strides, project=True, name=f"{name}_block0")
    for j in range(1, num_blocks):
        x = block(x, filters, 1, project=False, name=f"{name}_block{j}")
    return x


def _basic_block(
    x, filters, strides, *, project, sk_ratio, se_ratio, parts, name
):
    shortcut = x
    if project:
        shortcut = _shortcut(x, filters, strides, sk_ratio > 0, parts, name)
    x = parts.conv(x, filters, 3, strides, name=f"{name}_conv1")
    x = parts.norm(x, name=f"{name}_norm1")
    x = parts.conv(x, filters, 3, name=f"{name}_conv2")
    # Ref: with gamma 0 in its last BN, a residual branch starts silent.
    x = parts.norm(x, name=f"{name}_norm2", relu=False, zero_gamma=True)
    return _merge(x, shortcut, filters, se_ratio, parts, name)


def _bottleneck_block(
    x, filters, strides, *, project, sk_ratio, se_ratio, parts, name
):
    shortcut = x
    if project:
        shortcut = _shortcut(x, 4 * filters, strides, sk_ratio > 0, parts, name)
    x = parts.conv(x, filters, 1, name=f"{name}_conv1")
    x = parts.norm(x, name=f"{name}_norm1")
    if sk_ratio > 0:
        x = selective_kernel(
            x,
            filters,
            strides,
            sk_ratio=sk_ratio,
            parts=parts,
            name=f"{name}_sk",
        )
    else:
        # Ref: the stride is on the 3x3 convolution, not on the first 1x1.
        x = parts.conv(x, filters, 3, strides, name=f"{name}_conv2")
        x = parts.norm(x, name=f"{name}_norm2")
    x = parts.conv(x, 4 * filters, 1, name=f"{name}_conv3")
    x = parts.norm(x, name=f"{name}_norm3", relu=False, zero_gamma=True)
    return _merge(x, shortcut, filters, se_ratio, parts, name)


def _shortcut(x, filters, strides, resnet_d, parts, name):
    """Projection shortcut; ResNet-D's (arXiv:1812.01187) pools first."""
    name = f"{name}_shortcut"
    if resnet_d:
        if strides > 1:
            x = keras.layers.ZeroPadding2D(
                ((0, 1), (0, 1)), dtype=parts.dtype, name=f"{name}_pad"
            )(x)
        x = keras.layers.AveragePooling2D(
            2,
            strides,
            padding="same" if strides == 1 else "valid",
            dtype=parts.dtype,
            name=f"{name}_pool",
        )(x)
        strides = 1
    x = parts.conv(x, filters, 1, strides, name=f"{name}_conv")
    return parts.norm(x, name=f"{name}_norm", relu=False)


def _merge(x, shortcut, filters, se_ratio, parts, name):
    if se_ratio > 0:
        x = squeeze_excite(
            x, filters, se_ratio=se_ratio, parts=parts, name=f"{name}_se"
        )
    x = keras.layers.Add(dtype=parts.dtype, name=f"{name}_add")([x, shortcut])
    return keras.layers.ReLU(dtype=parts.dtype, name=f"{name}_relu")(x)


_BLOCKS = {
    10: (_basic_block, (1, 1, 1, 1)),
    18: (_basic_block, (2, 2, 2, 2)),
    34: (_basic_block, (3, 4, 6, 3)),
    50: (_bottleneck_block, (3, 4, 6, 3)),
    101: (_bottleneck_block, (3, 4, 23, 3)),
    152: (_bottleneck_block, (3, 8, 36, 3)),
    200: (_bottleneck_block, (3, 24, 36, 3)),
}


def _scaled(channels, width):
    return max(1, round(channels * width))


def _policy(dtype):
    if dtype is None:
        return keras.mixed_precision.global_policy()
    if isinstance(dtype, keras.mixed_precision.Policy):
        return dtype
    return keras.mixed_precision.Policy(dtype)


def _check(depth, width, image_size, sk_ratio, se_ratio):
    if depth not in _BLOCKS:
        raise ValueError(
            f"depth must be one of {sorted(_BLOCKS)}; received {depth}."
        )
    if not 0 < width < float("inf"):
        raise ValueError(f"width must be a number above 0; received {width}.")
    if image_size < 1 or image_size != int(image_size):
        raise ValueError(
            "image_size must be a whole number of pixels, 1 or more; "
            f"received {image_size}."
        )
    for name, ratio in (("sk_ratio", sk_ratio), ("se_ratio", se_ratio)):
        if not 0 <= ratio <= 1:
            raise ValueError(
                f"{name} must lie in [0, 1], 0 for none; received {ratio}."
            )
