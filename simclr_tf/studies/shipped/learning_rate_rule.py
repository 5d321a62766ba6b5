"""Table B.1: the learning rate grows with the batch, or with its root.

In each size, both rules agree at the largest batch of `quick`, 256, or at
4096.
"""

from simclr_tf.studies import sizes
from simclr_tf.studies.study import Curves, Setting, Study

_RATES = {
    "quick": {"linear": 1.6, "sqrt": 0.1},
    "paper": {"linear": 0.3, "sqrt": 0.075},
}
_EPOCHS = (100, 200, 400, 800)
# batch -> linear and square root, for each number of epochs.
_PAPER = {
    256: ((57.5, 61.9, 64.7, 66.6), (62.8, 64.3, 65.7, 66.5)),
    512: ((60.7, 64.0, 66.2, 67.8), (63.8, 65.6, 66.7, 67.4)),
    1024: ((62.8, 65.3, 67.2, 68.5), (64.3, 66.1, 67.2, 68.3)),
    2048: ((64.0, 66.1, 68.1, 68.9), (64.7, 66.8, 67.9, 68.8)),
    4096: ((64.6, 66.5, 68.2, 68.9), (64.5, 66.8, 68.0, 69.1)),
    8192: ((64.8, 66.6, 67.8, 69.0), (64.8, 67.0, 68.3, 69.1)),
}
_QUICK_BATCHES, _QUICK_EPOCHS = (32, 64, 128, 256), 40


def _rows(size):
    """(batch, epochs, rule, the paper's number)."""
    if size == "quick":
        for batch in _QUICK_BATCHES:
            for rule in _RATES[size]:
                yield batch, _QUICK_EPOCHS, rule, None
        return
    for batch, columns in _PAPER.items():
        for rule, numbers in zip(_RATES[size], columns, strict=True):
            for epochs, number in zip(_EPOCHS, numbers, strict=True):
                yield batch, epochs, rule, number


def _settings(size):
    for batch, epochs, rule, number in _rows(size):
        yield Setting(
            {"rule": rule, "batch": batch, "epochs": epochs},
            flags={
                "learning_rate_scaling": rule,
                "learning_rate": _RATES[size][rule],
                "train_batch_size": batch,
                "train_epochs": float(epochs),
            },
            paper=sizes.paper(number),
        )


STUDY = {
    size: Study(
        title="Table B.1: linear and square-root learning rates",
        settings=list(_settings(size)),
        figure=Curves(x="batch", lines=("rule", "epochs")),
        **{
            **sizes.without_length(size),
            "seeds": {"quick": 3, "paper": 1}[size],
        },
    )
    for size in sizes.SIZES
}
