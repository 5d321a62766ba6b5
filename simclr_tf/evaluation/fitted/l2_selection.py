"""The logistic regression whose l2 is chosen (appendix B.8 of the paper).

The strength of the l2 penalty is chosen among 45 values on a validation split,
of equals the strongest; the classifier is fitted again on training and
validation examples, and tested once. Images of several labels have one
classifier a class, against the rest.
"""

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from simclr_tf.evaluation import metrics
from simclr_tf.evaluation.fitted import logistic


class Outcome(NamedTuple):
    """What the protocol came to.

    Attributes:
        scores: float64[M, K] of the test examples.
        l2: the chosen one.
        validation: the metric on the validation split, at that l2.
        path: a record for each l2, strongest first: validation metric,
            objective, gradient norm, iterations, convergence.
        refit: the classifier fitted on training and validation examples.
        choices: what the paper leaves open.
    """

    scores: np.ndarray
    l2: float
    validation: float
    path: tuple[dict[str, Any], ...]
    refit: logistic.Fit
    choices: logistic.Choices

    def to_record(self) -> dict[str, Any]:
        """As it goes into the JSON record."""
        grid = self.choices.l2_values
        return {
            "l2": self.l2,
            "l2_at_edge_of_grid": self.l2 in (min(grid), max(grid)),
            "validation": self.validation,
            "refit": self.refit.to_record(),
            "not_converged": sum(not point["converged"] for point in self.path)
            + (not self.refit.converged),
            "path": list(self.path),
            "choices": dataclasses.asdict(self.choices),
        }


def linear_transfer(
    train: tuple[np.ndarray, np.ndarray],
    validation: tuple[np.ndarray, np.ndarray],
    test_values: np.ndarray,
    *,
    num_classes: int,
    metric: str,
    choices: logistic.Choices | None = None,
    progress: Callable[[int, int, dict[str, Any]], None] | None = None,
) -> Outcome:
    """Chooses l2 on the validation split, fits again, and scores the test.

    It is not given the labels of the test split, so it cannot use them.

    Args:
        train, validation: values float[M, D] and labels, int[M] in 0..K-1 or
            int[M, K] (1 present, 0 absent); -1 does not count.
        test_values: float[M, D].
        num_classes: K.
        metric: of `metrics.METRICS`, what is chosen by.
        choices: what the paper leaves open.
        progress: called after every fit with (fits done, fits in all, record
            of the fit).

    Returns:
        Outcome.

    Raises:
        ValueError: labels that do not fit num_classes or the metric.
    """
    choices = choices or logistic.Choices()
    train, validation = (_labelled(*part) for part in (train, validation))
    grid = sorted(choices.l2_values, reverse=True)
    scale = _scaling(train[0], choices)
    values, held_out = scale(train[0]), scale(validation[0])
    best, best_validation, last, path = None, -np.inf, None, []
    for l2 in grid:
        last = logistic.fit(
            values,
            train[1],
            l2=l2,
            num_classes=num_classes,
            choices=choices,
            start=last if choices.warm_start else None,
        )
        score = metrics.value(metric, last.scores(held_out), validation[1])
        if score > best_validation:  # strictly: the strongest of equals
            best, best_validation = last, score
        path.append({**last.to_record(), "validation": score})
        if progress:
            progress(len(path), len(grid) + 1, path[-1])
    both = [
        np.concatenate(pair) for pair in zip(train, validation, strict=True)
    ]
    del values, held_out
    scale = _scaling(both[0], choices)
    refit = logistic.fit(
        scale(both[0]),
        both[1],
        l2=best.l2,
        num_classes=num_classes,
        choices=choices,
        start=best if choices.warm_start else None,
    )
    if progress:
        progress(len(grid) + 1, len(grid) + 1, refit.to_record())
    return Outcome(
        scores=refit.scores(scale(test_values)),
        l2=best.l2,
        validation=best_validation,
        path=tuple(path),
        refit=refit,
        choices=choices,
    )


def with_given(
    train: tuple[np.ndarray, np.ndarray],
    test_values: np.ndarray,
    *,
    l2: float,
    num_classes: int,
    choices: logistic.Choices | None = None,
) -> tuple[np.ndarray, dict[str, Any]]:
    """The same classifier where nothing is chosen: one fit, on all labels.

    Args:
        train, test_values, num_classes, choices: as in `linear_transfer`; of
            the choices, l2_values does not count.
        l2: of the penalty.

    Returns:
        float64[M, K], scores of the test examples; and how it was fitted, as
        it goes into the JSON record.

    Raises:
        ValueError: labels that do not fit num_classes.
    """
    choices = dataclasses.replace(
        choices or logistic.Choices(), l2_values=(float(l2),)
    )
    values, labels = _labelled(*train)
    scale = _scaling(values, choices)
    found = logistic.fit(
        scale(values), labels, l2=l2, num_classes=num_classes, choices=choices
    )
    record = {
        "l2": found.l2,
        "l2_given": True,
        "refit": found.to_record(),
        "not_converged": int(not found.converged),
        "choices": dataclasses.asdict(choices),
    }
    return found.scores(scale(test_values)), record


def _scaling(values: np.ndarray, choices: logistic.Choices) -> Callable:
    """Values, standardised as these are; a constant feature becomes 0."""
    if not choices.standardise:
        return lambda other: np.asarray(other, np.float64)
    mean = values.mean(axis=0, dtype=np.float64)
    deviation = values.std(axis=0, dtype=np.float64)
    # A constant's deviation is rounding, not information.
    constant = deviation <= 1e-7 * np.abs(mean)
    factor = np.where(constant, 0, 1 / np.where(constant, 1, deviation))
    return lambda other: (other - mean) * factor


def _labelled(values: np.ndarray, labels: np.ndarray):
    """Those that count: scaling is by what is fitted."""
    kept = metrics.counted(labels)
    return (values, labels) if kept.all() else (values[kept], labels[kept])
