"""Learning rates: scaled with the batch, warmed up, decayed by a cosine.

Paper: section 2.1 and appendix B.1 (base rate times batch / 256, or times its
square root; linear warm-up over 10 epochs, cosine decay without restarts).
"""

import math

import tensorflow as tf
import tf_keras as keras

from simclr_tf.errors import UserError


def scaled_learning_rate(
    base: float, *, global_batch_size: int, rule: str
) -> float:
    """Peak learning rate for a batch size (appendix B.1).

    Args:
        base: `--learning_rate`.
        global_batch_size: examples per step over all replicas.
        rule: "linear", base * B / 256, or "sqrt", base * sqrt(B).

    Raises:
        UserError: an unknown rule.
    """
    if rule == "linear":
        return base * global_batch_size / 256
    if rule == "sqrt":
        return base * math.sqrt(global_batch_size)
    raise UserError(
        f"--learning_rate_scaling must be linear or sqrt. Received: {rule!r}."
    )


def steps_of_training(
    *, num_examples: int, epochs: float, global_batch_size: int
) -> int:
    """Length of training in steps. Ref: tf2/model.py, get_train_steps."""
    return int(num_examples * epochs // global_batch_size) + 1


def steps_of_warmup(
    *, num_examples: int, epochs: float, global_batch_size: int
) -> int:
    """Length of the warm-up in steps. Ref: tf2/model.py, WarmUpAndCosineDecay.

    Rounded down: the official round() sees an integer already.
    """
    return int(num_examples * epochs // global_batch_size)


class WarmupCosine(keras.optimizers.schedules.LearningRateSchedule):
    """Linear warm-up from 0, then cosine decay to 0.

        rate(s) = peak * s / W                                 for s < W
        rate(s) = peak * (1 + cos(pi * (s - W) / (T - W))) / 2 from there

    Ref: the first update has rate 0 and the last a rate just above 0, as in
    the official code. With W = 0 the first update has the peak rate.

    Args:
        peak: highest learning rate.
        warmup_steps: W >= 0, less than T.
        total_steps: T >= 1.
    """

    def __init__(self, peak: float, warmup_steps: int, total_steps: int):
        if not 0 <= warmup_steps < total_steps:
            raise UserError(
                "--warmup_epochs must be shorter than the training. Received: "
                f"{warmup_steps} warm-up steps of {total_steps} steps. Lower "
                "--warmup_epochs or train for longer (--train_epochs, "
                "--train_steps)."
            )
        super().__init__()
        self.peak = peak
        self.warmup_steps = warmup_steps
        self.total_steps = total_steps

    def __call__(self, step):
        step = tf.cast(step, tf.float32)
        warm = self.peak * step / max(self.warmup_steps, 1)
        done = (step - self.warmup_steps) / (
            self.total_steps - self.warmup_steps
        )
        # (1 + cos x) / 2 = cos(x / 2) ** 2, which does not cancel near the end.
        cosine = self.peak * tf.cos(math.pi / 2 * tf.minimum(done, 1.0)) ** 2
        return tf.where(step < self.warmup_steps, warm, cosine)

    def get_config(self):
        return {
            "peak": self.peak,
            "warmup_steps": self.warmup_steps,
            "total_steps": self.total_steps,
        }
