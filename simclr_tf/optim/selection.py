"""Which variables LARS adapts, and which decay, in LARS or in the loss.

A variable is chosen by its rank (kernels have rank 2 or more, biases and BN's
gamma and beta rank 1) and by identity (the supervised head), never by its
name: names change with the library's version.
"""

import functools
from collections.abc import Sequence

import tensorflow as tf
import tf_keras as keras

from simclr_tf.optim.lars import Lars, is_kernel

KINDS = ("lars", "momentum", "adam")


def adapts(variable: tf.Variable, excluded: Sequence[tf.Variable] = ()) -> bool:
    """Whether LARS decays and adapts a variable: kernels, less the excluded.

    Biases and BN's gamma and beta are vectors; kernels are not.

    Args:
        variable: a weight of the model.
        excluded: variables left out whatever their rank.
    """
    return is_kernel(variable) and not _among(variable, excluded)


def decayed_in_loss(
    variables: Sequence[tf.Variable],
    optimizer: str,
    head: Sequence[tf.Variable] = (),
) -> list[tf.Variable]:
    """The variables whose L2 term belongs in the loss.

    LARS decays what it adapts by itself, so there only the supervised head's
    kernel is left; momentum and Adam decay nothing, so every kernel is.

    Differs: for momentum and Adam the official code adds the biases too.

    Args:
        variables: the model's trainable variables.
        optimizer: "lars", "momentum" or "adam".
        head: those of the supervised head, which LARS leaves alone.

    Raises:
        ValueError: if there is no such optimizer.
    """
    _check_kind(optimizer, argument="optimizer")
    return [
        v
        for v in variables
        if is_kernel(v) and (optimizer != "lars" or _among(v, head))
    ]


def l2_loss(variables: Sequence[tf.Variable], weight_decay: float) -> tf.Tensor:
    """float32[], weight_decay * sum over variables of sum(v^2) / 2."""
    terms = [tf.nn.l2_loss(v) for v in variables]
    return weight_decay * tf.add_n(terms) if terms else tf.constant(0.0)


def make_optimizer(
    kind: str,
    learning_rate: float | keras.optimizers.schedules.LearningRateSchedule,
    momentum: float = 0.9,
    weight_decay: float = 0.0,
    head: Sequence[tf.Variable] = (),
) -> keras.optimizers.Optimizer:
    """LARS, SGD with Nesterov momentum, or Adam with its defaults.

    Args:
        kind: "lars", "momentum" or "adam".
        learning_rate: a number or a Keras schedule of the step.
        momentum: of LARS and SGD.
        weight_decay: of LARS; the others' goes into the loss, see
            `decayed_in_loss`.
        head: variables of the supervised head, which LARS treats like
            biases.

    Raises:
        ValueError: if there is no such kind.
    """
    _check_kind(kind, argument="kind")
    if kind == "momentum":
        return keras.optimizers.SGD(
            learning_rate, momentum, nesterov=True, jit_compile=False
        )
    if kind == "adam":
        return keras.optimizers.Adam(learning_rate, jit_compile=False)
    return Lars(
        learning_rate,
        momentum,
        weight_decay,
        adapts=functools.partial(adapts, excluded=tuple(head)),
    )


def _among(variable, others):
    # `in` would compare values.
    return any(variable is other for other in others)


def _check_kind(kind, *, argument):
    if kind not in KINDS:
        raise ValueError(
            f"{argument} must be one of {', '.join(KINDS)}; received {kind!r}."
        )
