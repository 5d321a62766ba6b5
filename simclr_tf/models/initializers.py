"""Initial weights that are a function of (seed, layer name) alone.

Not of the order in which layers are made, nor of any global seed, so the same
seed gives the same network under every strategy, and adding a layer leaves
the others as they were.
"""

import zlib

import tf_keras as keras


def layer_seed(seed: int, name: str) -> int:
    """This layer's own seed, in [0, 2^31)."""
    return zlib.crc32(f"{seed}/{name}".encode()) % 2**31


def conv_kernel(seed: int, name: str) -> keras.initializers.Initializer:
    """Truncated normal of standard deviation 1 / sqrt(fan_in).

    Ref: tf2/resnet.py. Not He's sqrt(2 / fan_in).
    """
    return keras.initializers.VarianceScaling(
        scale=1.0,
        mode="fan_in",
        distribution="truncated_normal",
        seed=layer_seed(seed, name),
    )


def dense_kernel(seed: int, name: str) -> keras.initializers.Initializer:
    """N(0, 0.01^2), for every dense layer of the heads.

    Ref: tf2/model.py.
    """
    return keras.initializers.RandomNormal(
        stddev=0.01, seed=layer_seed(seed, name)
    )
