"""Attention over channels: selective kernels and squeeze-and-excitation.

The two variants of SimCLRv2's encoders (Chen et al. 2020, arXiv:2006.10029),
kept apart so that `resnet.py` reads as the plain network that v1 needs.
"""

import tensorflow as tf
import tf_keras as keras

from simclr_tf.models.parts import Parts

_MIN_GATE_CHANNELS = 32


class SumStreams(keras.layers.Layer):
    """Sum of two streams that lie side by side in the channels.

    Call arguments:
        inputs: float[N, ..., 2F]; the result is float[N, ..., F].
    """

    def call(self, inputs):
        first, second = tf.split(inputs, 2, axis=-1)
        return first + second


class MixStreams(keras.layers.Layer):
    """Two streams weighted by a softmax over them, channel by channel.

    Call arguments:
        inputs: the streams float[N, H, W, 2F] side by side, and the gate's
            logits float[N, 1, 1, 2F]; the result is float[N, H, W, F].
    """

    def call(self, inputs):
        streams, logits = inputs
        first, second = tf.split(streams, 2, axis=-1)
        logit_first, logit_second = tf.split(
            tf.cast(logits, tf.float32), 2, axis=-1
        )
        # A softmax over two is the logistic function of their difference.
        margin = logit_first - logit_second
        return (
            tf.cast(tf.sigmoid(margin), streams.dtype) * first
            + tf.cast(tf.sigmoid(-margin), streams.dtype) * second
        )


def selective_kernel(
    x, filters: int, strides: int, *, sk_ratio: float, parts: Parts, name: str
):
    """Selective-kernel convolution (Li et al. 2019, arXiv:1903.06586).

    Both streams are 3x3: one convolution to 2F channels, batch-normalised
    and rectified, whose halves are mixed by a gate that saw both.
    Ref: tf2/resnet.py, SK_Conv2D.

    Args:
        x: float[N, H, W, C].
        filters: F, the channels of the result.
        strides: of the 3x3 convolution.
        sk_ratio: width of the gate's hidden layer, as a share of F.
        parts: the encoder's convolution and normalisation.
        name: prefix of the layers' names.

    Returns:
        float[N, H', W', F].
    """
    x = parts.conv(x, 2 * filters, 3, strides, name=f"{name}_conv")
    x = parts.norm(x, name=f"{name}_norm")
    # Summing after the pool is the same as before it, and far less to sum.
    gate = parts.pool(x, name=f"{name}_pool")
    gate = SumStreams(dtype=parts.dtype, name=f"{name}_sum")(gate)
    hidden = max(int(filters * sk_ratio), _MIN_GATE_CHANNELS)
    gate = parts.conv(gate, hidden, 1, name=f"{name}_gate_conv1")
    gate = parts.norm(gate, name=f"{name}_gate_norm")
    gate = parts.conv(gate, 2 * filters, 1, name=f"{name}_gate_conv2")
    return MixStreams(dtype=parts.dtype, name=f"{name}_mix")([x, gate])


def squeeze_excite(
    x, filters: int, *, se_ratio: float, parts: Parts, name: str
):
    """Squeeze-and-excitation (Hu et al. 2018, arXiv:1709.01507).

    Ref: tf2/resnet.py, SE_Layer: the hidden layer is a share of the block's
    width, which in a bottleneck is a quarter of x's channels.

    Args:
        x: float[N, H, W, C].
        filters: the block's width.
        se_ratio: width of the hidden layer, as a share of `filters`.
        parts: the encoder's convolution and normalisation.
        name: prefix of the layers' names.

    Returns:
        float[N, H, W, C]: x times a gate in (0, 1) per image and channel.
    """
    hidden = max(1, int(filters * se_ratio))
    gate = parts.pool(x, name=f"{name}_pool")
    gate = parts.gate_conv(gate, hidden, "relu", name=f"{name}_reduce")
    gate = parts.gate_conv(gate, x.shape[-1], "sigmoid", name=f"{name}_expand")
    return keras.layers.Multiply(dtype=parts.dtype, name=f"{name}_scale")(
        [x, gate]
    )
