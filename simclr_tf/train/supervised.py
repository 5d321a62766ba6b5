"""Training of classifiers: on labels, or on the classes of a teacher."""

from collections.abc import Callable, Sequence

import tensorflow as tf

from simclr_tf import distributed, losses
from simclr_tf.models.simclr import SimClr
from simclr_tf.optim import selection
from simclr_tf.train.step import StepTrainer

METRICS = ("supervised_loss", "supervised_acc", "weight_decay", "total_loss")
DISTILL_METRICS = ("distill_loss", "distill_acc", *METRICS)


class SupervisedTrainer(StepTrainer):
    """Cross entropy of the linear head's logits on one view of each image.

    Fine-tuning, linear evaluation, and from scratch.

    Args:
        weight_decay: of the L2 terms in the loss.
        decayed: the variables of those terms.
        color_view: as in `pretrain.PretrainTrainer`.
        metrics, step: of `StepTrainer`; the dataset has the view under
            images_0.
    """

    def __init__(
        self,
        *,
        weight_decay: float,
        decayed: Sequence[tf.Variable],
        color_view: Callable | None = None,
        metrics: Sequence[str] = METRICS,
        **step,
    ):
        super().__init__(metrics=metrics, **step)
        self._weight_decay = weight_decay
        self._decayed = list(decayed)
        self._color_view = color_view

    def losses(self, batch):
        logits = self._model(self._view(batch), training=True).logits
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

    def _view(self, batch):
        images = batch["images_0"]
        if self._color_view is None:
            return images
        return self._color_view(images, batch["parameters_0"])


class DistillTrainer(SupervisedTrainer):
    """Both networks look at one view of each image; only the student learns.

        loss = alpha * tau^2 * distillation
               + (1 - alpha) * cross_entropy(labels) + l2

    Chen et al. 2020 (arXiv:2006.10029), equations 2 and 3. There the terms
    are sums over all images and over those with labels; here each is a mean.
    Ref: tau^2 is not in the equations, but in the official notebook: the
    gradient by a logit is then of the size that labels give it. With a tau of
    0.1 it would else be 100 times as large, which throws BN's gamma and beta
    about: LARS adapts kernels only.

    Args:
        teacher: a classifier. It is asked as in evaluation, so that neither
            its weights nor BN's averages move.
        temperature: tau, of `losses.distillation`.
        alpha: in (0, 1]; at 1, no label is looked at.
        supervised: of `SupervisedTrainer`; the model is the student.
    """

    def __init__(
        self, *, teacher: SimClr, temperature: float, alpha: float, **supervised
    ):
        super().__init__(metrics=DISTILL_METRICS, **supervised)
        self._teacher = teacher
        self._temperature = temperature
        self._alpha = alpha

    def losses(self, batch):
        images = self._view(batch)
        asked = tf.stop_gradient(self._teacher(images, training=False).logits)
        logits = self._model(images, training=True).logits
        return self.objective(asked, logits, batch["label"])

    def quantities(self) -> dict[str, list[tf.Variable]]:
        """Those of `StepTrainer`, and the teacher, which nothing moves."""
        return {
            **super().quantities(),
            "the teacher": list(self._teacher.variables),
        }

    def objective(self, teacher_logits, logits, labels):
        """Scalars and loss, as `losses`, of what both say.

        Args:
            teacher_logits: float32[N, K].
            logits: float32[N, K], the student's.
            labels: int64[N], -1 where there is none.
        """
        replicas = distributed.num_replicas()
        decay = selection.l2_loss(self._decayed, self._weight_decay)
        distillation = losses.distillation(
            teacher_logits, logits, temperature=self._temperature
        )
        weight = self._alpha * self._temperature**2
        total = weight * distillation + decay / replicas
        agreement = losses.accuracy(logits, tf.argmax(teacher_logits, axis=1))
        scalars = {
            "distill_loss": distillation * replicas,
            "distill_acc": agreement * replicas,
            "weight_decay": decay,
        }
        if self._alpha < 1:
            entropy = losses.cross_entropy(logits, labels)
            total += (1 - self._alpha) * entropy
            accuracy = losses.accuracy(logits, labels)
            scalars["supervised_loss"] = entropy * replicas
            scalars["supervised_acc"] = accuracy * replicas
        scalars["total_loss"] = total * replicas
        return scalars, total
