"""Accuracy of the linear head over every example of a split, once."""

from collections.abc import Sequence

import orbit
import tensorflow as tf
import tf_keras as keras

from simclr_tf.models.simclr import SimClr
from simclr_tf.optim import selection
from simclr_tf.train import accuracy


class Evaluator(orbit.StandardEvaluator):
    """Top-1 and top-5, in inference mode; padding of the last batch masked.

    Args:
        strategy: where the replicas run.
        model: with a linear head.
        dataset: distributed, finite dataset of `data.pipeline.eval_batches`.
        weight_decay, decayed: of the regularisation loss that is reported.
    """

    def __init__(
        self,
        *,
        strategy: tf.distribute.Strategy,
        model: SimClr,
        dataset,
        weight_decay: float,
        decayed: Sequence[tf.Variable],
    ):
        super().__init__(dataset)
        self._strategy = strategy
        self._model = model
        self._weight_decay = weight_decay
        self._decayed = list(decayed)
        with strategy.scope():
            self._sums = {
                name: keras.metrics.Sum(name=name)
                for name in ("top_1", "top_5", "examples")
            }

    def eval_begin(self):
        for total in self._sums.values():
            total.reset_state()

    def eval_step(self, iterator):
        self._strategy.run(self._replica_step, args=(next(iterator),))

    def _replica_step(self, batch):
        images = tf.image.convert_image_dtype(batch["images"], tf.float32)
        logits = self._model(images, training=False).logits
        mask = batch["mask"] & (batch["label"] >= 0)
        for name, k in (("top_1", 1), ("top_5", 5)):
            self._sums[name].update_state(
                accuracy.top_k_correct(logits, batch["label"], mask, k=k)
            )
        self._sums["examples"].update_state(tf.cast(mask, tf.float32))

    def eval_end(self):
        examples = float(self._sums["examples"].result())
        decay = selection.l2_loss(self._decayed, self._weight_decay)
        return {
            "eval/label_top_1_accuracy": self._share("top_1", examples),
            "eval/label_top_5_accuracy": self._share("top_5", examples),
            "eval/regularization_loss": float(decay),
            "eval/num_examples": int(examples),
        }

    def _share(self, name: str, examples: float) -> float:
        return float(self._sums[name].result()) / examples
