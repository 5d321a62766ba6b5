"""Looking at a run that another process trains, or has trained."""

import time
from collections.abc import Mapping
from typing import Any

from simclr_tf.config import Config, resolve, roles
from simclr_tf.errors import UserError
from simclr_tf.run_files import places
from simclr_tf.run_files.folder import RunFolder, SavedRun

_POLL_SECONDS = 5.0


def wait_for_run(folder: RunFolder, *, patience_seconds: float) -> SavedRun:
    """The run of a folder, once it has begun.

    Raises:
        UserError: none began in the time allowed.
    """
    deadline = time.monotonic() + patience_seconds
    while (saved := folder.saved()) is None:
        if time.monotonic() > deadline:
            raise UserError(
                f"--model_dir={folder.path} holds no run (no config.json), "
                f"after {patience_seconds:g} s (--eval_timeout_seconds). Start "
                "one with --mode=train."
            )
        time.sleep(min(_POLL_SECONDS, patience_seconds))
    return saved


def as_follower(
    saved: SavedRun, asked: Config, given: Mapping[str, Any], *, path: str
) -> Config:
    """The configuration of a job that looks at a run.

    Args:
        saved: the run.
        asked: what the follower's command line resolved to; its machine
            counts.
        given: the options that were set; they go before what was saved.
        path: of the run's folder.

    Raises:
        UserError: an option given contradicts the run.
    """
    seen = places.seen_from(saved.config, saved.cwd)
    inherited = roles.inherited_by_follower(seen)
    scored = saved.config.eval
    if scored.eval_steps:
        # Of a sample, the batch is no matter of the machine: it says how many.
        inherited["eval_batch_size"] = scored.eval_batch_size
    config = resolve.overlay(
        asked, {**inherited, **given, "model_dir": path, "mode": "eval"}
    )
    changes = roles.fixed_differences(seen, config)
    if changes:
        raise UserError(
            f"--model_dir={path} holds another run: {'; '.join(changes)}. "
            "Leave the flags out, or name its own --model_dir."
        )
    return config
