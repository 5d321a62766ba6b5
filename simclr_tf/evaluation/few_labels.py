"""A regression on a few labels over frozen features, after pretraining.

The quick answer to "is the encoder any good": scikit-learn's logistic
regression with its default penalty (C = 1, which nothing is chosen by) on
class-balanced draws of labels of the training split, scored on the evaluation
split. The regression whose l2 is chosen is another one, in `l2_selection`.

Long because what can be drawn is one question before training and after it.
"""

import itertools
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from simclr_tf.errors import UserError
from simclr_tf.evaluation import (
    features,
    label_subsets,
    scoring,
    statistics,
)
from simclr_tf.evaluation.features import Features
from simclr_tf.evaluation.fitted import logistic

WHAT = "logistic regression, l2 fixed (C = 1)"
# Result keys are linear_<n>_labels/top_1<suffix>.
ENCODER_SUFFIXES = {
    "": "pretrained encoder",
    "_projections": "its projections z",
    "_random_encoder": "random encoder",
    "_raw_pixels": "raw pixels",
}
_POOL_FACTOR = 4
_LEAST_POOL = 10_000
# A class's examples in a sample are so many deviations from their mean at
# most: once in some three million.
_DEVIATIONS = 5.0


class Score(NamedTuple):
    """Top-1 accuracy over draws of labels, in [0, 1].

    Attributes:
        mean: over the draws.
        deviation: sample standard deviation over the draws; 0 for one draw.
        low, high: 95 % bootstrap interval of the mean over other test images,
            the draws being as they are.
    """

    mean: float
    deviation: float
    low: float
    high: float


class Encoded(NamedTuple):
    """What one pass over the images gives.

    Attributes:
        encode: float32[N, S, S, C] -> float[N, D].
        parts: of ENCODER_SUFFIXES -> which of the D numbers are its features.
    """

    encode: Callable[[tf.Tensor], tf.Tensor]
    parts: Mapping[str, slice]


def check_budgets(
    budgets: Sequence[int],
    class_counts: np.ndarray | None,
    num_classes: int | None,
    split_name: str,
    *,
    several_labels: bool = False,
) -> None:
    """Finds before training what would keep labels from being drawn after it.

    Args:
        budgets: numbers of labels; nothing is checked where there are none.
        class_counts: int[K], labelled examples of every class
            (`label_subsets.class_counts`); None for a stream, whose labels
            nobody knows yet.
        num_classes: K; None where there are no labels.
        split_name: of the training split, as --train_split has it.
        several_labels: whether an image shows several classes.

    Raises:
        UserError: naming --linear_eval_labels.
    """
    if not budgets:
        return
    received = ",".join(map(str, budgets))
    problem = None
    if several_labels:
        problem = "needs one label an image, and --several_labels has more"
    elif num_classes is None or (
        class_counts is not None and not np.any(class_counts)
    ):
        problem = f"needs labels, and --train_split={split_name} has none"
    elif num_classes < 2:
        problem = (
            f"needs two classes, and --train_split={split_name} has "
            f"{num_classes}"
        )
    if problem:
        raise UserError(
            f"--linear_eval_labels={received} {problem}. Leave it out "
            "(--linear_eval_labels=)."
        )
    for budget in budgets:
        _check_budget(budget, class_counts, num_classes, split_name)


def _check_budget(budget, class_counts, num_classes, split_name) -> None:
    needed = labels_per_class(budget, num_classes)
    if class_counts is None:
        return
    short = np.flatnonzero(class_counts < needed)
    if not short.size:
        return
    worst = short[np.argmin(class_counts[short])]
    most = int(np.min(class_counts)) * num_classes
    advice = f"At most {most} can be drawn."
    if not most:
        advice = "Leave it out (--linear_eval_labels=)."
    raise UserError(
        f"--linear_eval_labels={budget} needs {needed} labels of each of the "
        f"{num_classes} classes of --train_split={split_name}; class {worst} "
        f"has {class_counts[worst]}. {advice}"
    )


def drawable(
    budgets: Sequence[int], *of_split, all_of_them: bool, **labels
) -> tuple[int, ...]:
    """Those budgets that can be drawn.

    Args:
        budgets: numbers of labels.
        of_split, labels: as in `check_budgets`.
        all_of_them: whether one that cannot is an error.

    Raises:
        UserError: one cannot, and all are meant.
    """
    kept = []
    for budget in budgets:
        try:
            check_budgets((budget,), *of_split, **labels)
        except UserError:
            if all_of_them:
                raise
        else:
            kept.append(budget)
    return tuple(kept)


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


def pool_size(
    budgets: Sequence[int],
    class_counts: np.ndarray | None = None,
    num_examples: int | None = None,
) -> int:
    """How many training examples labels are drawn from.

    Encoding all of a large split to use few of its labels would be waste; but
    the sample must hold enough of the rarest class.

    Args:
        budgets: numbers of labels, at least one.
        class_counts: int[K], as in `check_budgets`; None for a stream.
        num_examples: of the split, with those that have no label; where it is
            None, all have one.
    """
    usual = max(_LEAST_POOL, _POOL_FACTOR * max(budgets))
    if class_counts is None:
        return usual
    needed = max(budgets) / len(class_counts)
    # Smallest mean m with m - deviations * sqrt(m) >= needed.
    root = (_DEVIATIONS + math.sqrt(_DEVIATIONS**2 + 4 * needed)) / 2
    total = num_examples or int(np.sum(class_counts))
    rarest = max(int(np.min(class_counts)), 1)
    return max(usual, min(total, math.ceil(root**2 * total / rarest)))


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
        train, test: features of the two splits. Examples without a label
            (-1) are neither drawn nor scored.
        num_labels: labels per draw, the same number of each class.
        num_classes: K.
        num_draws: how many draws.
        seed: decides the draws; equal seeds compare encoders on equal labels.

    Raises:
        UserError: labels that cannot be drawn, or none to score by.
    """
    # Slow to import, and every training run imports this file.
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler

    scaler = StandardScaler().fit(train.values)
    values, test_values = (scaler.transform(f.values) for f in (train, test))
    accuracies, right = [], 0
    for draw in range(num_draws):
        chosen = balanced_draw(
            train.labels,
            num_labels=num_labels,
            num_classes=num_classes,
            seed=seed,
            draw=draw,
        )
        model = LogisticRegression(max_iter=1000)
        with logistic.threads_for(values[chosen].size * num_classes):
            model.fit(values[chosen], train.labels[chosen])
            scores = model.predict_proba(test_values)
        right += scores.argmax(axis=1) == test.labels
        scored = scoring.score(
            scores,  # [M, K]: all classes are there
            test.labels,
            what=WHAT,
            names=["top_1"],
        )
        accuracies.append(scored.metrics["top_1"].value)
    deviation = np.std(accuracies, ddof=1) if num_draws > 1 else 0.0
    # Images that as many draws are right on are one cell.
    share = np.arange(num_draws + 1) / num_draws
    mean = statistics.bootstrap(
        lambda counts: counts @ share / counts.sum(axis=1),
        np.bincount(right[test.labels >= 0], minlength=num_draws + 1),
        seed=seed,
    )
    return Score(
        float(np.mean(accuracies)), float(deviation), mean.low, mean.high
    )


def results(
    encoders: Iterable[Encoded],
    *,
    train: Callable[[], Iterable],
    test: Callable[[], Iterable],
    strategy: tf.distribute.Strategy,
    budgets: Sequence[int],
    num_classes: int,
    num_draws: int,
    seed: int,
    say: Callable[[str], None] = print,
) -> dict[str, float | list[float]]:
    """Top-1 of regressions on few labels, over several encoders.

    A budget that cannot be drawn (of a stream, whose labels nobody knew
    before) or scored is left out, with a word: it costs no other result.

    Args:
        encoders: what regressions are fitted on.
        train, test: give a distributed dataset of the split's examples.
        strategy: where the replicas run.
        budgets: numbers of labels.
        num_classes: K.
        num_draws: class-balanced draws of labels that are averaged over, the
            same ones for every encoder.
        seed: decides the draws.
        say: told what is left out.

    Returns:
        linear_<n>_labels/top_1<suffix> and ..._deviation, in [0, 1], and
        ..._interval, [low, high] of the first.
    """
    found, left_out = {}, {}
    for encode, parts in encoders:
        extract = features.extractor(encode, strategy=strategy)
        sides = [extract(split()) for split in (train, test)]
        for (suffix, part), budget in itertools.product(parts.items(), budgets):
            try:
                one = score(
                    *(s._replace(values=s.values[:, part]) for s in sides),
                    num_labels=budget,
                    num_classes=num_classes,
                    num_draws=num_draws,
                    seed=seed,
                )
            except UserError as error:
                left_out[budget] = str(error)
                continue
            key = f"linear_{budget}_labels/top_1{suffix}"
            found |= {
                key: one.mean,
                f"{key}_deviation": one.deviation,
                f"{key}_interval": [one.low, one.high],
            }
    for message in left_out.values():
        say(f"Left out: {message}")
    return found
