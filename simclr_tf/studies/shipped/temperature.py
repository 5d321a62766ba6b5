"""Table 5: temperature, with and without normalised projections."""

from simclr_tf.studies import sizes
from simclr_tf.studies.study import Curves, Measure, Setting, Study

_ENTROPY = Measure("entropy", ("run:train/contrast_entropy",), scale=1.0)
_CONTRASTIVE = Measure("contrastive accuracy", ("run:train/contrast_acc",))
# (l2 norm, tau): entropy, contrastive accuracy, linear accuracy.
_PAPER = {
    ("yes", 0.05): (1.0, 90.5, 59.7),
    ("yes", 0.1): (4.5, 87.8, 64.4),
    ("yes", 0.5): (8.2, 68.2, 60.7),
    ("yes", 1.0): (8.3, 59.1, 58.0),
    ("no", 10.0): (0.5, 91.7, 57.2),
    ("no", 100.0): (0.5, 92.1, 57.0),
}


def _settings():
    for (norm, tau), (entropy, contrastive, linear) in _PAPER.items():
        yield Setting(
            {"l2 norm": norm, "tau": tau},
            flags={"hidden_norm": norm == "yes", "temperature": tau},
            paper={
                _ENTROPY.name: entropy,
                _CONTRASTIVE.name: contrastive,
                **sizes.paper(linear),
            },
        )


STUDY = {
    size: Study(
        title="Table 5: temperature and normalisation",
        settings=list(_settings()),
        figure=Curves(x="tau", lines=("l2 norm",)),
        **{
            **common,
            "measures": (*common["measures"], _ENTROPY, _CONTRASTIVE),
        },
    )
    for size, common in sizes.SIZES.items()
}
