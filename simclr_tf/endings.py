"""What ends a job from outside, in words: disks, memory, other hosts.

An error of one of these is no fault of this program, and no traceback helps
whoever has to mend it. Anything else is.
"""

import contextlib
import errno
import os
import re
import tempfile

import tensorflow as tf

from simclr_tf.config import Config, roles
from simclr_tf.config.job_kinds import Job
from simclr_tf.errors import UserError
from simclr_tf.run_files import loading

# Of a file system, whatever the file.
_STORAGE = (
    errno.ENOSPC,
    errno.EDQUOT,
    errno.EROFS,
    errno.EFBIG,
    errno.EIO,
    errno.ESTALE,
    errno.ENOTCONN,
)
# Of a file system, if it is of a file in the job's own folder.
_PLACE = (errno.ENOENT, errno.EACCES, errno.EPERM, errno.ENOTDIR)
_LOST = (
    tf.errors.UnavailableError,
    tf.errors.AbortedError,
    tf.errors.CancelledError,
    tf.errors.DeadlineExceededError,
    tf.errors.FailedPreconditionError,
    tf.errors.InternalError,
)
# See train/coordination.py, tell_others.
_TOLD = re.compile(r"simclr_tf: (.*?) :simclr_tf")
_SHOWN = 300  # characters of another program's message


def in_words(error: Exception, config: Config) -> str | None:
    """One line for the user, or None: then it is a fault of this program.

    Args:
        error: that ended a job.
        config: of the job.
    """
    # What another host tells may be of its disk, and is not of this one's.
    for explain in (_told, _storage, _memory, _descriptors, _lost_host):
        if line := explain(error, config):
            return line
    return None


def _told(error: Exception, config: Config) -> str | None:
    """Of a run of several processes: another one has said why it left."""
    return _lost_host(error, config) if _TOLD.search(_text(error)) else None


def _storage(error: Exception, config: Config) -> str | None:
    codes = _codes(error)
    folder = _folder(config)
    found = codes & set(_STORAGE)
    if _is_in(folder, error):
        found |= codes & set(_PLACE)
        if errno.ENOENT in found and os.path.isdir(folder):
            return None  # a file of ours that we have not written
    if not found:
        return None
    code, place = min(found), f"--model_dir={folder}"
    temporary = tempfile.gettempdir()
    if not _is_in(folder, error) and _is_in(f"{temporary}/", error):
        # Hosts but the chief save to there.
        place, folder = f"The folder TMPDIR={temporary}", temporary
    advice = "When that is mended, the same command continues."
    if code in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        advice = (
            "Make room there (--keep_checkpoint_max and --keep_hub_module_max "
            "say how much a run keeps); then the same command continues."
        )
    elif code == errno.ENOENT:
        advice = "Was it deleted? The same command starts from what is left."
    return (
        f"{place} can no longer be written: "
        f"{os.strerror(code).lower()}{_of_file(error, folder)}. What was saved "
        f"stays. {advice}"
    )


def _memory(error: Exception, config: Config) -> str | None:
    text = _text(error)
    short = isinstance(error, MemoryError | tf.errors.ResourceExhaustedError)
    if not (short or errno.ENOMEM in _codes(error) or "bad_alloc" in text):
        return None
    flags = "--train_batch_size or --image_size"
    if roles.job(config) in Job.ON_FEATURES | Job.FOLLOW:
        flags = "--eval_batch_size or --image_size"
    return (
        f"Out of memory: {_asked_for(text)}. Lower {flags}, set "
        "--micro_batch_size (pretraining in parts), or use "
        "--mixed_precision=bfloat16. What was saved stays; where only flags "
        "of the machine change, the same command continues."
    )


def _descriptors(error: Exception, config: Config) -> str | None:
    del config
    if not _codes(error) & {errno.EMFILE, errno.ENFILE}:
        return None
    return (
        f"{os.strerror(errno.EMFILE)}: this system's limit is reached "
        f"({_first_line(error)}). Raise it (ulimit -n 65536); the same command "
        "continues."
    )


def _lost_host(error: Exception, config: Config) -> str | None:
    """Of a run of several processes: a collective failed."""
    if config.device.strategy != "multi_worker" or not isinstance(error, _LOST):
        return None
    return (
        f"another worker has gone, so this one stops: {_reason(_text(error))}. "
        "What was saved stays; the same command on every host continues from "
        "there."
    )


def _reason(text: str) -> str:
    """What TensorFlow says of the worker it misses."""
    if said := _TOLD.search(text):
        if "/task:" not in said[1]:
            return re.sub(r"\{\{.*?\}\} ?| ?\[Op:\w+\]", "", said[1])[:_SHOWN]
        text = said[1]  # it left since it missed a worker itself
    # The first that is named: who is named later only passes it on.
    if task := re.search(r"/job:(\w+)/(?:replica:\d+/)?task:(\d+)", text):
        which = f"{task[1]} {task[2]}"
        if "heartbeat" in text.lower():
            return f"{which} gave no sign of life"
        return f"{which} cannot be reached"
    for word in ("Connection reset", "Socket closed", "Connection refused"):
        if word in text:
            return f"the connection to it was lost ({word.lower()})"
    return "a sum over all hosts did not come about"


def _codes(error: Exception) -> set[int]:
    """The system's error numbers that an error is of."""
    if isinstance(error, OSError):
        return {error.errno} - {None}
    if not isinstance(error, tf.errors.OpError):
        return set()
    known = {*_STORAGE, *_PLACE, errno.ENOMEM, errno.EMFILE, errno.ENFILE}
    # TensorFlow keeps the text only.
    return {code for code in known if os.strerror(code) in _text(error)}


def _is_in(folder: str, error: Exception) -> bool:
    """Whether an error names a file of a folder: of "run", run/a, and not
    /data/run/a."""
    named = str(getattr(error, "filename", None) or _text(error))
    folders = [folder.rstrip("/") or folder, os.path.abspath(folder)]
    return any(
        re.search(rf"(?<![\w./~-]){re.escape(one)}(?![\w.-])", named)
        for one in folders
    )


def _of_file(error: Exception, folder: str) -> str:
    named = getattr(error, "filename", None)
    if found := re.search(re.escape(folder) + r"/[^\s;:,'\"]+", _text(error)):
        named = found[0]
    return f" ({named})" if named else ""


def _folder(config: Config) -> str:
    """Where the job writes."""
    beside = roles.job(config) in Job.ON_WEIGHTS
    if beside and config.job.checkpoint:
        with contextlib.suppress(UserError):
            return loading.results_folder(config, "")
    return os.path.expanduser(config.model_dir)


def _asked_for(text: str) -> str:
    if found := re.search(
        r"allocating tensor with shape\s*\[([\d,]*)\] and type (\w+) on "
        r"(?:\S*/)?(?:device:)?(\w+(?::\d+)?)",
        text,
    ):
        size = _gibibytes(found[1], found[2])
        return f"a {found[2]} tensor [{found[1]}]{size} on {found[3]}"
    return text[:_SHOWN] or "the system gave no more"


def _gibibytes(shape: str, dtype: str) -> str:
    dtype = {"float": "float32", "double": "float64", "half": "float16"}.get(
        dtype, dtype
    )
    try:
        size = tf.as_dtype(dtype).size
    except TypeError:
        return ""
    for side in shape.split(","):
        size *= int(side or 1)
    return f", {size / 2**30:.1f} GiB,"


def _first_line(error: Exception) -> str:
    return _text(error)[:_SHOWN]


def _text(error: Exception) -> str:
    """The message in one line."""
    text = getattr(error, "message", None) or str(error)
    return " ".join(str(text).split())
