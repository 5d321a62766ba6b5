"""Settings of fine-tuning that are tried on a transfer set (appendix B.8)."""

import dataclasses
from typing import NamedTuple

import numpy as np


@dataclasses.dataclass(frozen=True)
class FineTuning:
    """How a network is fine-tuned on one of the sets.

    Attributes:
        train_steps, batch_size, momentum: Paper: SGD with Nesterov momentum.
        learning_rates: of a batch of 256.
        weight_decays: before division by the learning rate.
        learning_rate_schedule: not stated in the paper.
        warmup_steps: not stated in the paper.
    """

    train_steps: int
    learning_rates: tuple[float, ...]
    weight_decays: tuple[float, ...]
    batch_size: int = 256
    momentum: float = 0.9
    learning_rate_schedule: str = "cosine"
    warmup_steps: int = 0

    def points(self) -> list["GridPoint"]:
        """Every pair, learning rate by learning rate, in a fixed order."""
        pairs = [
            (rate, decay)
            for rate in self.learning_rates
            for decay in self.weight_decays
        ]
        return [
            GridPoint(number, rate, decay / rate, decay)
            for number, (rate, decay) in enumerate(pairs)
        ]


class GridPoint(NamedTuple):
    """A setting to try.

    Attributes:
        number: in the grid.
        learning_rate: peak.
        weight_decay: what the loss has: the grid's, divided by the learning
            rate.
        grid_weight_decay: the grid's.
    """

    number: int
    learning_rate: float
    weight_decay: float
    grid_weight_decay: float


def _log_spaced(low: float, high: float, number: int) -> tuple[float, ...]:
    return tuple(float(x) for x in np.logspace(low, high, number))


# Paper: 7 learning rates from 1e-4 to 0.1; 7 weight decays from 1e-6 to 1e-3
# and none.
PRETRAINED = FineTuning(
    train_steps=20_000,
    learning_rates=_log_spaced(-4, -1, 7),
    weight_decays=(*_log_spaced(-6, -3, 7), 0.0),
)
# Paper: for networks from scratch. Whether these weight decays are divided by
# the learning rate is not stated; here they are, as above.
FROM_SCRATCH = FineTuning(
    train_steps=40_000,
    learning_rates=_log_spaced(-3, 0, 7),
    weight_decays=_log_spaced(-5, -1.5, 8),
)


def batch_norm_momentum(num_examples: int, *, batch_size: int = 256) -> float:
    """max(1 - 10 / s, 0.9), s the steps of an epoch."""
    return max(1 - 10 * batch_size / num_examples, 0.9)
