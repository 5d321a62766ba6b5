"""A small MLP on frozen features: what they know, and not only linearly.

Paper: Table 3 trains "additional MLPs on h or g(h)"; how wide, how deep and
how long, it doesn't say. What is here is ours: one hidden layer of ReLUs,
Adam, and of all epochs the one after which it is right most often on a
held-out part of the training examples. It is patient, since before it is right
on anything else, it says what most are. The arithmetic is scikit-learn's.
"""

import math
import warnings
from typing import Any

import numpy as np

from simclr_tf.evaluation.fitted import logistic

HIDDEN_UNITS = 256
LEARNING_RATE = 1e-3
BATCH_SIZE = 200
# Share of the training examples that the best epoch is chosen on.
HELD_OUT = 0.1
# Few examples make short epochs, and many long ones.
PATIENCE_UPDATES, PATIENCE_EPOCHS = 500, 3
MAX_UPDATES, MAX_EPOCHS = 4000, 20


def scores(
    train: tuple[np.ndarray, np.ndarray],
    test_values: np.ndarray,
    *,
    num_classes: int,
    seed: int,
) -> tuple[np.ndarray, int]:
    """Fits an MLP, and says what it thinks of the test examples.

    Features are standardised by mean and deviation of the training examples;
    a constant one becomes 0.

    Args:
        train: values float[M, D] and labels int[M] in 0..K-1.
        test_values: float[m, D].
        num_classes: K.
        seed: of the weights, the batches and what is held out.

    Returns:
        float[m, K], probabilities; 0 of a class that no label is of. And the
        epochs that it took.
    """
    # Slow to import, and evaluations of other protocols import this file.
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.neural_network import MLPClassifier
    from sklearn.preprocessing import StandardScaler

    values, labels = train
    found = np.zeros((len(test_values), num_classes))
    there, counts = np.unique(labels, return_counts=True)
    if len(there) == 1:
        found[:, there] = 1.0
        return found, 0
    batch_size = min(BATCH_SIZE, len(values))
    an_epoch = math.ceil(len(values) / batch_size)
    model = MLPClassifier(
        (HIDDEN_UNITS,),
        batch_size=batch_size,
        learning_rate_init=LEARNING_RATE,
        max_iter=max(MAX_EPOCHS, math.ceil(MAX_UPDATES / an_epoch)),
        n_iter_no_change=max(
            PATIENCE_EPOCHS, math.ceil(PATIENCE_UPDATES / an_epoch)
        ),
        # A part that lacks a class could not choose.
        early_stopping=counts.min() * HELD_OUT >= 1,
        validation_fraction=HELD_OUT,
        random_state=seed,
    )
    scaler = StandardScaler().fit(values)
    with warnings.catch_warnings():
        # The epochs are told, and so is their bound.
        warnings.simplefilter("ignore", ConvergenceWarning)
        size = batch_size * values.shape[1] * HIDDEN_UNITS
        with logistic.threads_for(size):
            model.fit(scaler.transform(values), labels)
            told = model.predict_proba(scaler.transform(test_values))
    found[:, model.classes_] = told
    return found, model.n_iter_


def majority(
    labels: np.ndarray, num_examples: int, *, num_classes: int
) -> np.ndarray:
    """Chance: what is said where only the most frequent class is known.

    Args:
        labels: int[M], of the training examples.
        num_examples: m, of the test examples.
        num_classes: K.

    Returns:
        float[m, K], 1 for that class.
    """
    found = np.zeros((num_examples, num_classes))
    found[:, np.bincount(labels).argmax()] = 1.0
    return found


def choices() -> dict[str, Any]:
    """What the paper leaves open, as it goes into the record."""
    return {
        "hidden_layers": 1,
        "hidden_units": HIDDEN_UNITS,
        "optimizer": "adam",
        "learning_rate": LEARNING_RATE,
        "batch_size": BATCH_SIZE,
        "held_out": HELD_OUT,
        "patience_updates": PATIENCE_UPDATES,
        "patience_epochs": PATIENCE_EPOCHS,
        "max_updates": MAX_UPDATES,
        "max_epochs": MAX_EPOCHS,
    }
