"""Figures B.7 and B.8: batch, epochs, temperature and rate on CIFAR-10.

The paper prints no numbers but the best, 94.0 (batch 1024, 1000 epochs).
"""

from simclr_tf.studies import sizes
from simclr_tf.studies.study import Curves, Setting, Study

_GRIDS = {
    "quick": {
        "batches": (64, 128, 256),
        "epochs": (20,),
        "temperatures": (0.1, 0.5, 1.0),
        "rates": (0.05, 0.1, 0.2),
    },
    "paper": {
        "batches": (256, 512, 1024, 2048, 4096),
        "epochs": (100, 500, 1000),
        "temperatures": (0.1, 0.5, 1.0),
        "rates": (0.5, 1.0, 1.5),
    },
}
_CIFAR = {"dataset": "cifar10", "resnet_depth": 50}


def _settings(*, batches, epochs, temperatures, rates):
    for length in epochs:
        for batch in batches:
            for tau in temperatures:
                for rate in rates:
                    yield Setting(
                        {
                            "epochs": length,
                            "batch": batch,
                            "tau": tau,
                            "rate": rate,
                        },
                        flags={
                            "train_epochs": float(length),
                            "train_batch_size": batch,
                            "temperature": tau,
                            "learning_rate": rate,
                        },
                    )


def _study(size):
    common = {**sizes.without_length(size), "seeds": 1}
    if size == "paper":
        common["base"] = {**common["base"], **_CIFAR}
    return Study(
        title="Figures B.7 and B.8: CIFAR's grids; the best rate counts",
        settings=list(_settings(**_GRIDS[size])),
        figure=Curves(x="batch", lines=("epochs", "tau"), best_over=("rate",)),
        **common,
    )


STUDY = {size: _study(size) for size in sizes.SIZES}
