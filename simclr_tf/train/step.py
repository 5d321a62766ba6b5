"""The training step that all objectives share, in orbit's inner loop."""

from collections.abc import Mapping, Sequence

import orbit
import tensorflow as tf
import tf_keras as keras

from simclr_tf import distributed
from simclr_tf.models import batch_norm
from simclr_tf.models.simclr import SimClr
from simclr_tf.optim import lars

# tf_keras's optimizers and ours call them so.
_SLOTS = {
    "momentums": ("momentums", "_momentums"),
    "velocities": ("velocities", "_velocities"),
}


class StepTrainer(orbit.StandardTrainer):
    """One update after another; what is minimised is the subclass's.

        repeat:                                    on the host, in a tf.while
            batch = next                           timed: the input wait
            on every replica:
                scalars, loss = losses(batch)      this replica's share
                gradients summed over replicas; update

    Args:
        strategy: where the replicas run.
        model: built in the strategy's scope.
        optimizer: built on the model's trainable variables; its iterations
            are the global step.
        dataset: distributed dataset of batches (see `data.pipeline`).
        metrics: names of the scalars that `losses` gives, some of which may
            be missing, always the same.
        loss_scale: multiplies the loss and divides the gradients, so that
            float16 gradients do not underflow.
        times_input: whether the wait for a batch is measured. TensorFlow's
            clock does not run where deterministic kernels are asked for.
    """

    def __init__(
        self,
        *,
        strategy: tf.distribute.Strategy,
        model: SimClr,
        optimizer: keras.optimizers.Optimizer,
        dataset,
        metrics: Sequence[str],
        loss_scale: float = 1.0,
        times_input: bool = True,
    ):
        super().__init__(dataset)
        self._strategy = strategy
        self._model = model
        self._optimizer = optimizer
        self._loss_scale = loss_scale
        self._times_input = times_input
        self._reported: set[str] = set()
        with strategy.scope():
            self._means = {n: keras.metrics.Mean(name=n) for n in metrics}
            self._first_bad_step = tf.Variable(
                -1,
                dtype=tf.int64,
                trainable=False,
                aggregation=tf.VariableAggregation.ONLY_FIRST_REPLICA,
            )
        with tf.device("CPU"):
            self._wait_seconds = tf.Variable(
                0.0, trainable=False, dtype=tf.float64
            )

    def losses(self, batch) -> tuple[Mapping[str, tf.Tensor], tf.Tensor]:
        """What to report of a replica's batch, and what to minimise.

        Returns:
            Scalars, float32[] each, whose mean over replicas is the global
            value; and float32[], this replica's share of the loss: the sum
            over replicas is the loss of the global batch.
        """
        raise NotImplementedError

    @property
    def global_step(self) -> int:
        """Updates done so far."""
        return int(self._optimizer.iterations.numpy())

    @property
    def first_bad_step(self) -> int | None:
        """The first step, from 1, with a NaN or infinity."""
        step = int(self._first_bad_step.numpy())
        return None if step < 0 else step + 1

    def train_loop_begin(self):
        self._wait_seconds.assign(0.0)

    # AutoGraph would have nothing to convert, and takes seconds to find out.
    @tf.autograph.experimental.do_not_convert
    def train_step(self, iterator):
        batch = (
            self._timed_next(iterator) if self._times_input else next(iterator)
        )
        self._strategy.run(self.replica_step, args=(batch,))

    def _timed_next(self, iterator):
        asked = tf.timestamp()
        batch = next(iterator)
        with tf.control_dependencies(tf.nest.flatten(batch, True)):
            self._wait_seconds.assign_add(tf.timestamp() - asked)
        return batch

    def train_loop_end(self):
        waited = float(self._wait_seconds.numpy())
        return {"wait_seconds": waited if self._times_input else None}

    def take_means(self) -> dict[str, float]:
        """Means of the scalars since the last call; forgets them."""
        means = {
            f"train/{name}": float(mean.result())
            for name, mean in self._means.items()
            if name in self._reported
        }
        for mean in self._means.values():
            mean.reset_state()
        return means

    def quantities(self) -> dict[str, list[tf.Variable]]:
        """What a step reads and moves, by what it is: words -> variables.

        Without the means of the scalars, which `scalar_means` has.
        """
        model, optimizer = self._model, self._optimizer
        trainable = model.trainable_variables
        found = {
            "the kernels": [v for v in trainable if lars.is_kernel(v)],
            "the biases, gammas and betas": [
                v for v in trainable if not lars.is_kernel(v)
            ],
        }
        layers = [
            layer
            for layer in model.submodules
            if isinstance(layer, batch_norm.BatchNorm)
        ]
        found["BN's moving means"] = [layer.moving_mean for layer in layers]
        found["BN's moving variances"] = [
            layer.moving_variance for layer in layers
        ]
        counted = {id(v) for variables in found.values() for v in variables}
        found["what is frozen"] = [
            v for v in model.variables if id(v) not in counted
        ]
        for words, names in _SLOTS.items():
            for name in names:
                if slots := getattr(optimizer, name, None):
                    found[f"the optimizer's {words}"] = list(slots)
        found["the count of steps"] = [optimizer.iterations]
        found["the learning rate"] = [optimizer.learning_rate]
        found["the first bad step"] = [self._first_bad_step]
        return found

    @property
    def scalar_means(self) -> dict[str, keras.metrics.Mean]:
        """Name of a scalar -> its mean since `take_means`."""
        return dict(self._means)

    def gradients(self, batch):
        """What `losses` gives, and the gradients of what it minimises.

        Returns:
            Scalars; float32[], this replica's share of the loss; and that
            share's gradient times the loss scale, a tensor for each trainable
            variable of the model.
        """
        with tf.GradientTape() as tape:
            scalars, total = self.losses(batch)
            scaled = total * self._loss_scale
        gradients = tape.gradient(scaled, self._model.trainable_variables)
        return scalars, total, gradients

    def replica_step(self, batch) -> None:
        """What every replica does with its part of a batch."""
        self.move(*self.gradients(batch))

    def move(self, scalars, total, gradients) -> None:
        """One update by what `gradients` gives, which is noted, too."""
        gradients = [gradient / self._loss_scale for gradient in gradients]
        variables = self._model.trainable_variables
        self._note_bad_step(total, gradients)
        apply_gradients(self._optimizer, gradients, variables)
        self._reported.update(scalars)  # as the step is traced
        for name, value in scalars.items():
            self._means[name].update_state(value)

    def _note_bad_step(self, total, gradients):
        """Remembers the first step after which the weights are of no use."""
        finite = tf.math.is_finite(total + tf.linalg.global_norm(gradients))
        bad = distributed.all_reduce_sum(tf.cast(~finite, tf.float32)) > 0
        seen = self._first_bad_step
        step = tf.cast(self._optimizer.iterations, tf.int64)
        first = tf.logical_and(bad, seen < 0)
        seen.assign(tf.where(first, step, tf.identity(seen)))


def apply_gradients(
    optimizer: keras.optimizers.Optimizer,
    gradients: Sequence[tf.Tensor],
    variables: Sequence[tf.Variable],
) -> None:
    """One update by the sum of the replicas' gradients.

    The sum is not left to the optimizer, which makes one only where a
    strategy is: the step is also compiled without.

    Args:
        optimizer: built on the variables.
        gradients: of this replica's share of the loss.
        variables: in the same order.
    """
    gradients = distributed.all_reduce_sum(list(gradients))
    optimizer.apply_gradients(
        zip(gradients, variables, strict=True), skip_gradients_aggregation=True
    )
