"""--knn_eval: how good the encoder is by now, without any training."""

from collections.abc import Callable, Iterable
from typing import Any

import tensorflow as tf

from simclr_tf.errors import UserError
from simclr_tf.evaluation import features, knn, metrics

# Of each split; a quick look, not the record (--mode=evaluate --protocol=knn).
MAX_EXAMPLES = 10_000
PREFIX = "knn/"  # of the scores' names


def require_labels(training: Any, evaluation: Any) -> None:
    """Checks that both splits have labels, one an image.

    Args:
        training: a source of images.
        evaluation: another; None: there is none with labels.

    Raises:
        UserError: they haven't.
    """
    knn.require_one_label(several_labels=training.several_labels)
    if not (training.has_labels and evaluation):
        raise UserError(
            f"--knn_eval needs labels in --train_split={training.split} "
            "and in --eval_split. Leave it out."
        )


class KnnWatch:
    """Top-1 of weighted nearest neighbours; traced once, called often.

    Args:
        encode: float32[N, S, S, C] in [0, 1] -> float[N, D].
        train, test: give a distributed dataset of labelled examples.
        strategy: where the replicas run.
        num_classes: K.
    """

    def __init__(
        self,
        encode: Callable[[tf.Tensor], tf.Tensor],
        *,
        train: Callable[[], Iterable],
        test: Callable[[], Iterable],
        strategy: tf.distribute.Strategy,
        num_classes: int,
    ):
        self._extract = features.extractor(encode, strategy=strategy)
        self._train, self._test = train, test
        self._num_classes = num_classes

    def __call__(self) -> dict[str, float]:
        """knn/k<k>_top_1, in [0, 1], for k = 20 and 200, or as many as there
        are; nothing where one of the splits has no labelled example."""
        train, test = (
            features.labelled(self._extract(split()))
            for split in (self._train, self._test)
        )
        if not len(train.labels) or not len(test.labels):
            return {}
        votes = knn.knn_scores(train, test, num_classes=self._num_classes)
        return {
            f"{PREFIX}k{k}_top_1": metrics.value("top_1", scores, test.labels)
            for k, scores in votes.items()
        }
