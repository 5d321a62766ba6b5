"""Whether TensorFlow can get at a place at all, before anything is built.

A scheme that it does not know is an error at every use, and a store that
nobody reaches is one after minutes of retries. Both are found here, in one
line that names the flag. What is missing on a local disk is for whoever opens
it to say.
"""

import os
import re
import threading

import tensorflow as tf

from simclr_tf.config import Config, resolve, roles
from simclr_tf.config.option import Role
from simclr_tf.errors import NotHere, UserError

gfile = tf.io.gfile

# A store that is there answers in one; TensorFlow retries for minutes.
PATIENCE_SECONDS = 20.0
_PATTERN = re.compile(r"\[.+\]|\\")


def require_reachable(
    flag: str, path: str, *, patience_seconds: float = PATIENCE_SECONDS
) -> None:
    """Asks a store for a path; it need not exist.

    Args:
        flag: that named it, for the message.
        path: of any kind; one without a scheme is local, and not looked at.
        patience_seconds: how long the store may take to answer.

    Raises:
        UserError: the scheme is unknown.
        NotHere: the store is not reached.
    """
    if "://" not in path:
        return
    failed: list[Exception] = []

    def ask():
        try:
            gfile.exists(path)
        except Exception as error:
            failed.append(error)

    # A daemon: TensorFlow cannot be told to stop trying.
    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    asking.join(patience_seconds)
    if asking.is_alive():
        raise NotHere(
            f"--{flag}={path} did not answer within {patience_seconds:g} s. Is "
            "there a way to it from here?"
        )
    if failed:
        [error] = failed
        unknown = isinstance(error, tf.errors.UnimplementedError)
        raise (UserError if unknown else NotHere)(
            f"--{flag}={path} cannot be reached: {_reason(error)}"
        )


def require_known(flag: str, path: str) -> None:
    """Checks the scheme only, of a place that others will go to.

    Raises:
        UserError: TensorFlow has no file system of that name.
    """
    if "://" not in path or path.startswith("gs://"):
        return
    require_reachable(flag, path)


def require_no_pattern(flag: str, path: str) -> None:
    """TensorFlow writes checkpoints to any path, and looks for one that it is
    to read by a pattern.

    Raises:
        UserError: it would not find there what it wrote.
    """
    if _PATTERN.search(path):
        raise UserError(
            f"--{flag}={path}: TensorFlow takes [...] and \\ in the path of a "
            "checkpoint for a pattern, and would not find there what it "
            "saved. Name a folder without them; what lies in one can be read "
            "after the folder has another name."
        )


def absolute(path: str) -> str:
    """A local path, or several with commas, as other folders see it too.

    Args:
        path: of any kind; a store's stays.
    """
    whole = os.path.expanduser(path)
    if "," in path and not gfile.exists(whole):
        return ",".join(absolute(part) for part in path.split(",") if part)
    return path if "://" in path else os.path.abspath(whole)


def seen_from_anywhere(config: Config) -> Config:
    """With every place in full: whoever looks at a run may stand in another
    folder. That of the run itself is whoever's who looks."""
    named = roles.values_of(config, Role.LOCATION)
    del named["model_dir"]
    return resolve.overlay(
        config, {n: absolute(path) for n, path in named.items() if path}
    )


def _reason(error: Exception) -> str:
    if isinstance(error, tf.errors.UnimplementedError):
        return "TensorFlow knows paths of this machine, and gs://."
    text = getattr(error, "message", None) or str(error)
    return (text.splitlines() or [type(error).__name__])[0]
