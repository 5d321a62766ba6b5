"""Training on labels: fine-tuning, linear evaluation, and from scratch."""

from collections.abc import Callable, Sequence

import tensorflow as tf

from simclr_tf import distributed, losses
from simclr_tf.optim import selection
from simclr_tf.train.step import StepTrainer

METRICS = ("supervised_loss", "supervised_acc", "weight_decay", "total_loss")


class SupervisedTrainer(StepTrainer):
    """Cross entropy of the linear head's logits on one view of each image.

    Args:
        weight_decay: of the L2 terms in the loss.
        decayed: the variables of those terms.
        color_view: as in `pretrain.PretrainTrainer`.
        step: of `StepTrainer`; the dataset has the view under images_0.
    """

    def __init__(
        self,
        *,
        weight_decay: float,
        decayed: Sequence[tf.Variable],
        color_view: Callable | None = None,
        **step,
    ):
        super().__init__(metrics=METRICS, **step)
        self._weight_decay = weight_decay
        self._decayed = list(decayed)
        self._color_view = color_view

    def losses(self, batch):
        images = batch["images_0"]
        if self._color_view is not None:
            images = self._color_view(images, batch["parameters_0"])
        logits = self._model(images, training=True).logits
        labels = batch["label"]
        replicas = distributed.num_replicas()
        decay = selection.l2_loss(self._decayed, self._weight_decay)
        entropy = losses.cross_entropy(logits, labels)
        total = entropy + decay / replicas
        accuracy = losses.accuracy(logits, labels)
        return {
            "supervised_loss": entropy * replicas,
            "supervised_acc": accuracy * replicas,
            "weight_decay": decay,
            "total_loss": total * replicas,
        }, total
