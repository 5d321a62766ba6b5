"""What `forked` imports once, before it forks; nothing that starts threads."""

import run  # noqa: F401, I001  before TensorFlow
import tensorflow as tf  # noqa: F401
import simclr_tf.jobs.embed
import simclr_tf.jobs.protocols.evaluate
import simclr_tf.jobs.follow
import simclr_tf.jobs.training
import simclr_tf.jobs.protocols.transfer_finetune  # noqa: F401
