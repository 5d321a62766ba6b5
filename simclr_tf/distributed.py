"""Everything that crosses replicas, and nothing else.

The only module that touches ``tf.distribute``'s replica context, so that the
losses and layers above read like one-device code. Outside a strategy, and on a
strategy of one replica, every function is the identity (R = 1).

Inside `one_of`, the functions write a stand-in program of one of R replicas
instead, for a compiler that knows no strategy.

Legend: N rows per replica, R replicas, d columns.
"""

import contextlib
import contextvars
import itertools
from collections.abc import Iterator
from typing import NamedTuple

import tensorflow as tf


class _Place(NamedTuple):
    replicas: int
    index: tf.Tensor
    keys: Iterator[int]  # of the collectives, in the order of the program


# One group of all replicas: any constant names it that no strategy uses.
_GROUP_KEY = 1597463007

_PLACE: contextvars.ContextVar[_Place | None] = contextvars.ContextVar(
    "place", default=None
)


@contextlib.contextmanager
def one_of(replicas: int, index: tf.Tensor) -> Iterator[None]:
    """What is traced inside is the program of replica `index` of R.

    A strategy needs its devices. This writes the same program without them:
    sums over replicas are collective operations of TensorFlow's with one
    constant group, which XLA lowers to its all-reduce, and rows are gathered
    from such a sum, as TPUStrategy does it.

    Args:
        replicas: R.
        index: int32[], the place r in 0..R-1, an input of the program.
    """
    token = _PLACE.set(_Place(replicas, index, itertools.count()))
    try:
        yield
    finally:
        _PLACE.reset(token)


def num_replicas() -> int:
    """R, the number of replicas that compute in step with the caller."""
    if place := _PLACE.get():
        return place.replicas
    context = tf.distribute.get_replica_context()
    return 1 if context is None else context.num_replicas_in_sync


def replica_index() -> tf.Tensor:
    """int32[], this replica's place r in 0..R-1."""
    if place := _PLACE.get():
        return place.index
    context = tf.distribute.get_replica_context()
    if context is None or context.num_replicas_in_sync == 1:
        return tf.constant(0, tf.int32)
    return tf.cast(context.replica_id_in_sync_group, tf.int32)


def all_gather_rows(rows: tf.Tensor) -> tf.Tensor:
    """Stacks the rows of all replicas, in replica order, on every replica.

    Differentiable: the gradient of replica r's rows is the sum over replicas
    of the gradients that arrived at them, which is what makes the summed
    gradient of the replicas' losses the gradient of the global loss.

    Args:
        rows: float[N, ...], the same shape on every replica.

    Returns:
        float[R*N, ...]; replica r's rows are [r*N, (r+1)*N).
    """
    if num_replicas() == 1:
        return rows
    if _PLACE.get():
        return _sum_of_rows_in_place(rows)
    context = tf.distribute.get_replica_context()
    # MultiWorkerMirroredStrategy asks where a tensor lies, and one that came
    # in from outside the replica lies nowhere.
    return context.all_gather(tf.identity(rows), axis=0)


def all_reduce_sum(value):
    """Sum over replicas of a tensor, or of each tensor of a structure.

    Differentiable: the gradient is the sum of the replicas' gradients.
    """
    if num_replicas() == 1:
        return value
    if _PLACE.get():
        return tf.nest.map_structure(_collective_sum, value)
    context = tf.distribute.get_replica_context()
    return context.all_reduce(tf.distribute.ReduceOp.SUM, value)


def all_reduce_mean(value):
    """Mean over replicas of a tensor, or of each tensor of a structure."""
    replicas = num_replicas()
    if replicas == 1:
        return value
    return tf.nest.map_structure(
        lambda total: total / replicas, all_reduce_sum(value)
    )


def _sum_of_rows_in_place(rows: tf.Tensor) -> tf.Tensor:
    """Each replica's rows stand at its place among zeros; then the sum."""
    place = tf.one_hot(replica_index(), num_replicas(), dtype=rows.dtype)
    shape = [num_replicas()] + [1] * rows.shape.rank
    spread = tf.reshape(place, shape) * rows[None]
    everyone = _collective_sum(spread)
    return tf.reshape(everyone, [-1, *rows.shape[1:]])


@tf.custom_gradient
def _collective_sum(value: tf.Tensor):
    """Sum over the replicas of `one_of`; its gradient is the same sum."""
    total = tf.raw_ops.CollectiveReduceV2(
        input=value,
        group_size=num_replicas(),
        group_key=_GROUP_KEY,
        instance_key=next(_PLACE.get().keys),
        ordering_token=[],
        merge_op="Add",
        final_op="Id",
    )
    return total, _collective_sum
