"""Table B.1: the learning rate grows with the batch, or with its root.

In each size, both rules agree at the largest batch of `quick`, 256, or at
4096.
"""

from simclr_tf.studies import sizes
from simclr_tf.studies.shipped import batch_epochs
from simclr_tf.studies.study import Curves, Setting, Study

_RATES = {
    "quick": {"linear": 1.6, "sqrt": 0.1},
    "paper": {"linear": 0.3, "sqrt": 0.075},
}
# batch -> of the square root, for each number of epochs of Figure 9, which has
# the linear rule.
_SQRT = {
    256: (62.8, 64.3, 65.7, 66.5),
    512: (63.8, 65.6, 66.7, 67.4),
    1024: (64.3, 66.1, 67.2, 68.3),
    2048: (64.7, 66.8, 67.9, 68.8),
    4096: (64.5, 66.8, 68.0, 69.1),
    8192: (64.8, 67.0, 68.3, 69.1),
}
_QUICK_BATCHES, _QUICK_EPOCHS = (32, 64, 128, 256), 40


def _rows(size):
    """(batch, epochs, rule, the paper's number)."""
    if size == "quick":
        for batch in _QUICK_BATCHES:
            for rule in _RATES[size]:
                yield batch, _QUICK_EPOCHS, rule, None
        return
    for batch, linear in batch_epochs.PAPER.items():
        sqrt = dict(zip(linear, _SQRT[batch], strict=True))
        for rule, numbers in {"linear": linear, "sqrt": sqrt}.items():
            for epochs, number in numbers.items():
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
        **sizes.without_length(size),
    )
    for size in sizes.SIZES
}
