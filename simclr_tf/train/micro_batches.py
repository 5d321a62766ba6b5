"""A large batch on a small device: NT-Xent's gradient, micro-batch by one.

The loss of a batch needs all its projections at once, but not what the
encoder had in memory when it made them (gradient caching, Gao et al. 2021,
arXiv:2101.06983, section 3.2).
"""

import tensorflow as tf

from simclr_tf.errors import UserError
from simclr_tf.models import batch_norm
from simclr_tf.train.pretrain import PretrainTrainer


class MicroBatchTrainer(PretrainTrainer):
    """Pretraining whose memory is that of a micro-batch.

        for each micro-batch:  z = model(views)          keep z, nothing else
        loss(all z) and its gradient with respect to z   collectives are here
        for each micro-batch:  z = model(views), again;
                               gradients += that of z, pulled back
        BN's averages follow the micro-batches' mean; update

    Exact: the step of as many replicas as there are micro-batches, with BN
    over each replica's own batch. The views are made again from the same
    bytes and parameters, not drawn again.

    Args:
        micro_batch_size: M, examples; divides N. Both views of an example are
            in one micro-batch: 2M images go through the model at once.
        pretrain: of `PretrainTrainer`; the model's BN has groups "replica".
    """

    def __init__(self, *, micro_batch_size: int, **pretrain):
        super().__init__(**pretrain)
        self._micro_batch_size = micro_batch_size

    def gradients(self, batch):
        batches = {name: self._cut(value) for name, value in batch.items()}
        outputs = self._encode_all(batches)
        variables = self._model.trainable_variables
        with tf.GradientTape() as tape:
            tape.watch(outputs)
            projections, *logits = (_views_apart(o) for o in outputs)
            scalars, total = self.objective(
                projections, logits[0] if logits else None, batch["label"]
            )
            scaled = total * self._loss_scale
        upstream, gradients = tape.gradient(
            scaled,
            [outputs, variables],
            # L2 terms are the only ones that need no micro-batch.
            unconnected_gradients=tf.UnconnectedGradients.ZERO,
        )
        return scalars, total, self._pull_back(batches, upstream, gradients)

    def _encode_all(self, batches):
        """Projections [K, 2M, d] and, with a probe, logits [K, 2M, classes]."""
        model, count = self._model, _count(batches)
        kept = [
            tf.TensorArray(tf.float32, count)
            for _ in range(1 if model.linear_head is None else 2)
        ]

        def encode(k, *kept):
            # Sliced here and not by tf.map_fn, which would copy the batch.
            batch = tf.nest.map_structure(lambda x: x[k], batches)
            with batch_norm.deferred_updates():
                outputs = _present(self.encode(batch))
            pairs = zip(kept, outputs, strict=True)
            return k + 1, *(array.write(k, values) for array, values in pairs)

        _, *kept = tf.while_loop(
            lambda k, *_: k < count,
            encode,
            (0, *kept),
            parallel_iterations=1,  # one micro-batch in memory
        )
        return [array.stack() for array in kept]

    def _pull_back(self, batches, upstream, gradients):
        """Adds to the gradients what comes through the model; moves BN."""
        layers = [
            layer
            for layer in self._model.submodules
            if isinstance(layer, batch_norm.BatchNorm) and layer.trainable
        ]
        sizes = [2 * layer.moving_mean.shape[0] for layer in layers]
        variables = self._model.trainable_variables

        def pull(k, gradients, moments):
            batch, up = tf.nest.map_structure(
                lambda x: x[k], (batches, upstream)
            )
            with (
                tf.GradientTape() as tape,
                batch_norm.deferred_updates() as seen,
            ):
                outputs = _present(self.encode(batch))
            more = tape.gradient(
                outputs,
                variables,
                output_gradients=up,
                unconnected_gradients=tf.UnconnectedGradients.ZERO,
            )
            of_layer = {id(layer): pair for layer, *pair in seen}
            parts = [part for layer in layers for part in of_layer[id(layer)]]
            return (
                k + 1,
                [a + b for a, b in zip(gradients, more, strict=True)],
                moments + tf.concat(parts, axis=0),
            )

        count = _count(batches)
        _, gradients, moments = tf.while_loop(
            lambda k, *_: k < count,
            pull,
            (0, gradients, tf.zeros([sum(sizes)])),
            parallel_iterations=1,
        )
        means = tf.split(moments / count, sizes)
        for layer, pair in zip(layers, means, strict=True):
            layer.follow(*tf.split(pair, 2))
        return gradients

    def _cut(self, values):
        """[N, ...] as [K, M, ...]: neighbours, as replicas' batches are."""
        return tf.reshape(
            values, [-1, self._micro_batch_size, *values.shape[1:]]
        )


def check_place(strategy: tf.distribute.Strategy, device_type: str) -> None:
    """Refuses what micro-batches have not been made for.

    Raises:
        UserError: the replicas are TPU cores, or on several hosts.
    """
    several_hosts = isinstance(
        strategy, tf.distribute.MultiWorkerMirroredStrategy
    )
    if device_type == "TPU" or several_hosts:
        raise UserError(
            "--micro_batch_size runs on one device or on the devices of one "
            "host. Received: "
            + ("several hosts" if several_hosts else "a TPU")
            + ". Leave it out; more replicas hold a larger batch."
        )


def _count(batches):
    """K, the number of micro-batches."""
    return tf.nest.flatten(batches)[0].shape[0]


def _present(out):
    """[z], or [z, logits] where there is a probe."""
    return [out.projections] + ([] if out.logits is None else [out.logits])


def _views_apart(values):
    """[K, 2M, c] as [2KM, c]: all of the first views, then the second."""
    views = tf.concat(tf.split(values, 2, axis=1), axis=0)
    return tf.reshape(views, [-1, values.shape[-1]])
