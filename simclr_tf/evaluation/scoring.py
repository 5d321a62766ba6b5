"""The one way to score: from scores and labels to metrics.

The probe, the fine-tuned classifier, few labels and nearest neighbours all
come here, with the scores of every example of the split, or of a sample spread
over it. An example whose label is -1 does not count, and what is returned says
what was scored and how many examples counted.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from simclr_tf.errors import UserError
from simclr_tf.evaluation import metrics
from simclr_tf.evaluation.statistics import Estimate

# What each protocol scores. `Record.scored` and a run's result say it so.
PROTOCOLS = {
    "probe": "linear probe",
    "logistic": "logistic regression, l2 chosen on held-out labels",
    "knn": "nearest neighbours",
    "transfer_linear": "logistic regression, l2 chosen on the validation split",
    "transfer_finetune": "fine-tuned classifier, best of a grid",
    "knowledge": "MLP that says what was done to the image",
    "own_head": "linear head of the checkpoint",
    "finetune": "fine-tuned classifier",
    "supervised": "classifier from scratch",
    "distill": "distilled classifier",
}
ONLINE_PROBE = "linear probe trained along"
# The official code's names of metrics.
_OFFICIAL_NAMES = {
    "top_1": "label_top_1_accuracy",
    "top_5": "label_top_5_accuracy",
}
_NUM_EXAMPLES = "eval/num_examples"


class Scored(NamedTuple):
    """How something scores.

    Attributes:
        what: was scored, in words: "linear probe".
        metrics: {name: Estimate}, values in [0, 1]; the first is the usual
            one of these labels.
        num_examples: those that counted.
        num_classes: K.
        num_predicted: how many different classes are some example's best; 1
            where the classifier tells nothing apart. None for several labels
            an image.
    """

    what: str
    metrics: Mapping[str, Estimate]
    num_examples: int
    num_classes: int
    num_predicted: int | None


def what_is_scored(train_mode: str, fine_tune_after_block: int) -> str:
    """In words, what the linear head of a run is.

    Args:
        train_mode: "pretrain", "finetune", "supervised" or "distill".
        fine_tune_after_block: 4 where only the linear head is trained.
    """
    if train_mode == "pretrain":
        return ONLINE_PROBE
    if train_mode == "finetune" and fine_tune_after_block == 4:
        return PROTOCOLS["probe"]
    return PROTOCOLS[train_mode]


def what_protocol_scores(protocol: str, l2: float | None = None) -> str:
    """In words; l2 is --l2, None where it is chosen."""
    if l2 is not None:
        return f"logistic regression, l2 fixed ({l2:g})"
    return PROTOCOLS[protocol]


def score(
    scores: np.ndarray,
    labels: np.ndarray,
    *,
    what: str,
    seed: int = 0,
    names: Sequence[str] | None = None,
) -> Scored:
    """Metrics of the examples that count, with their intervals.

    Args:
        scores: float[M, K], logits, probabilities or votes; higher is more
            likely.
        labels: int[M], classes 0..K-1, -1 where there is none; or int[M, K]
            for several labels an image: 1 present, 0 absent, -1 not counted.
        what: is scored, in words: `what_is_scored`, or one of `PROTOCOLS`.
        seed: of the bootstrap.
        names: of the metrics; by default all that fit the labels.

    Raises:
        UserError: no example has a label that counts.
        ValueError: shapes, scores or labels that do not fit each other.
    """
    scores, labels = np.asarray(scores), np.asarray(labels)
    kept = metrics.counted(labels)
    scores, labels = scores[kept], labels[kept]
    if not len(labels) or (labels.ndim == 2 and not (labels == 1).any()):
        raise UserError(
            f"A {what} cannot be scored: none of the {len(kept)} images of "
            "--eval_split that were read has a label that counts. Choose a "
            "split with labels, or more images (--eval_steps=0)."
        )
    return Scored(
        what=what,
        metrics=metrics.evaluate(scores, labels, seed=seed, metrics=names),
        num_examples=len(labels),
        num_classes=scores.shape[1],
        num_predicted=None
        if labels.ndim == 2
        else len(np.unique(scores.argmax(axis=1))),
    )


def to_result(scored: Scored) -> dict[str, Any]:
    """What goes into result.json: the official keys, and ours.

    Returns:
        eval/label_top_1_accuracy and the like, floats in [0, 1];
        eval/intervals, {the same name without eval/: [low, high]};
        eval/scored, eval/num_examples, eval/num_classes and
        eval/num_predicted, see `Scored`.
    """
    named = {
        _OFFICIAL_NAMES.get(name, name): estimate
        for name, estimate in scored.metrics.items()
    }
    return {
        **{f"eval/{name}": one.value for name, one in named.items()},
        "eval/intervals": {
            name: [one.low, one.high] for name, one in named.items()
        },
        "eval/scored": scored.what,
        _NUM_EXAMPLES: scored.num_examples,
        "eval/num_classes": scored.num_classes,
        "eval/num_predicted": scored.num_predicted,
    }


def is_poorer(result: Mapping[str, Any], than: Mapping[str, Any]) -> bool:
    """Whether a result lacks a score that another has, or scored less.

    Args:
        result, than: as they are in result.json. The first must not take the
            place of the second where this is True.
    """
    missing = _scores_in(than) - _scores_in(result)
    fewer = result.get(_NUM_EXAMPLES, 0) < than.get(_NUM_EXAMPLES, 0)
    return bool(missing) or fewer


def _scores_in(result: Mapping[str, Any]) -> set[str]:
    return {
        key
        for key, value in result.items()
        if key.startswith(("eval/", "linear_")) and isinstance(value, float)
    }
