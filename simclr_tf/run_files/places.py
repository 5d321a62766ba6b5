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


def seen_from(config: Config, cwd: str | None) -> Config:
    """With what was named relative to a folder named in full, where it is
    there still. Who looks at a run may stand in another folder; a project that
    was moved as a whole is gone on with from where it is.

    Args:
        config: of the run.
        cwd: the folder that its command was given in; None: nobody knows.
    """
    named = roles.values_of(config, Role.LOCATION)
    del named["model_dir"]  # that of whoever looks
    changes = {
        name: there
        for name, path in named.items()
        if path and cwd and (there := _there(cwd, path))
    }
    return resolve.overlay(config, changes)


def _there(cwd: str, path: str) -> str | None:
    """A path, or several with commas, in full; None where nothing is there."""
    if "://" in path:
        return path
    whole = os.path.join(cwd, os.path.expanduser(path))
    if os.path.exists(whole):
        return os.path.realpath(whole)
    if "," not in path:
        return None
    parts = [_there(cwd, part) for part in path.split(",") if part]
    return ",".join(parts) if all(parts) else None


def _reason(error: Exception) -> str:
    if isinstance(error, tf.errors.UnimplementedError):
        return "TensorFlow knows paths of this machine, and gs://."
    text = getattr(error, "message", None) or str(error)
    return (text.splitlines() or [type(error).__name__])[0]
