"""The objective of SimCLR: two views, a contrastive loss, a probe beside it."""

from collections.abc import Callable, Sequence

import tensorflow as tf

from simclr_tf import distributed, losses
from simclr_tf.models.simclr import SimClrOutput
from simclr_tf.optim import selection
from simclr_tf.train.step import StepTrainer

METRICS = (
    "contrast_loss",
    "contrast_acc",
    "contrast_entropy",
    "contrast_active",
    "supervised_loss",
    "supervised_acc",
    "weight_decay",
    "total_loss",
)


class PretrainTrainer(StepTrainer):
    """Contrastive pretraining, with a linear probe where there are labels.

        views = colour(images, parameters)         unless done on the host
        h, z, logits = model([views_a; views_b])
        loss = contrast(z_a, z_b) + cross_entropy(logits) + l2

    Args:
        contrast: (z_a float[N, d], z_b float[N, d]) -> `losses.NtXent` or
            `losses.Triplets`.
        weight_decay: of the L2 terms in the loss.
        decayed: the variables of those terms.
        color_view: (images uint8[N, S, S, C], parameters float32[N, P]) ->
            float32[N, S, S, C]; None where the host has done it.
        step: of `StepTrainer`; the dataset has views under images_0 and
            images_1.
    """

    def __init__(
        self,
        *,
        contrast: Callable,
        weight_decay: float,
        decayed: Sequence[tf.Variable],
        color_view: Callable | None = None,
        **step,
    ):
        super().__init__(metrics=METRICS, **step)
        self._contrast = contrast
        self._weight_decay = weight_decay
        self._decayed = list(decayed)
        self._color_view = color_view

    def losses(self, batch):
        out = self.encode(batch)
        return self.objective(out.projections, out.logits, batch["label"])

    def encode(self, batch) -> SimClrOutput:
        """What the model says of the first views and then of the second."""
        views = [self._view(batch, i) for i in range(2)]
        return self._model(tf.concat(views, axis=0), training=True)

    def objective(self, projections, logits, labels):
        """Scalars and loss, as `losses`, of what the model says.

        Args:
            projections: float32[2N, d], of the first views, then the second.
            logits: float32[2N, K], in the same order; None without a probe.
            labels: int64[N], -1 where there is none; or int64[N, K] for
                several labels an image.
        """
        z_a, z_b = tf.split(projections, 2, axis=0)
        contrast = self._contrast(z_a, z_b)
        replicas = distributed.num_replicas()
        decay = selection.l2_loss(self._decayed, self._weight_decay)
        total = contrast.loss + decay / replicas
        # Each replica's share times R: their mean is the global value.
        scalars = {
            "contrast_loss": contrast.loss * replicas,
            "contrast_acc": contrast.accuracy,
            "weight_decay": decay,
        }
        for name in ("entropy", "active"):
            if hasattr(contrast, name):
                scalars[f"contrast_{name}"] = getattr(contrast, name)
        if logits is not None:
            labels = tf.concat([labels, labels], axis=0)
            probe = losses.cross_entropy(logits, labels)
            total += probe
            accuracy = losses.accuracy(logits, labels)
            scalars["supervised_loss"] = probe * replicas
            scalars["supervised_acc"] = accuracy * replicas
        scalars["total_loss"] = total * replicas
        return scalars, total

    def _view(self, batch, index):
        images = batch[f"images_{index}"]
        if self._color_view is None:
            return images
        return self._color_view(images, batch[f"parameters_{index}"])
