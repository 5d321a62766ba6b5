"""FLOPs against multiplications that are counted one by one."""

import pytest
import tensorflow as tf
import tf_keras as keras

from simclr_tf.models import build_simclr, resnet
from simclr_tf.models.flops import training_flops_of_view


def counted(model):
    """Multiplications of a forward pass: sums of products of ones."""
    total, stem = 0.0, None
    sizes = {}

    def count(layer, shape):
        nonlocal total, stem
        ones = tf.ones([1, *shape])
        if isinstance(layer, keras.layers.ZeroPadding2D):
            sizes[layer.name] = layer(ones)
        elif isinstance(layer, keras.layers.Conv2D):
            inputs = sizes.get(f"{layer.name}_pad", ones)
            products = tf.nn.conv2d(
                inputs,
                tf.ones_like(layer.kernel),
                layer.strides,
                layer.padding.upper(),
            )
            stem = stem or float(tf.reduce_sum(products))
            total += float(tf.reduce_sum(products))
        elif isinstance(layer, keras.layers.Dense):
            total += float(tf.size(layer.kernel))

    for stage in model.encoder.stages:
        for layer in stage.layers:
            shape = layer.input_shape
            count(layer, shape[1:] if isinstance(shape, tuple) else ())
    for layer in model.projection_head.submodules:
        count(layer, ())
    return total, stem


@pytest.mark.parametrize(
    ("depth", "image_size"), [(18, 32), (18, 64), (50, 64)]
)
def test_forward_and_twice_that_back(depth, image_size):
    encoder = resnet(depth=depth, width=0.25, image_size=image_size)
    model = build_simclr(encoder)
    forward, stem = counted(model)
    expected = 2 * (3 * forward - stem)  # no gradient to the images
    assert training_flops_of_view(model) == pytest.approx(expected, rel=1e-6)


def test_what_is_frozen_costs_a_forward_pass():
    model = build_simclr(resnet(depth=10, width=0.25, image_size=32))
    model.encoder.trainable = False
    model.projection_head.trainable = False
    forward, _ = counted(model)
    assert training_flops_of_view(model) == pytest.approx(2 * forward)
