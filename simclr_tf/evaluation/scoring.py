"""The numbers that a run ends with, and how they are shown."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import tensorflow as tf

from simclr_tf.data.sources import Source
from simclr_tf.errors import UserError
from simclr_tf.evaluation import features, few_labels

# Result keys are linear_<n>_labels/top_1<suffix>.
_ENCODER_SUFFIXES = {
    "": "pretrained encoder",
    "_random_encoder": "random encoder",
    "_raw_pixels": "raw pixels",
}
_HEADS = {
    "pretrain": "linear probe trained along",
    "finetune": "fine-tuned classifier",
    "supervised": "classifier from scratch",
}
_POOL_FACTOR = 4
_LEAST_POOL = 10_000


def pool_size(budgets: Sequence[int]) -> int:
    """How many training examples labels are drawn from.

    Encoding all of a large split to use few of its labels would be waste.
    """
    return max(_LEAST_POOL, _POOL_FACTOR * max(budgets))


def check_budgets(budgets: Sequence[int], source: Source) -> None:
    """Finds before training what would keep labels from being drawn after it.

    Raises:
        UserError: naming --linear_eval_labels.
    """
    if budgets and not source.has_labels:
        raise UserError(
            "--linear_eval_labels needs labels, and "
            f"--train_split={source.split} has none. Leave it out "
            "(--linear_eval_labels=)."
        )
    for budget in budgets:
        few_labels.labels_per_class(budget, source.num_classes)
        if budget > source.num_examples:
            raise UserError(
                f"--linear_eval_labels={budget} is more than the "
                f"{source.num_examples} images of "
                f"--train_split={source.split}."
            )


def few_label_results(
    encoders: Sequence[Callable[[tf.Tensor], tf.Tensor]],
    *,
    train: Callable[[], Iterable],
    test: Callable[[], Iterable],
    strategy: tf.distribute.Strategy,
    budgets: Sequence[int],
    num_classes: int,
    num_draws: int,
    seed: int,
) -> dict[str, float]:
    """Top-1 of logistic regressions on few labels, over several encoders.

    Args:
        encoders: the pretrained encoder, the random one it started from, and
            the raw pixels; float32[N, S, S, 3] -> float[N, D] each.
        train, test: give a distributed dataset of the split's examples.
        strategy: where the replicas run.
        budgets: numbers of labels.
        num_classes: K.
        num_draws: class-balanced draws of labels that are averaged over, the
            same ones for every encoder.
        seed: decides the draws.

    Returns:
        linear_<n>_labels/top_1<suffix> and ..._deviation, in [0, 1].
    """
    results = {}
    for suffix, encode in zip(_ENCODER_SUFFIXES, encoders, strict=True):
        train_features, test_features = (
            features.extract(encode, split(), strategy=strategy)
            for split in (train, test)
        )
        for budget in budgets:
            score = few_labels.score(
                train_features,
                test_features,
                num_labels=budget,
                num_classes=num_classes,
                num_draws=num_draws,
                seed=seed,
            )
            key = f"linear_{budget}_labels/top_1{suffix}"
            results[key] = score.mean
            results[f"{key}_deviation"] = score.deviation
    return results


def report(result: Mapping[str, Any]) -> str:
    """A result in words and columns, for a terminal."""
    lines = [f"Result at step {result['global_step']}:"]
    if "eval/label_top_1_accuracy" in result:
        lines.append(
            f"  {_HEADS[result['config']['job']['train_mode']]}: top-1 "
            f"{result['eval/label_top_1_accuracy']:.1%}, top-5 "
            f"{result['eval/label_top_5_accuracy']:.1%} of "
            f"{result['eval/num_examples']} images"
        )
    budgets = sorted(
        {
            int(key.split("_")[1])
            for key in result
            if key.startswith("linear_") and "_labels/" in key
        }
    )
    for budget in budgets:
        lines.append(
            f"  logistic regression on {budget} labels, top-1 over "
            f"{result['linear_eval_draws']} draws (mean +- deviation):"
        )
        for suffix, name in _ENCODER_SUFFIXES.items():
            key = f"linear_{budget}_labels/top_1{suffix}"
            mean, deviation = result[key], result[f"{key}_deviation"]
            lines.append(f"    {name:<20}{mean:>7.1%} +- {deviation:.1%}")
    return "\n".join(lines)
