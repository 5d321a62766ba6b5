"""The projection head g(.) and the linear classifier on top of features.

Ref: tf2/model.py. The official code normalises after every dense layer of
g(.), its output included; the paper doesn't mention it.
"""

import tensorflow as tf
import tf_keras as keras

from simclr_tf.models import initializers
from simclr_tf.models.batch_norm import BatchNorm

MODES = ("none", "linear", "nonlinear")


class ProjectionHead(keras.layers.Layer):
    """Projection head g(.): representations h to projections z.

    z = W2 relu(W1 h) (paper, section 2.1) with a BN after every W. Dense
    layers have no bias: the hidden BNs have a beta, the last one only a
    gamma. Hidden layers are as wide as h.

    z is float32 under every dtype policy: the last BN computes in float32 and
    its output is not rounded, because NT-Xent divides it by the temperature.

    Args:
        mode: "nonlinear" as above; "linear" for one dense layer and its BN;
            "none" for z = h.
        out_dim: d, the size of z; unused when mode is "none".
        num_layers: dense layers of the nonlinear head (v1: 2, v2: 3).
        bn_momentum: weight of the past in BN's moving averages.
        bn_groups: which rows share BN statistics, as in `BatchNorm`.
        seed: of the initial weights.

    Call arguments:
        inputs: h, float[N, D].
        training: as for `BatchNorm`.

        The result is always the list [h, output of layer 1, ..., z], one
        longer than the number of layers. h has the dtype it came in, the
        hidden layers' outputs have the compute dtype, z is float32 (where
        mode is "none", z is h).

    Raises:
        ValueError: if `mode`, `out_dim` or `num_layers` is out of range.
    """

    def __init__(
        self,
        mode: str = "nonlinear",
        out_dim: int = 128,
        num_layers: int = 2,
        bn_momentum: float = 0.9,
        bn_groups: str = "global",
        seed: int = 0,
        name: str = "projection_head",
        **kwargs,
    ):
        # h must reach the list as it came: the dense layers cast for
        # themselves.
        super().__init__(name=name, autocast=False, **kwargs)
        _check(mode, out_dim, num_layers)
        self.mode = mode
        self.out_dim = out_dim
        self.num_layers = num_layers
        self.bn_momentum = bn_momentum
        self.bn_groups = bn_groups
        self.seed = seed

    @property
    def depth(self) -> int:
        """Number of dense layers; `call` returns one tensor more."""
        return {"none": 0, "linear": 1, "nonlinear": self.num_layers}[self.mode]

    def build(self, input_shape):
        widths = [input_shape[-1]] * (self.depth - 1) + [self.out_dim]
        self._dense, self._norm = [], []
        for j in range(1, self.depth + 1):
            self._dense.append(self._make_dense(j, widths[j - 1]))
            self._norm.append(self._make_norm(j))
        super().build(input_shape)

    def call(self, inputs, training=None):
        hiddens = [inputs]
        pairs = zip(self._dense, self._norm, strict=True)
        for j, (dense, norm) in enumerate(pairs, 1):
            x = norm(dense(hiddens[-1]), training=training)
            hiddens.append(x if j == self.depth else tf.nn.relu(x))
        return hiddens

    def layer(self, index: int) -> tuple[keras.layers.Dense, BatchNorm]:
        """Layer `index`, from 1, as its parts."""
        return self._dense[index - 1], self._norm[index - 1]

    def layers_after(self, index: int) -> list[keras.layers.Layer]:
        """The layers that hidden `index` (0 is h, -1 is z) doesn't need."""
        index %= self.depth + 1
        return self._dense[index:] + self._norm[index:]

    def get_config(self):
        config = super().get_config()
        config.update(
            mode=self.mode,
            out_dim=self.out_dim,
            num_layers=self.num_layers,
            bn_momentum=self.bn_momentum,
            bn_groups=self.bn_groups,
            seed=self.seed,
        )
        return config

    def _make_dense(self, j, units):
        return keras.layers.Dense(
            units,
            use_bias=False,
            kernel_initializer=initializers.dense_kernel(
                self.seed, f"{self.name}/dense{j}"
            ),
            dtype=self.dtype_policy,
            name=f"dense{j}",
        )

    def _make_norm(self, j):
        return BatchNorm(
            momentum=self.bn_momentum,
            center=j < self.depth,
            groups=self.bn_groups,
            dtype="float32" if j == self.depth else self.dtype_policy,
            name=f"norm{j}",
        )


class LinearHead(keras.layers.Layer):
    """Linear classifier on a feature vector: logits = W x + b, in float32.

    Args:
        num_classes: K.
        seed: of W, drawn from N(0, 0.01^2); b starts at 0.
        zero_init: whether W starts at 0 too.

    Call arguments:
        inputs: float[N, D]; the result is float32[N, K].

    Raises:
        ValueError: if `num_classes` is not at least 1.
    """

    def __init__(
        self,
        num_classes: int,
        seed: int = 0,
        zero_init: bool = False,
        name: str = "linear_head",
        **kwargs,
    ):
        kwargs["dtype"] = "float32"
        super().__init__(name=name, **kwargs)
        if num_classes < 1:
            raise ValueError(
                f"num_classes must be 1 or more; received {num_classes}."
            )
        self.num_classes = num_classes
        self.seed = seed
        self.zero_init = zero_init

    def build(self, input_shape):
        self.kernel = self.add_weight(
            name="kernel",
            shape=[input_shape[-1], self.num_classes],
            initializer="zeros"
            if self.zero_init
            else initializers.dense_kernel(self.seed, self.name),
        )
        self.bias = self.add_weight(
            name="bias", shape=[self.num_classes], initializer="zeros"
        )
        super().build(input_shape)

    def call(self, inputs):
        return tf.matmul(inputs, self.kernel) + self.bias

    def get_config(self):
        config = super().get_config()
        config.update(
            num_classes=self.num_classes,
            seed=self.seed,
            zero_init=self.zero_init,
        )
        return config


def _check(mode, out_dim, num_layers):
    if mode not in MODES:
        raise ValueError(
            f"mode must be one of {', '.join(MODES)}; received {mode!r}."
        )
    if out_dim < 1:
        raise ValueError(f"out_dim must be 1 or more; received {out_dim}.")
    if num_layers < 1:
        raise ValueError(
            f"num_layers must be 1 or more; received {num_layers} (for no "
            "projection head, mode='none')."
        )
