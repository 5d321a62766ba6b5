"""The optimizers, and the choice of variables that decay and adapt.

lars       LARS
selection  which variables decay and adapt, and the optimizer by its name
"""

from simclr_tf.optim.lars import Lars
from simclr_tf.optim.selection import (
    adapts,
    decayed_in_loss,
    l2_loss,
    make_optimizer,
)

__all__ = ["Lars", "adapts", "decayed_in_loss", "l2_loss", "make_optimizer"]
