"""What training makes small, over the rows of every replica.

contrastive     NT-Xent
tiles           the same in tiles, where the logits are too many to keep
classification  cross-entropies of one class an image, or several
"""

from simclr_tf.losses.classification import (
    accuracy,
    binary_cross_entropies,
    softmax_cross_entropy,
)
from simclr_tf.losses.contrastive import NtXent, nt_xent

__all__ = [
    "NtXent",
    "accuracy",
    "binary_cross_entropies",
    "nt_xent",
    "softmax_cross_entropy",
]
