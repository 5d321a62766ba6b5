"""The losses that training minimises, over the rows of all replicas.

Every function takes tensors, NumPy arrays or lists, and computes in float32.

contrastive     NT-Xent
triplets        NT-Logistic and margin triplet
named           which of these three, by its name
rows            whose rows they compare
tiles           they in tiles of rows, where memory cannot hold all logits
classification  cross entropies: one class an image, or several
distillation    cross entropy of a teacher's classes
"""

from simclr_tf.losses.classification import (
    accuracy,
    binary_cross_entropies,
    cross_entropy,
    softmax_cross_entropy,
)
from simclr_tf.losses.contrastive import NtXent, nt_xent
from simclr_tf.losses.distillation import distillation
from simclr_tf.losses.triplets import Triplets, margin_triplet, nt_logistic

__all__ = [
    "NtXent",
    "Triplets",
    "accuracy",
    "binary_cross_entropies",
    "cross_entropy",
    "distillation",
    "margin_triplet",
    "nt_logistic",
    "nt_xent",
    "softmax_cross_entropy",
]
