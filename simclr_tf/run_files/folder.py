"""model_dir: which run it holds, whose it is, and what came of it."""

import contextlib
import dataclasses
import os
from collections.abc import Mapping
from typing import Any

import tensorflow as tf

from simclr_tf import files, own_files
from simclr_tf.config import Config, resolve, roles
from simclr_tf.errors import Halted, UserError
from simclr_tf.run_files import checkpoints, leftovers, room
from simclr_tf.run_files.owner import Owner

gfile = tf.io.gfile


@dataclasses.dataclass(frozen=True)
class SavedRun:
    """config.json.

    Attributes:
        config, origins: as `resolve.Resolved` has them.
        data: facts of the data; see `RunFolder.claim`.
        dtype_policy: what the run computes in.
        cwd: where its command was given; see `places.seen_from`.
    """

    config: Config
    origins: Mapping[str, str]
    data: Mapping[str, Any]
    dtype_policy: str | None
    cwd: str | None = None


class RunFolder:
    """The files of a run but its checkpoints' contents.

    Args:
        path: --model_dir, local or gs://.
        writes: whether this process writes them; of several, the chief does.
    """

    def __init__(self, path: str, *, writes: bool = True):
        self.writes = writes
        self.path = os.path.expanduser(path).rstrip("/")
        self._owner: Owner | None = None

    def file(self, *names: str) -> str:
        """A path inside."""
        return os.path.join(self.path, *names)

    def saved(self) -> SavedRun | None:
        """What config.json holds, or None.

        Raises:
            UserError: it is damaged, or not one of ours.
        """
        path = self.file(own_files.CONFIG)
        if not gfile.exists(path):
            return None
        saved = files.read_json(path)
        if not {"config", "data"} <= set(saved):
            raise UserError(
                f"--model_dir={self.path} has a config.json that is not of a "
                "run of ours. Choose another --model_dir."
            )
        return _saved_run(path, saved)

    def claim(
        self,
        config: Config,
        *,
        origins: Mapping[str, str],
        given: Mapping[str, Any],
        facts: Mapping[str, Any],
        dtype_policy: str,
    ) -> None:
        """Makes the folder this run's, or continues it if it is already.

        Args:
            config, origins: the resolved configuration.
            given: what the user set, for flags.json.
            facts: of the data; a resumed run must find them unchanged.
            dtype_policy: what it computes in, which `auto` then means.

        Raises:
            UserError: the folder cannot be written, belongs to a command that
                is running, or holds another run.
        """
        if self.writes:
            room.require_writable(self.path)
            if self._owner is None:
                self._owner = Owner(self.path)
        try:
            if self.writes:
                self._sweep()
            self._require_own(config, facts)
        except BaseException:
            self.release()
            raise
        if not self.writes:
            return
        files.write_json(
            self.file(own_files.CONFIG),
            {
                "config": config.to_dict(),
                "cwd": os.getcwd(),
                "origins": dict(origins),
                "data": dict(facts),
                "dtype_policy": dtype_policy,
            },
        )
        files.write_json(self.file(own_files.FLAGS), dict(given))

    def require_there(self) -> None:
        """Checks that nobody has deleted the folder since `claim`.

        TensorFlow would make it again, for checkpoints of which nobody knows
        what they are of.

        Raises:
            Halted: it is gone.
        """
        if self.writes and not gfile.exists(self.file(own_files.CONFIG)):
            raise Halted(
                f"--model_dir={self.path} was deleted, or its config.json, "
                "while this run wrote to it. The same command starts from "
                "what is left."
            )

    def release(self) -> None:
        """Others may use the folder now."""
        if self._owner is not None:
            self._owner.release()
            self._owner = None

    def dtype_policy(self) -> str | None:
        """What the run that has checkpoints here was started in, or None."""
        if not checkpoints.checkpoint_paths(self.path):
            return None
        saved = self.saved()
        return saved and saved.dtype_policy

    def result(self, step: int) -> dict[str, Any] | None:
        """What was written for a step; None where nothing is or it is damaged,
        which is said."""
        path = self.file(f"result_{step}.json")
        if not gfile.exists(path):
            return None
        try:
            found = files.read_json(path)
            _config_of(path, found)
        except UserError as error:
            print(f"{error} It is scored anew.", flush=True)
            return None
        return found

    def write_result(self, step: int, result: Mapping[str, Any]) -> None:
        """Writes result_<step>.json, and result.json as `keep_result` does."""
        files.write_json(self.file(f"result_{step}.json"), result)
        self.keep_result(result)

    def keep_result(self, result: Mapping[str, Any]) -> None:
        """Makes it result.json, where no later step of the run has one.

        A follower also scores the checkpoints of a run that is finished, and
        a kill or damage may have left another there, or none.
        """
        path = self.file("result.json")
        found = None
        with contextlib.suppress(UserError):
            found = files.read_json(path) if gfile.exists(path) else None
        if found != result and not _is_later(found, result, path):
            files.write_json(path, result)

    def _sweep(self) -> None:
        if removed := leftovers.sweep(self.path):
            print(
                f"Removed from {self.path}, left by a command that was "
                f"killed: {', '.join(removed)}",
                flush=True,
            )

    def _require_own(self, config: Config, facts: Mapping[str, Any]) -> None:
        if not checkpoints.checkpoint_paths(self.path):
            self._require_nobodys()
            return
        saved = self.saved()
        if saved is None:
            raise UserError(
                f"--model_dir={self.path} has checkpoints and no config.json, "
                "so nobody knows of what. Choose another --model_dir."
            )
        changes = roles.fixed_differences(saved.config, config)
        if changes:
            raise UserError(
                f"--model_dir={self.path} holds another run: "
                f"{'; '.join(changes)}. Choose another --model_dir, or the "
                "flags that the run was started with."
            )
        # Older versions saved less.
        if saved.data != {k: v for k, v in facts.items() if k in saved.data}:
            raise UserError(
                f"--model_dir={self.path} was trained on other data: "
                f"{differences(saved.data, facts)}. To train on what is there "
                "now, choose another --model_dir; to go on with this run, give "
                "it the images and labels that it began with."
            )

    def _require_nobodys(self) -> None:
        """A run that has saved nothing leaves nothing to protect; but another
        program's config.json stays.

        Raises:
            UserError: there is one.
        """
        try:
            self.saved()
        except files.DamagedFile as error:
            print(
                f"{error} No checkpoint needs it, so it is written anew.",
                flush=True,
            )


def differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """How the data of a run has changed, in words."""
    said = []
    if before.get("imported"):
        return "none, since --mode=import wrote it"
    old, new = before.get("num_examples"), now.get("num_examples")
    if old != new:
        said.append(f"{new} images, then {old}")
    classes = [tuple(facts.get("class_names") or ()) for facts in (before, now)]
    if classes[0] != classes[1]:
        gone, come = (
            ", ".join(sorted(set(a) - set(b)))
            for a, b in (classes, classes[::-1])
        )
        said.append(
            f"{len(classes[1])} classes, then {len(classes[0])}"
            + f" (new: {come})" * bool(come)
            + f" (gone: {gone})" * bool(gone)
        )
    if before.get("num_hosts") != now.get("num_hosts"):
        said.append(
            f"{now.get('num_hosts')} hosts, then {before.get('num_hosts')}"
        )
    if before.get("images_per_moment") != now.get("images_per_moment"):
        said.append(
            f"BN over {now.get('images_per_moment')} images at once, then "
            f"{before.get('images_per_moment')} (--noglobal_bn needs as many "
            "replicas as before)"
        )
    return "; ".join(said) or "as many images, of other contents or labels"


def _saved_run(path: str, saved: Mapping[str, Any]) -> SavedRun:
    found = SavedRun(
        _config_of(path, saved),
        saved.get("origins", {}),
        saved["data"],
        saved.get("dtype_policy"),
        saved.get("cwd"),
    )
    kinds = {"origins": dict, "data": dict, "dtype_policy": str | None}
    for name, kind in {**kinds, "cwd": str | None}.items():
        if not isinstance(getattr(found, name), kind):
            raise files.damaged(path, f"{name} is of a wrong type")
    return found


def _config_of(path: str, saved: Mapping[str, Any]) -> Config:
    """The configuration in a file of a run.

    Raises:
        files.DamagedFile: it is none.
    """
    try:
        return resolve.from_dict(saved["config"])
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise files.damaged(path, f"its config is none: {error}") from error


def _is_later(found: Any, result: Mapping[str, Any], path: str) -> bool:
    """Whether what was found is of the same run, and of a later step."""
    try:
        before = _config_of(path, found)
    except UserError:
        return False  # nothing is there, or something else
    at = found.get("global_step")
    config = resolve.from_dict(result["config"])
    return (
        isinstance(at, int)
        and at > result["global_step"]
        and not roles.fixed_differences(before, config)
    )
