"""Figure 8: which projection head, how wide its output; scored before and
behind it.

The paper prints no numbers: a nonlinear head is about 3 points better than a
linear one, that more than 10 better than none; z is more than 10 below h.
"""

from simclr_tf.studies import sizes
from simclr_tf.studies.study import Curves, Measure, Setting, Study

# Without a head, z is h: its dimension is the last.
_DIMENSIONS = {
    "quick": (16, 64, 256),
    "paper": (32, 64, 128, 256, 512, 1024, 2048),
}
_LAYERS = {"linear": 1, "nonlinear": 2}
_MEASURES = (
    Measure("h", ("h:top_1", "run:linear_*_labels/top_1")),
    # Of the paper's size without a head nothing scores z: it is h.
    Measure(
        "z", ("z:top_1", "run:linear_*_labels/top_1_projections", "h:top_1")
    ),
)


def _settings(size):
    dimensions = _DIMENSIONS[size]
    yield Setting(
        {"head": "none", "dimension": dimensions[-1]},
        flags={"proj_head_mode": "none"},
        evaluations={"z": None},
    )
    for head, layers in _LAYERS.items():
        for dimension in dimensions:
            yield Setting(
                {"head": head, "dimension": dimension},
                flags={"proj_head_mode": head, "proj_out_dim": dimension},
                evaluations={"z": {"ft_proj_selector": layers}},
            )


_SIZES = {
    "quick": {
        "base": {
            **sizes.QUICK_BASE,
            "linear_eval_of": "features,projections",
        },
        "seeds": 3,
    },
    "paper": {
        "base": sizes.PAPER_BASE,
        "evaluations": {name: {"protocol": "probe"} for name in ("h", "z")},
    },
}

STUDY = {
    size: Study(
        title="Figure 8: projection heads, scored on h and on z",
        settings=list(_settings(size)),
        figure=Curves(x="dimension", lines=("head",)),
        measures=_MEASURES,
        **own,
    )
    for size, own in _SIZES.items()
}
