"""Results in words, for a terminal."""

from collections.abc import Mapping
from typing import Any

from simclr_tf.evaluation import few_labels, scoring
from simclr_tf.terminal import printable

_SHOWN_AS = {"label_top_1_accuracy": "top-1", "label_top_5_accuracy": "top-5"}

_UNSHOWN = ("mean_per_class", "regularization_loss")


def of_result(result: Mapping[str, Any]) -> str:
    """What result.json says.

    Args:
        result: as `scoring.to_result` and `few_labels.results` make it, with
            global_step, linear_eval_draws and config.
    """
    lines = [f"Result at step {result['global_step']}:"]
    if scores := _scores(result):
        lines.append(
            f"  {_what(result)}: {', '.join(scores)} of "
            f"{result['eval/num_examples']} images"
        )
        if result.get("eval/num_predicted") == 1:
            lines.append("  It puts every image into the same class.")
    budgets = {
        int(key.split("_")[1])
        for key in result
        if key.startswith("linear_") and "_labels/" in key
    }
    for budget in sorted(budgets):
        lines += _few_labels(result, budget)
    if len(lines) == 1:
        lines[0] += " nothing was scored"
        if result.get("eval_split", "") is None:
            lines[0] += ", since there is no split with labels to evaluate on"
        lines[0] += "."
    return "\n".join(lines)


def of_overlap(overlap: int | None, num_examples: int) -> list[str]:
    """A line where images that are scored on are trained on, too; else none.

    Args:
        overlap: so many of them; None where nobody can tell.
        num_examples: that are scored on.
    """
    if not overlap:
        return []
    return [
        f"NOTE: {overlap} of the {num_examples} images of the evaluation are "
        "trained on, too."
    ]


def _scores(result) -> list[str]:
    """The metrics that are shown, in the order they were written."""
    pointless = None
    if result.get("eval/num_classes", 6) <= 5:
        pointless = "label_top_5_accuracy"  # 100 %, whatever is scored
    return [
        f"{_SHOWN_AS.get(name, printable(name))} {value:.1%}"
        for name, value in (
            (key.removeprefix("eval/"), value)
            for key, value in result.items()
            if key.startswith("eval/") and isinstance(value, float)
        )
        if name not in (pointless, *_UNSHOWN)
    ]


def _what(result) -> str:
    if "eval/scored" in result:
        return printable(str(result["eval/scored"]))
    # Results of November 2026 and before do not say it.
    config = result["config"]
    return scoring.what_is_scored(
        config["job"]["train_mode"],
        config.get("model", {}).get("fine_tune_after_block", -1),
    )


def _few_labels(result, budget: int) -> list[str]:
    lines = [
        f"  {few_labels.WHAT}, on {budget} labels, top-1 over "
        f"{result['linear_eval_draws']} draws (mean +- deviation):"
    ]
    for suffix, name in few_labels.ENCODER_SUFFIXES.items():
        key = f"linear_{budget}_labels/top_1{suffix}"
        if key in result:
            mean, deviation = result[key], result[f"{key}_deviation"]
            lines.append(f"    {name:<20}{mean:>7.1%} +- {deviation:.1%}")
    return lines
