"""What the shipped studies have in common, in each of their two sizes."""

from typing import Any

from simclr_tf.studies.study import Measure

# quick: a regression with a fixed strength, fitted when training ends; of
# classifiers, their own score. paper: B.6's linear evaluation.
LINEAR = Measure(
    "linear accuracy",
    (
        "linear:top_1",
        "run:linear_*_labels/top_1",
        "run:eval/label_top_1_accuracy",
    ),
)

_NOTHING_KEPT = {"keep_checkpoint_max": 1, "keep_hub_module_max": 0}

# color_digits: where a crop alone is solved by colours, and no shape is
# learnt. Its recipe: ResNet-10 of half width at 16 px, tau 0.2, least crop 0.3,
# neither mirror nor blur.
QUICK_BASE = {
    "dataset": "color_digits",
    "train_steps": 250,
    "linear_eval_labels": (1000,),
    "linear_eval_draws": 1,
    "linear_eval_of": "features",
    **_NOTHING_KEPT,
}
# ResNet-50, batch 4096, LARS: the defaults.
PAPER_BASE = {
    "dataset": "imagenet2012",
    "train_epochs": 100.0,
    **_NOTHING_KEPT,
}

SIZES = {
    "quick": {"base": QUICK_BASE, "measures": (LINEAR,), "seeds": 3},
    "paper": {
        "base": PAPER_BASE,
        "measures": (LINEAR,),
        "evaluations": {"linear": {"protocol": "probe"}},
        "seeds": 1,
    },
}


def paper(percent: float | None) -> dict[str, float]:
    """A number of the paper for `Setting.paper`; none of None."""
    return {} if percent is None else {LINEAR.name: percent}


def objectives(size: str) -> dict[str, dict[str, Any]]:
    """Name -> arguments of `Setting`, with labels and without. A classifier is
    scored by its own head, and in the paper's size trained for 90 epochs."""
    return {
        "SimCLR": {},
        "supervised": {
            "flags": {"train_mode": "supervised"},
            "base": {"train_epochs": 90.0} if size == "paper" else {},
            "evaluations": {"linear": None},
        },
    }


def without_length(size: str) -> dict[str, Any]:
    """`SIZES` of a size, for studies that say how long training is."""
    common = SIZES[size]
    base = {
        name: value
        for name, value in common["base"].items()
        if name not in ("train_steps", "train_epochs")
    }
    return {**common, "base": base}
