"""The training step of SimCLR, in orbit's inner loop."""

from collections.abc import Callable, Sequence

import orbit
import tensorflow as tf
import tf_keras as keras

from simclr_tf import distributed, losses
from simclr_tf.models.simclr import SimClr
from simclr_tf.optim import policy

METRICS = (
    "contrast_loss",
    "contrast_acc",
    "contrast_entropy",
    "supervised_loss",
    "supervised_acc",
    "weight_decay",
    "total_loss",
)


class PretrainTrainer(orbit.StandardTrainer):
    """Contrastive pretraining, with a linear probe where there are labels.

        repeat:                                    on the host, in a tf.while
            images, parameters, labels = next      timed: the input wait
            on every replica:
                views = colour(images, parameters) unless done on the host
                h, z, logits = model([views_a; views_b])
                loss = nt_xent(z_a, z_b) + cross_entropy(logits) + l2
                gradients summed over replicas; update

    Args:
        strategy: where the replicas run.
        model: built in the strategy's scope.
        optimizer: built on the model's trainable variables; its iterations
            are the global step.
        dataset: distributed dataset of batches (see `data.pipeline`), with
            views under images_0 and images_1.
        temperature, hidden_norm: of `losses.nt_xent`.
        weight_decay: of the L2 terms in the loss.
        decayed: the variables of those terms.
        loss_scale: multiplies the loss and divides the gradients, so that
            float16 gradients do not underflow.
        color_view: (images uint8[N, S, S, 3], parameters float32[N, P]) ->
            float32[N, S, S, 3]; None where the host has done it.
    """

    def __init__(
        self,
        *,
        strategy: tf.distribute.Strategy,
        model: SimClr,
        optimizer: keras.optimizers.Optimizer,
        dataset,
        temperature: float,
        hidden_norm: bool,
        weight_decay: float,
        decayed: Sequence[tf.Variable],
        loss_scale: float = 1.0,
        color_view: Callable | None = None,
    ):
        super().__init__(dataset)
        self._strategy = strategy
        self._model = model
        self._optimizer = optimizer
        self._temperature = temperature
        self._hidden_norm = hidden_norm
        self._weight_decay = weight_decay
        self._decayed = list(decayed)
        self._loss_scale = loss_scale
        self._color_view = color_view
        with strategy.scope():
            self._means = {n: keras.metrics.Mean(name=n) for n in METRICS}
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

    def train_step(self, iterator):
        asked = tf.timestamp()
        batch = next(iterator)
        with tf.control_dependencies(tf.nest.flatten(batch, True)):
            self._wait_seconds.assign_add(tf.timestamp() - asked)
        self._strategy.run(self._replica_step, args=(batch,))

    def train_loop_end(self):
        return {"wait_seconds": float(self._wait_seconds.numpy())}

    def take_means(self) -> dict[str, float]:
        """Means of the scalars since the last call; forgets them."""
        means = {
            f"train/{name}": float(mean.result())
            for name, mean in self._means.items()
            if self._model.linear_head is not None
            or not name.startswith("supervised")
        }
        for mean in self._means.values():
            mean.reset_state()
        return means

    def _replica_step(self, batch):
        with tf.GradientTape() as tape:
            scalars, total = self._losses(batch)
            scaled = total * self._loss_scale
        variables = self._model.trainable_variables
        gradients = [
            gradient / self._loss_scale
            for gradient in tape.gradient(scaled, variables)
        ]
        self._note_bad_step(total, gradients)
        self._optimizer.apply_gradients(zip(gradients, variables, strict=True))
        for name, value in scalars.items():
            self._means[name].update_state(value)

    def _losses(self, batch):
        views = [self._view(batch, i) for i in range(2)]
        out = self._model(tf.concat(views, axis=0), training=True)
        z_a, z_b = tf.split(out.projections, 2, axis=0)
        contrast = losses.nt_xent(
            z_a,
            z_b,
            temperature=self._temperature,
            hidden_norm=self._hidden_norm,
        )
        replicas = self._strategy.num_replicas_in_sync
        decay = policy.l2_loss(self._decayed, self._weight_decay)
        total = contrast.loss + decay / replicas
        # Each replica's share times R: their mean is the global value.
        scalars = {
            "contrast_loss": contrast.loss * replicas,
            "contrast_acc": contrast.accuracy,
            "contrast_entropy": contrast.entropy,
            "weight_decay": decay,
        }
        if out.logits is not None:
            labels = tf.tile(batch["label"], [2])
            probe = losses.softmax_cross_entropy(out.logits, labels)
            total += probe
            accuracy = losses.accuracy(out.logits, labels)
            scalars["supervised_loss"] = probe * replicas
            scalars["supervised_acc"] = accuracy * replicas
        scalars["total_loss"] = total * replicas
        return scalars, total

    def _view(self, batch, index):
        images = batch[f"images_{index}"]
        if self._color_view is None:
            return images
        return self._color_view(images, batch[f"parameters_{index}"])

    def _note_bad_step(self, total, gradients):
        """Remembers the first step after which the weights are of no use."""
        finite = tf.math.is_finite(total + tf.linalg.global_norm(gradients))
        bad = distributed.all_reduce_sum(tf.cast(~finite, tf.float32)) > 0
        seen = self._first_bad_step
        step = tf.cast(self._optimizer.iterations, tf.int64)
        first = tf.logical_and(bad, seen < 0)
        seen.assign(tf.where(first, step, tf.identity(seen)))
