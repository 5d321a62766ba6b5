"""The losses that training minimises, over the rows of all replicas.

Every function takes tensors, NumPy arrays or lists, and computes in float32.

contrastive     NT-Xent
tiles           NT-Xent in tiles of rows, where memory cannot hold all logits
classification  cross entropies: one class an image, or several
"""

from simclr_tf.losses.classification import (
    accuracy,
    binary_cross_entropies,
    cross_entropy,
    softmax_cross_entropy,
)
from simclr_tf.losses.contrastive import NtXent, nt_xent

__all__ = [
    "NtXent",
    "accuracy",
    "binary_cross_entropies",
    "cross_entropy",
    "nt_xent",
    "softmax_cross_entropy",
]
