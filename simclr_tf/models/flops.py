"""What a training step costs in arithmetic, from the layers' shapes."""

import math

import tf_keras as keras

from simclr_tf.models.simclr import SimClr


def training_flops_of_view(model: SimClr) -> int:
    """Floating point operations of one view: forward, and twice that back.

    Of the convolutions and dense layers of encoder and projection head,
    padding not counted; the rest is a few percent. No gradient goes to the
    images, and none through what is frozen. What is computed twice to save
    memory counts once: it is the model's arithmetic, not the device's.

    Args:
        model: as `build_simclr` makes it.

    Returns:
        A multiplication and an addition are two.
    """
    total = 0
    reads_images = next(
        layer
        for layer in model.encoder.stages[0].layers
        if isinstance(layer, keras.layers.Conv2D)
    )
    for layer in model.submodules:
        if isinstance(layer, keras.layers.Conv2D):
            multiplications = _of_convolution(layer)
        elif isinstance(layer, keras.layers.Dense):
            multiplications = math.prod(layer.kernel.shape)
        else:
            continue
        passes = 2 if layer is reads_images else 3
        total += 2 * multiplications * (passes if layer.trainable else 1)
    return total


def _of_convolution(layer: keras.layers.Conv2D) -> int:
    [kernel, _], [stride, _] = layer.kernel_size, layer.strides
    size = layer.input_shape[1]
    if stride > 1 and kernel > 1:
        size -= kernel - 1  # padded by a layer before it
    taps = _taps_inside(size, kernel, stride) ** 2
    return taps * math.prod(layer.kernel.shape[2:])


def _taps_inside(size: int, kernel: int, stride: int) -> int:
    """Pairs of output position and tap, along one axis, inside the image."""
    before = (kernel - 1) // 2
    return sum(
        0 <= o * stride + t - before < size
        for o in range(math.ceil(size / stride))
        for t in range(kernel)
    )
