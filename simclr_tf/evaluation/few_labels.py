"""Logistic regression on a few labels over frozen features.

The quick answer to "is the encoder any good": scikit-learn's solver on
class-balanced draws of labels of the training split, scored on the evaluation
split.
"""

from typing import NamedTuple

import numpy as np

from simclr_tf.errors import UserError
from simclr_tf.evaluation import label_subsets
from simclr_tf.evaluation.features import Features


class Score(NamedTuple):
    """Top-1 accuracy over draws of labels, in [0, 1].

    Attributes:
        mean: over the draws.
        deviation: sample standard deviation over the draws; 0 for one draw.
    """

    mean: float
    deviation: float


def labels_per_class(num_labels: int, num_classes: int) -> int:
    """How many labels of each class make a balanced subset.

    Raises:
        UserError: naming --linear_eval_labels, where the classes cannot
            share them evenly.
    """
    per_class, rest = divmod(num_labels, num_classes)
    if rest or per_class < 1:
        raise UserError(
            f"--linear_eval_labels must be multiples of the {num_classes} "
            f"classes. Received: {num_labels}."
        )
    return per_class


def balanced_draw(
    labels: np.ndarray,
    *,
    num_labels: int,
    num_classes: int,
    seed: int,
    draw: int,
) -> np.ndarray:
    """Indices of a class-balanced subset, a function of (seed, draw).

    Args:
        labels: int[M]; negative means unlabelled.
        num_labels: size of the subset, a multiple of the number of classes.
        num_classes: K; every class must be there.
        seed, draw: which subset.

    Raises:
        UserError: naming --linear_eval_labels, where the classes cannot
            share num_labels evenly or one has too few examples.
    """
    number = labels_per_class(num_labels, num_classes)
    try:
        subset = label_subsets.per_class(
            labels,
            np.arange(len(labels)),
            number=number,
            num_classes=num_classes,
            seed=seed,
            draw=draw,
        )
    except ValueError as error:
        raise UserError(f"--linear_eval_labels={num_labels}: {error}") from (
            error
        )
    return subset.indices


def score(
    train: Features,
    test: Features,
    *,
    num_labels: int,
    num_classes: int,
    num_draws: int,
    seed: int,
) -> Score:
    """Accuracy on `test` of classifiers fitted on few labels of `train`.

    Features are standardised by the mean and deviation of the training split,
    which needs no labels; l2 strength is scikit-learn's default.

    Args:
        train, test: features of the two splits.
        num_labels: labels per draw, the same number of each class.
        num_classes: K.
        num_draws: how many draws.
        seed: decides the draws; equal seeds compare encoders on equal labels.
    """
    # Slow to import, and every training run imports this file.
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler

    scaler = StandardScaler().fit(train.values)
    values, test_values = (scaler.transform(f.values) for f in (train, test))
    accuracies = []
    for draw in range(num_draws):
        chosen = balanced_draw(
            train.labels,
            num_labels=num_labels,
            num_classes=num_classes,
            seed=seed,
            draw=draw,
        )
        model = LogisticRegression(max_iter=1000)
        model.fit(values[chosen], train.labels[chosen])
        accuracies.append(model.score(test_values, test.labels))
    deviation = np.std(accuracies, ddof=1) if num_draws > 1 else 0.0
    return Score(float(np.mean(accuracies)), float(deviation))
