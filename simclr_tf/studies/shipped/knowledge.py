"""Table 3: what h knows of what was done to an image, and g(h) no longer.

g keeps the dimension of h. The paper adds the operator that is asked for to
crop and colour, in both views; it doesn't say whether one encoder has all of
them, so here each has a run.
"""

from simclr_tf.studies import sizes
from simclr_tf.studies.study import Bars, Measure, Setting, Study

# What is asked for: the operator that training adds, the paper's h and g(h).
_ASKED = {
    "color": (None, 99.3, 97.4),
    "rotation": ("rotate", 67.6, 25.6),
    "noise": ("noise", 99.5, 59.6),
    "sobel": ("sobel", 96.6, 56.3),
}
_WIDTH = {"quick": 256, "paper": 2048}
_PARTS = {"h": "h", "g(h)": "z", "chance": "chance"}

_MEASURES = tuple(
    Measure(
        f"{asked} from {part}",
        (f"knowledge:{asked}/{key}/top_1",),
        panel=asked,
        line=part,
    )
    for asked in _ASKED
    for part, key in _PARTS.items()
)


def _settings():
    for asked, (added, of_h, of_z) in _ASKED.items():
        operators = ["crop", "color", *([added] if added else [])]
        yield Setting(
            {"trained on": ", ".join(operators)},
            flags={"operators": ",".join(operators)},
            paper={f"{asked} from h": of_h, f"{asked} from g(h)": of_z},
        )


_SIZES = {
    "quick": {
        "base": {**sizes.QUICK_BASE, "linear_eval_labels": ()},
        "seeds": 3,
    },
    "paper": {"base": sizes.PAPER_BASE},
}

STUDY = {
    size: Study(
        title="Table 3: which transformation it was, from h and from g(h)",
        settings=list(_settings()),
        figure=Bars(x="trained on"),
        measures=_MEASURES,
        **{
            **own,
            "base": {**own["base"], "proj_out_dim": _WIDTH[size]},
            "evaluations": {"knowledge": {"protocol": "knowledge"}},
        },
    )
    for size, own in _SIZES.items()
}
