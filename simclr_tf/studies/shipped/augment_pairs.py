"""Figure 5: an operator, or a pair of them, on one view behind the crop.

Differs: the paper's linear evaluation is a run of its own; `quick` fits a
logistic regression on 1,000 labels.
"""

from simclr_tf.studies import sizes
from simclr_tf.studies.study import HeatMap, Setting, Study

OPERATORS = ("crop", "cutout", "color", "sobel", "noise", "blur", "rotate")

# As we remember the figure; each row has its printed mean.
_PAPER = """
33.1 33.9 56.3 46.0 39.9 35.0 30.2
32.2 25.6 33.9 40.0 26.5 25.2 22.4
55.8 35.5 18.8 21.0 11.4 16.5 20.8
46.2 40.6 20.9  4.0  9.3  6.2  4.2
38.8 25.8  7.5  7.6  9.8  9.8  9.6
35.1 25.2 16.6  5.8  9.7  2.6  6.7
30.0 22.5 20.7  4.3  9.7  6.5  2.6
"""


def _settings():
    numbers = iter(map(float, _PAPER.split()))
    for first in OPERATORS:
        for second in OPERATORS:
            # On the diagonal, the operator alone.
            pair = [first] if first == second else [first, second]
            yield Setting(
                {"first": first, "second": second},
                flags={
                    "operators": ",".join(["crop", *pair]),
                    "second_operators": "crop",
                },
                paper=sizes.paper(next(numbers)),
            )


STUDY = {
    size: Study(
        title="Figure 5: pairs of operators on one view, the other being a "
        "crop; on the diagonal one operator",
        settings=list(_settings()),
        figure=HeatMap(rows="first", columns="second"),
        **{**common, "seeds": 1},
    )
    for size, common in sizes.SIZES.items()
}
