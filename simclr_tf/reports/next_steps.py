"""What can be done with an encoder, as commands that can be copied."""

import shlex


def after_pretraining(
    model_dir: str,
    *,
    views: str | None,
    scored: bool,
    has_labels: bool,
    sliceable: bool,
    is_folder: bool,
) -> str:
    """Lines for the end of a pretraining.

    Args:
        model_dir: of the run.
        views: where views.png lies; None where there is none.
        scored: whether it could be evaluated.
        has_labels: whether the images have labels.
        sliceable: whether a part of the training split could be held out.
        is_folder: whether they are a folder's, whose labels are the user's.
    """
    run = f"--checkpoint={shlex.quote(model_dir)}"
    lines = ["What can be done now:"]
    if views:
        lines.append(f"  look at the views that it learned from: {views}")
    what = "its features, and see who is near whom, a map, near-duplicates"
    if is_folder:  # of which these pictures are there
        what = "features of these images, or of others (--data_dir=FOLDER)"
    lines += [f"  write {what}:", f"    python run.py --mode=embed {run}"]
    if has_labels and not scored and sliceable:
        lines += [
            "  score it on a part that is held out:",
            f"    python run.py --mode=evaluate --protocol=knn {run} "
            "'--train_split=train[:80%]' '--eval_split=train[80%:]'",
        ]
    if has_labels:
        lines += [
            "  train a classifier on it:",
            f"    python run.py --mode=train --train_mode=finetune {run}",
        ]
    elif is_folder:
        lines.append(
            "  score it: this takes labels, as class folders or "
            "--labels=FILE.csv"
        )
    else:
        lines += [
            "  score it, with the name of a split that has labels:",
            f"    python run.py --mode=evaluate --protocol=knn {run} "
            "--train_split=SPLIT",
        ]
    return "\n".join(lines)
