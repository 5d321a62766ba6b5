"""Optimizers, and which variables adapt and decay."""

from simclr_tf.optim.lars import Lars
from simclr_tf.optim.selection import (
    adapts,
    decayed_in_loss,
    l2_loss,
    make_optimizer,
)

__all__ = ["Lars", "adapts", "decayed_in_loss", "l2_loss", "make_optimizer"]
