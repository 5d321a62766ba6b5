"""Batch normalisation whose statistics can span every replica.

Why a layer of our own: tf_keras keeps the unbiased variance in its moving
average when fused and the biased one when synchronised, so one replica and
four would not end at the same weights; and its synchronised layer finds the
replicas by itself, where everything of ours that crosses replicas goes
through `simclr_tf.distributed`.

Paper: statistics are aggregated over all devices ("global BN", section 2.2),
so that no replica can tell its own positive pairs by their statistics.
"""

import contextlib
import threading

import tensorflow as tf
import tf_keras as keras

from simclr_tf import distributed

GROUPS = ("global", "replica")

# Under MirroredStrategy every replica is traced in a thread of its own.
_deferring = threading.local()


@contextlib.contextmanager
def deferred_updates():
    """Within it, moving averages stay, and the caller moves them later.

    For a batch that goes through the model in parts, each part a group with
    statistics of its own: the averages follow their mean, once, by
    `BatchNorm.follow`.

    Yields:
        A list, to which every layer that is called in training adds
        (layer, mean float32[C], variance float32[C]).
    """
    outer = getattr(_deferring, "moments", None)
    _deferring.moments = moments = []
    try:
        yield moments
    finally:
        _deferring.moments = outer


class BatchNorm(keras.layers.Layer):
    """y = gamma * (x - mean) / sqrt(variance + epsilon) + beta, per channel.

    In training, mean and (biased) variance are those of the rows of a group,
    and the moving averages follow: moving = momentum * moving +
    (1 - momentum) * batch. In inference, and whenever `trainable` is False,
    the moving averages stand in for them and nothing changes.

    Variables, statistics and their arithmetic are float32 under every dtype
    policy; only inputs and outputs have the compute dtype.

    Args:
        momentum: weight of the past in the moving averages, in [0, 1].
        epsilon: added to the variance.
        center: whether there is a beta, which starts at 0.
        scale: whether there is a gamma.
        gamma_initializer: Keras initializer of gamma.
        groups: which rows share statistics: "global" (those of all
            replicas) or "replica" (this replica's only; the moving averages
            then follow the replicas' mean, so they agree everywhere).

    Call arguments:
        inputs: float[N, ..., C].
        training: True for batch statistics; None and False for moving ones.

    Raises:
        ValueError: if `groups` or `momentum` is out of range.
    """

    def __init__(
        self,
        momentum: float = 0.9,
        epsilon: float = 1e-5,
        center: bool = True,
        scale: bool = True,
        gamma_initializer="ones",
        groups: str = "global",
        **kwargs,
    ):
        super().__init__(**kwargs)
        if groups not in GROUPS:
            raise ValueError(
                f"groups must be one of {', '.join(GROUPS)}; received "
                f"{groups!r}."
            )
        if not 0.0 <= momentum <= 1.0:
            raise ValueError(
                f"momentum must lie in [0, 1]; received {momentum}."
            )
        self.momentum = momentum
        self.epsilon = epsilon
        self.center = center
        self.scale = scale
        self.gamma_initializer = keras.initializers.get(gamma_initializer)
        self.groups = groups

    def build(self, input_shape):
        channels = input_shape[-1]
        self.gamma = self.beta = None
        if self.scale:
            self.gamma = self._add_vector(
                "gamma", channels, self.gamma_initializer
            )
        if self.center:
            self.beta = self._add_vector("beta", channels, "zeros")
        self.moving_mean = self._add_moving("moving_mean", channels, "zeros")
        self.moving_variance = self._add_moving(
            "moving_variance", channels, "ones"
        )
        super().build(input_shape)

    def call(self, inputs, training=None):
        training = bool(training) and self.trainable
        # TF's fused kernel is the fastest on every device. It takes images
        # only, and computes statistics from this replica's rows only.
        own_rows = self.groups == "replica" or distributed.num_replicas() == 1
        if inputs.shape.rank == 4 and (own_rows or not training):
            outputs, mean, variance = self._fused(inputs, training)
        elif training:
            mean, variance = self._batch_moments(inputs)
            outputs = self._normalize_by_own(inputs, mean, variance)
        else:
            outputs = self._normalize(
                inputs,
                self.moving_mean,
                self.moving_variance,
                *self._scale_and_offset(),
            )
        if training:
            deferred = getattr(_deferring, "moments", None)
            if deferred is None:
                self.follow(mean, variance)
            else:
                deferred.append((self, mean, variance))
        return outputs

    def follow(self, mean, variance):
        """Moves the moving averages towards the statistics of a group.

        Args:
            mean: float32[C], this replica's; likewise
            variance: the biased one.
        """
        if self.groups == "replica":
            mean, variance = tf.unstack(
                distributed.all_reduce_mean(tf.stack([mean, variance]))
            )
        for moving, batch in (
            (self.moving_mean, mean),
            (self.moving_variance, variance),
        ):
            moving.assign(
                self.momentum * moving + (1.0 - self.momentum) * batch
            )

    def get_config(self):
        return {
            **super().get_config(),
            "momentum": self.momentum,
            "epsilon": self.epsilon,
            "center": self.center,
            "scale": self.scale,
            "gamma_initializer": keras.initializers.serialize(
                self.gamma_initializer
            ),
            "groups": self.groups,
        }

    def _fused(self, inputs, training):
        """Outputs and the statistics they were made with, by TF's kernel."""
        empty = tf.zeros([0])
        gamma, beta = self._scale_and_offset()
        # The op itself, not tf.nn's wrapper: that one raises epsilon to
        # 1.001e-5, and then one replica and four would differ.
        outputs, mean, variance, *_ = tf.raw_ops.FusedBatchNormV3(
            x=inputs,
            scale=gamma,
            offset=beta,
            mean=empty if training else self.moving_mean,
            variance=empty if training else self.moving_variance,
            epsilon=self.epsilon,
            is_training=training,
        )
        if training:
            # The kernel normalises with the biased variance and returns the
            # unbiased one.
            rows = tf.cast(tf.reduce_prod(tf.shape(inputs)[:-1]), tf.float32)
            variance *= (rows - 1.0) / rows
        return outputs, mean, variance

    def _batch_moments(self, inputs):
        """float32[C] mean and biased variance of the group's rows.

        One pass and one collective, of x - shift rather than x: the result
        is the same whatever the shift, but E[x^2] - E[x]^2 loses
        log2(E[x]^2 / variance) bits of a float32.
        """
        x = tf.cast(inputs, tf.float32)
        axes = list(range(x.shape.rank - 1))
        if x.shape.rank == 2:
            # Features of an untrained encoder hardly differ between images,
            # and here a second pass over them costs nothing.
            shift = self._mean_of_group(tf.reduce_mean(x, axes))
        else:
            shift = tf.convert_to_tensor(self.moving_mean)
        x -= shift
        mean, square = tf.unstack(
            self._mean_of_group(
                tf.stack([tf.reduce_mean(x, axes), tf.reduce_mean(x * x, axes)])
            )
        )
        variance = tf.maximum(square - mean * mean, 0.0)
        return shift + mean, variance

    def _mean_of_group(self, value):
        """The mean over the replicas whose rows share statistics."""
        if self.groups == "replica":
            return value
        return distributed.all_reduce_mean(value)

    def _normalize_by_own(self, inputs, mean, variance):
        """`_normalize` by the moments of the group's own rows.

        The gradient is written out, z = (x - mean) / sigma, means over the
        group: dx = gamma / sigma * (dy - E[dy] - z * E[dy * z]). What
        differentiating `_batch_moments` makes for v6e overflows the stack of
        libtpu 0.0.42.1, with and without a sum over replicas.
        """
        mean, variance = tf.stop_gradient(mean), tf.stop_gradient(variance)
        axes = list(range(inputs.shape.rank - 1))

        @tf.custom_gradient
        def normalize(inputs, gamma, beta):
            def gradient(dy):
                dy = tf.cast(dy, tf.float32)
                factor = tf.math.rsqrt(variance + self.epsilon)
                z = (tf.cast(inputs, tf.float32) - mean) * factor
                sums = [tf.reduce_sum(dy, axes), tf.reduce_sum(dy * z, axes)]
                rows = tf.reduce_prod(tf.shape(inputs)[:-1])
                dy_mean, dy_z_mean = tf.unstack(
                    self._mean_of_group(
                        tf.stack(sums) / tf.cast(rows, tf.float32)
                    )
                )
                dx = gamma * factor * (dy - dy_mean - z * dy_z_mean)
                # Of gamma and beta, each replica has the part of its rows.
                return tf.cast(dx, inputs.dtype), sums[1], sums[0]

            y = self._normalize(inputs, mean, variance, gamma, beta)
            return y, gradient

        return normalize(inputs, *self._scale_and_offset())

    def _normalize(self, inputs, mean, variance, gamma, beta):
        factor = gamma * tf.math.rsqrt(variance + self.epsilon)
        outputs = (tf.cast(inputs, tf.float32) - mean) * factor + beta
        return tf.cast(outputs, inputs.dtype)

    def _scale_and_offset(self):
        """float32[C] gamma and beta; 1 and 0 where the layer has none."""
        channels = self.moving_mean.shape
        return (
            tf.ones(channels)
            if self.gamma is None
            else tf.convert_to_tensor(self.gamma),
            tf.zeros(channels)
            if self.beta is None
            else tf.convert_to_tensor(self.beta),
        )

    def _add_vector(self, name, channels, initializer):
        return self.add_weight(
            name=name,
            shape=[channels],
            dtype=tf.float32,
            initializer=initializer,
            experimental_autocast=False,
        )

    def _add_moving(self, name, channels, initializer):
        # Every replica computes the same update of its own copy, so any copy
        # will do when it is read from outside: no collective, and no
        # rounding as in (a + a + a) / 3, which would not resume exactly.
        return self.add_weight(
            name=name,
            shape=[channels],
            dtype=tf.float32,
            initializer=initializer,
            trainable=False,
            synchronization=tf.VariableSynchronization.ON_READ,
            aggregation=tf.VariableAggregation.ONLY_FIRST_REPLICA,
            experimental_autocast=False,
        )
