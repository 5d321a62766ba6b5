"""What the encoder's blocks are made of: one convolution, one normalisation.

Decided once per encoder, so that `resnet.py` and `selective_kernel.py` say
only how blocks are put together.
"""

import dataclasses

import tf_keras as keras

from simclr_tf.models import initializers
from simclr_tf.models.batch_norm import BatchNorm


@dataclasses.dataclass(frozen=True)
class Parts:
    """The choices that every block of an encoder shares.

    Attributes:
        seed: of the initial weights.
        dtype: Keras dtype policy of every layer.
        bn_momentum: weight of the past in BN's moving averages.
        bn_groups: which rows share BN statistics, as in `BatchNorm`.
    """

    seed: int
    dtype: keras.mixed_precision.Policy
    bn_momentum: float
    bn_groups: str

    def conv(self, x, filters, kernel_size, strides=1, *, name):
        """Convolution without bias: [N, H, W, C] to [N, H', W', filters]."""
        if strides > 1 and kernel_size > 1:
            # Ref: padding that doesn't depend on the image's size, unlike
            # "same": a kernel of 3 gets one row and column on either side.
            before = (kernel_size - 1) // 2
            after = kernel_size - 1 - before
            x = keras.layers.ZeroPadding2D(
                ((before, after), (before, after)),
                dtype=self.dtype,
                name=f"{name}_pad",
            )(x)
        elif strides > 1:
            # The same numbers. TensorFlow 2.20 with oneDNN writes outside its
            # memory in the gradient of a 1x1 kernel that strides over an odd
            # number of images.
            x, strides = x[:, ::strides, ::strides], 1
        return keras.layers.Conv2D(
            filters,
            kernel_size,
            strides,
            padding="same" if strides == 1 else "valid",
            use_bias=False,
            kernel_initializer=initializers.conv_kernel(self.seed, name),
            dtype=self.dtype,
            name=name,
        )(x)

    def norm(self, x, *, name, relu=True, zero_gamma=False):
        """Batch normalisation, then ReLU unless told otherwise."""
        x = BatchNorm(
            momentum=self.bn_momentum,
            gamma_initializer="zeros" if zero_gamma else "ones",
            groups=self.bn_groups,
            dtype=self.dtype,
            name=name,
        )(x)
        if relu:
            x = keras.layers.ReLU(dtype=self.dtype, name=f"{name}_relu")(x)
        return x

    def gate_conv(self, x, filters, activation, *, name):
        """1x1 convolution with bias and activation, for channel gates."""
        return keras.layers.Conv2D(
            filters,
            kernel_size=1,
            activation=activation,
            kernel_initializer=initializers.conv_kernel(self.seed, name),
            dtype=self.dtype,
            name=name,
        )(x)

    def pool(self, x, *, name):
        """float32[N, 1, 1, C], the mean over positions."""
        return keras.layers.GlobalAveragePooling2D(
            keepdims=True, dtype="float32", name=name
        )(x)
