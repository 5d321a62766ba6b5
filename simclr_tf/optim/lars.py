"""LARS, the optimizer of the paper, on tf_keras's optimizer base."""

from collections.abc import Callable

import tensorflow as tf
import tf_keras as keras


def is_kernel(variable: tf.Variable) -> bool:
    """Whether a variable is a matrix or more, as biases and BN's are not."""
    return variable.shape.rank > 1


class Lars(keras.optimizers.Optimizer):
    """Layer-wise adaptive rate scaling (You et al. 2017, arXiv:1708.03888).

    For a weight w with gradient g, if `adapts(w)`:

        g <- g + weight_decay * w
        r <- eta * |w| / |g| if both norms are above 0, else 1
        v <- momentum * v + learning_rate * r * g
        w <- w - v

    and otherwise the same without the first line and with r = 1.

    Ref: the official code's recursion: classic momentum with the learning
    rate inside the velocity, no Nesterov, and |g| measured after the decay
    was added (the LARS paper adds the two norms).

    Args:
        learning_rate: a number or a Keras schedule of the step.
        momentum: weight of the past in the velocity.
        weight_decay: of the weights that adapt.
        eta: trust coefficient.
        adapts: which variables decay and adapt; the kernels by default.
            Asked once per variable, when the optimizer is built.
        name: of the optimizer.
    """

    def __init__(
        self,
        learning_rate: float | keras.optimizers.schedules.LearningRateSchedule,
        momentum: float = 0.9,
        weight_decay: float = 0.0,
        eta: float = 0.001,
        adapts: Callable[[tf.Variable], bool] = is_kernel,
        name: str = "Lars",
    ):
        # The base class has a weight_decay too, of AdamW's kind: not this.
        super().__init__(name=name, jit_compile=False)
        self._learning_rate = self._build_learning_rate(learning_rate)
        self.momentum = momentum
        self.l2_weight_decay = weight_decay
        self.eta = eta
        self.adapts = adapts

    def build(self, var_list):
        super().build(var_list)
        if getattr(self, "_built", False):
            return
        # By index: inside `update_step`, under a strategy, variables are the
        # replicas' own, which no identity check would recognise.
        self._adapts_by_index = tuple(bool(self.adapts(v)) for v in var_list)
        self.velocities = [
            self.add_variable_from_reference(v, "velocity") for v in var_list
        ]
        self._built = True

    def update_step(self, gradient, variable):
        index = self._index_dict[self._var_key(variable)]
        velocity = self.velocities[index]
        rate = tf.cast(self.learning_rate, variable.dtype)
        if self._adapts_by_index[index]:
            gradient += self.l2_weight_decay * variable
            rate = rate * self._trust_ratio(variable, gradient)
        # One kernel for the last two lines of the recursion.
        tf.raw_ops.ResourceApplyMomentum(
            var=variable.handle,
            accum=velocity.handle,
            lr=1.0,
            grad=rate * gradient,
            momentum=self.momentum,
        )

    def get_config(self):
        """Everything, the predicate itself included.

        A configuration without it would come back as an optimizer that
        decays what this one leaves alone. So `from_config` works, and JSON
        doesn't.
        """
        return {
            "name": self.name,
            "learning_rate": self._serialize_hyperparameter(
                self._learning_rate
            ),
            "momentum": self.momentum,
            "weight_decay": self.l2_weight_decay,
            "eta": self.eta,
            "adapts": self.adapts,
        }

    def _trust_ratio(self, variable, gradient):
        # l2_loss is half the squared norm, without a tensor of the squares.
        weight_norm = tf.sqrt(2.0 * tf.nn.l2_loss(variable))
        gradient_norm = tf.sqrt(2.0 * tf.nn.l2_loss(gradient))
        return tf.where(
            (weight_norm > 0) & (gradient_norm > 0),
            self.eta * tf.math.divide_no_nan(weight_norm, gradient_norm),
            1.0,
        )
