"""Encoder, projection head, linear classifier, and SimCLR out of them."""

from simclr_tf.models.batch_norm import BatchNorm
from simclr_tf.models.heads import LinearHead, ProjectionHead
from simclr_tf.models.resnet import freeze_after_block, resnet
from simclr_tf.models.simclr import SimClr, SimClrOutput, build_simclr

__all__ = [
    "BatchNorm",
    "LinearHead",
    "ProjectionHead",
    "SimClr",
    "SimClrOutput",
    "build_simclr",
    "freeze_after_block",
    "resnet",
]
