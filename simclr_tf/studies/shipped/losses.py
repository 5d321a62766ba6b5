"""Table 4: NT-Xent, NT-Logistic and margin triplet, each tuned (B.10).

Negatives are of the other view only, as in the paper's comparison. Each loss
counts with the best of its grid. Differs: the grid of `quick` is smaller, and
NT-Xent is tuned there, too.
"""

from simclr_tf.studies import sizes
from simclr_tf.studies.study import Bars, Setting, Study

_RATES = {"quick": (0.1, 0.3), "paper": (0.01, 0.1, 0.3, 0.5, 1.0)}
_TEMPERATURES = {"quick": (0.2, 0.5), "paper": (0.1, 0.2, 0.5, 1.0)}
_MARGINS = {"quick": (0.4, 0.8), "paper": (0.0, 0.4, 0.8, 1.6)}
_XENT = {
    "quick": [(r, t) for r in _RATES["quick"] for t in _TEMPERATURES["quick"]],
    "paper": [(0.3, 0.1)],
}
_PAPER = {
    "NT-Xent": 63.9,
    "NT-Logistic": 51.6,
    "Margin": 50.9,
    "NT-Logistic (sh)": 57.9,
    "Margin (sh)": 57.5,
}


def _setting(name, flags, rate, name_of_number, number):
    return Setting(
        {
            "loss": name,
            "rate": rate,
            "tau or m": number,
        },
        flags={
            **flags,
            "negative_views": "other",
            "learning_rate": rate,
            name_of_number: number,
        },
        paper=sizes.paper(_PAPER[name]),
    )


def _settings(size):
    for rate, temperature in _XENT[size]:
        yield _setting(
            "NT-Xent", {"loss": "nt_xent"}, rate, "temperature", temperature
        )
    for suffix, flags in {"": {}, " (sh)": {"semi_hard": True}}.items():
        for rate in _RATES[size]:
            for temperature in _TEMPERATURES[size]:
                yield _setting(
                    f"NT-Logistic{suffix}",
                    {"loss": "nt_logistic", **flags},
                    rate,
                    "temperature",
                    temperature,
                )
            for margin in _MARGINS[size]:
                if flags and not margin:
                    continue  # no negative is within 0 of the positive
                yield _setting(
                    f"Margin{suffix}",
                    {"loss": "margin_triplet", **flags},
                    rate,
                    "margin",
                    margin,
                )


STUDY = {
    size: Study(
        title="Table 4: losses (sh: semi-hard), each the best of its grid",
        settings=list(_settings(size)),
        figure=Bars(x="loss", best_over=("rate", "tau or m")),
        **common,
    )
    for size, common in sizes.SIZES.items()
}
