"""model_dir: what run it holds, and what came of it."""

import os
import time
from collections.abc import Mapping
from typing import Any

import tensorflow as tf

from simclr_tf import files
from simclr_tf.config import Config, resolve
from simclr_tf.errors import UserError
from simclr_tf.run_files import artifacts, checkpoints

gfile = tf.io.gfile

_POLL_SECONDS = 5.0


class RunFolder:
    """The files of a run but its checkpoints' contents.

    Args:
        path: --model_dir, local or gs://.
        writes: whether this process writes them; of several, the chief does.
    """

    def __init__(self, path: str, *, writes: bool = True):
        self.writes = writes
        self.path = os.path.expanduser(path).rstrip("/")

    def file(self, *names: str) -> str:
        """A path inside."""
        return os.path.join(self.path, *names)

    def saved(self) -> dict[str, Any] | None:
        """What config.json holds, or None.

        Raises:
            UserError: it is damaged, or not one of ours.
        """
        path = self.file("config.json")
        if not gfile.exists(path):
            return None
        saved = files.read_json(path)
        if not {"config", "data"} <= set(saved):
            raise UserError(
                f"--model_dir={self.path} has a config.json that is not of a "
                "run of ours. Choose another --model_dir."
            )
        return saved

    def claim(
        self,
        config: Config,
        *,
        origins: Mapping[str, str],
        given: Mapping[str, Any],
        facts: Mapping[str, Any],
        policy: str | None = None,
    ) -> None:
        """Makes the folder this run's, or continues it if it is already.

        Args:
            config, origins: the resolved configuration.
            given: what the user set, for flags.json.
            facts: of the data; a resumed run must find them unchanged.
            policy: what it computes in, which `auto` then means.

        Raises:
            UserError: the folder cannot be written, or holds another run.
        """
        if self.writes:
            artifacts.require_writable(self.path)
        saved = self.saved()
        started = checkpoints.checkpoint_paths(self.path)
        # A run that has saved nothing yet leaves nothing to protect.
        if saved is not None and started:
            self._require_same(saved, config, facts)
        elif started:
            raise UserError(
                f"--model_dir={self.path} has checkpoints and no config.json, "
                "so nobody knows of what. Choose another --model_dir."
            )
        if not self.writes:
            return
        files.write_json(
            self.file("config.json"),
            {
                "config": config.to_dict(),
                "origins": dict(origins),
                "data": dict(facts),
                "policy": policy,
            },
        )
        files.write_json(self.file("flags.json"), dict(given))

    def policy(self) -> str | None:
        """What the run that has checkpoints here was started in, or None."""
        saved = self.saved()
        if saved is None or not checkpoints.checkpoint_paths(self.path):
            return None
        return saved.get("policy")

    def result(self, step: int) -> dict[str, Any] | None:
        """What was written for a step, or None."""
        path = self.file(f"result_{step}.json")
        return files.read_json(path) if gfile.exists(path) else None

    def write_result(self, step: int, result: Mapping[str, Any]) -> None:
        """result_<step>.json, and result.json for the newest."""
        for name in (f"result_{step}.json", "result.json"):
            files.write_json(self.file(name), result)

    def _require_same(self, saved, config, facts) -> None:
        old = resolve.from_dict(saved["config"])
        changes = resolve.fixed_differences(old, config)
        if changes:
            raise UserError(
                f"--model_dir={self.path} holds another run: "
                f"{'; '.join(changes)}. Choose another --model_dir, or the "
                "flags that the run was started with."
            )
        if saved["data"] != dict(facts):
            raise UserError(
                f"--model_dir={self.path} was trained on other data: "
                f"{saved['data']}. Received: {dict(facts)}. Choose another "
                "--model_dir, or the --data_dir of the run."
            )


def inherit(config: Config, given: Mapping[str, Any]) -> Config:
    """For jobs on a finished or running model_dir: its own configuration.

    Waits for the run to begin, --eval_timeout_seconds at most.

    Args:
        config: what the command line resolved to; names the model_dir.
        given: the flags that were set; they go before what was saved.

    Raises:
        UserError: the model_dir holds no run, or a flag contradicts it.
    """
    folder = RunFolder(config.model_dir)
    patience = config.eval.eval_timeout_seconds
    deadline = time.monotonic() + patience
    while (saved := folder.saved()) is None:
        if time.monotonic() > deadline:
            raise UserError(
                f"--model_dir={folder.path} holds no run (no config.json), "
                f"after {patience:g} s (--eval_timeout_seconds). Start one "
                "with --mode=train."
            )
        time.sleep(min(_POLL_SECONDS, patience))
    old = resolve.from_dict(saved["config"])
    new = resolve.overlay(old, {**given, "model_dir": folder.path})
    changes = resolve.fixed_differences(old, new)
    if changes:
        raise UserError(
            f"--model_dir={folder.path} holds another run: "
            f"{'; '.join(changes)}. Leave the flags out, or name its own "
            "--model_dir."
        )
    return new
