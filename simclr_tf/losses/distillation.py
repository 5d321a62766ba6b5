"""Distillation: a student's classes are made those of a teacher.

SimCLRv2 (Chen et al. 2020, arXiv:2006.10029), section 2, equation 2. The loss
is a mean over the images of the global batch. A replica returns its share of
that mean: the shares of all replicas add up to it.
"""

import tensorflow as tf

from simclr_tf import distributed


def distillation(
    teacher_logits: tf.Tensor, student_logits: tf.Tensor, *, temperature: float
) -> tf.Tensor:
    """This replica's share of the distillation loss, float32[].

        P(y | x; tau) = softmax(logits / tau)[y]
        loss = -1/RN sum_x sum_y P_teacher(y | x; tau) log P_student(y | x; tau)

    Labels have no part in it, and no gradient goes to the teacher. What is
    added to all logits of an image changes nothing.

    Args:
        teacher_logits: float[N, K].
        student_logits: float[N, K].
        temperature: tau, above 0. The smaller, the more the teacher's best
            class is all that counts.
    """
    teacher_logits, student_logits = (
        tf.cast(logits, tf.float32) / temperature
        for logits in (teacher_logits, student_logits)
    )
    targets = tf.stop_gradient(tf.nn.softmax(teacher_logits))
    each = tf.nn.softmax_cross_entropy_with_logits(targets, student_logits)
    return tf.reduce_mean(each) / distributed.num_replicas()
