"""run.py with a fault in it: python tests/planted.py FAULT FLAGS...

For showing that the tests of replicas, and the self-check, would see it.
`blind` before the fault's name turns the self-check off.
"""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))

import run  # noqa: I001  before TensorFlow
import tensorflow as tf
import tf_keras as keras

from simclr_tf import distributed
from simclr_tf.train import self_check, step

_apply = step.apply_gradients
_gather = distributed.all_gather_rows


def _on_replicas(change):
    """change(gradient) of each replica's, on several replicas only."""

    def apply(optimizer, gradients, variables):
        if distributed.num_replicas() > 1:
            gradients = [change(gradient) for gradient in gradients]
        _apply(optimizer, gradients, variables)

    step.apply_gradients = apply


def _scaled():
    """A mean over replicas where a sum belongs."""
    _on_replicas(lambda g: g / distributed.num_replicas())


def _negated():
    _on_replicas(lambda g: -g)


def _lost():
    """The last replica's gradient does not arrive."""

    def change(gradient):
        last = distributed.num_replicas() - 1
        return gradient * tf.cast(
            distributed.replica_index() != last, "float32"
        )

    _on_replicas(change)


def _unsummed():
    """Every replica moves by its own gradient alone."""

    def apply(optimizer, gradients, variables):
        if distributed.num_replicas() == 1:
            _apply(optimizer, gradients, variables)
            return
        optimizer.apply_gradients(
            zip(gradients, variables, strict=True),
            skip_gradients_aggregation=True,
        )

    step.apply_gradients = apply


def _lost_rows():
    """The last replica's rows do not arrive."""

    def gather(rows):
        everyone = _gather(rows)
        if distributed.num_replicas() == 1:
            return everyone
        kept = tf.shape(everyone)[0] - tf.shape(rows)[0]
        return tf.concat([everyone[:kept], tf.zeros_like(rows)], axis=0)

    distributed.all_gather_rows = gather


def _smooth():
    """No fault: softplus for ReLU, which has no kink to round over."""
    tf.nn.relu = tf.nn.softplus
    keras.layers.ReLU.call = lambda self, inputs: tf.nn.softplus(inputs)


FAULTS = {
    "smooth": _smooth,
    "scaled": _scaled,
    "negated": _negated,
    "lost": _lost,
    "unsummed": _unsummed,
    "lost_rows": _lost_rows,
}

if __name__ == "__main__":
    arguments = sys.argv[1:]
    if arguments[0] == "blind":
        self_check.check = lambda *args, **kwargs: None
        arguments = arguments[1:]
    FAULTS[arguments[0]]()
    sys.exit(run.main(["run.py", *arguments[1:]]))
