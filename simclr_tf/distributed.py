"""Everything that crosses replicas, and nothing else.

The only module that touches ``tf.distribute``'s replica context, so that the
losses and layers above read like one-device code. Outside a strategy, and on a
strategy of one replica, every function is the identity (R = 1).

Legend: N rows per replica, R replicas, d columns.
"""

import tensorflow as tf


def num_replicas() -> int:
    """R, the number of replicas that compute in step with the caller."""
    context = tf.distribute.get_replica_context()
    return 1 if context is None else context.num_replicas_in_sync


def replica_index() -> tf.Tensor:
    """int32[], this replica's place r in 0..R-1."""
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
    context = tf.distribute.get_replica_context()
    return context.all_gather(rows, axis=0)


def all_reduce_sum(value):
    """Sum over replicas of a tensor, or of each tensor of a structure.

    Differentiable: the gradient is the sum of the replicas' gradients.
    """
    if num_replicas() == 1:
        return value
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
