"""Figure 9: how large a batch, for how long (numbers: Table B.1, left)."""

from simclr_tf.studies import sizes
from simclr_tf.studies.study import Bars, Setting, Study

# Of the linear rule.
PAPER = {
    256: {100: 57.5, 200: 61.9, 400: 64.7, 800: 66.6},
    512: {100: 60.7, 200: 64.0, 400: 66.2, 800: 67.8},
    1024: {100: 62.8, 200: 65.3, 400: 67.2, 800: 68.5},
    2048: {100: 64.0, 200: 66.1, 400: 68.1, 800: 68.9},
    4096: {100: 64.6, 200: 66.5, 400: 68.2, 800: 68.9},
    8192: {100: 64.8, 200: 66.6, 400: 67.8, 800: 69.0},
}
_QUICK = {batch: dict.fromkeys((20, 40, 80)) for batch in (64, 128, 256)}


def _settings(table):
    for batch, numbers in table.items():
        for epochs, number in numbers.items():
            yield Setting(
                {"batch": batch, "epochs": epochs},
                flags={
                    "train_batch_size": batch,
                    "train_epochs": float(epochs),
                },
                paper=sizes.paper(number),
            )


STUDY = {
    size: Study(
        title="Figure 9: batch size and epochs",
        settings=list(_settings({"quick": _QUICK, "paper": PAPER}[size])),
        figure=Bars(x="epochs", lines=("batch",)),
        **sizes.without_length(size),
    )
    for size in sizes.SIZES
}
