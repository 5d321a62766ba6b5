"""How hosts reach each other beside the arithmetic.

The chief serves the others names, values and barriers, over connections that
are not those of the collectives. TensorFlow has no public names for it (2.20).
"""

import contextlib

import tensorflow as tf
from tensorflow.python.eager import context


def wait_for_all(barrier: str, seconds: float) -> None:
    """Returns when every host has come to the barrier, once.

    Raises:
        tf.errors.OpError: some did not, in so many seconds.
    """
    context.context().wait_at_barrier(barrier, int(seconds * 1000))


def wait_for_followers(host: int, count: int, seconds: float) -> None:
    """Returns to the chief, host 0, when the others need it no more.

    Raises:
        tf.errors.OpError: one did not say so, in so many seconds.
    """
    here = context.context()
    if host:
        here.set_config_key_value(f"simclr_tf/left/{host}", "yes")
        return
    for other in range(1, count):
        here.get_config_key_value(
            f"simclr_tf/left/{other}", int(seconds * 1000)
        )


def tell_others(text: str) -> None:
    """Ends the collectives of the other hosts, with a text to show.

    Where that cannot be said any more, because a host is missing or the chief
    has gone, each of them finds out by itself.
    """
    with contextlib.suppress(tf.errors.OpError):
        context.context().report_error_to_cluster(
            tf.errors.ABORTED, f"simclr_tf: {text} :simclr_tf"
        )
