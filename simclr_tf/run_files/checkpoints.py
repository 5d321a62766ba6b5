"""Checkpoints keyed by variable name: strict, spoken, all or nothing.

A checkpoint holds every variable of a run under its own name. Reading one
checks names and shapes and every checksum before the first variable changes,
so that a checkpoint is restored whole or not at all.

A checkpoint is there once its index is; see `saving`.
"""

import os
import re
import tempfile
from collections.abc import Mapping

import numpy as np
import tensorflow as tf

from simclr_tf import files
from simclr_tf.errors import UserError
from simclr_tf.run_files import saving

gfile = tf.io.gfile

_KEY = "state/{}/.ATTRIBUTES/VARIABLE_VALUE"
_SHOWN_FAULTS = 4  # of each kind
_UNREADABLE = "unreadable"  # the folder of what was moved out of the way


class UnreadableCheckpoint(Exception):
    """A checkpoint file is truncated or corrupt."""


def named_variables(*groups: list[tf.Variable]) -> dict[str, tf.Variable]:
    """Checkpoint key -> variable.

    Raises:
        UserError: two variables share a name.
    """
    named: dict[str, tf.Variable] = {}
    for variable in (v for group in groups for v in group):
        # "/" has a meaning of its own in checkpoint keys.
        key = variable.name.split(":")[0].replace("/", ":")
        if key in named:
            raise ValueError(f"Two variables are named {key}.")
        named[key] = variable
    return named


class Checkpoints:
    """The checkpoints of one model_dir, ckpt-<step>.

    Args:
        directory: model_dir.
        variables: all state of the run, from `named_variables`.
        max_to_keep: older checkpoints are deleted; at least 1.
        writes: False on all hosts but the chief. They save too, since saving
            may read variables from every host, but to nowhere.
    """

    def __init__(
        self,
        directory: str,
        variables: Mapping[str, tf.Variable],
        *,
        max_to_keep: int,
        writes: bool = True,
    ):
        self.directory = directory
        self._variables = dict(variables)
        self._checkpoint = tf.train.Checkpoint(state=self._variables)
        self._writes = writes
        self._max_to_keep = max_to_keep

    def save(self, step: int) -> str:
        """Writes ckpt-<step>; returns its path without suffix.

        Of the older ones the newest stay, so that there are max_to_keep.
        """
        path = f"{self.directory}/ckpt-{step}"
        if not self._writes:
            with tempfile.TemporaryDirectory() as nowhere:
                self._checkpoint.write(f"{nowhere}/ckpt")
            return path
        saving.write(self._checkpoint, path)
        older, kept = self._older(path)
        saving.write_state([*kept, path])
        for each in older:
            remove(each)
        return path

    def restore(self, path: str) -> None:
        """Restores one checkpoint; errors as `restore`."""
        restore(path, self._variables)

    def restore_newest(self, *, first_steps: int = 0) -> str | None:
        """Restores the newest readable checkpoint, naming those that aren't.

        Unreadable ones are moved to unreadable/, where they neither count as
        checkpoints nor get lost. Where not even the first checkpoint of a run
        was completed, the run has nothing to lose: it starts anew.

        Args:
            first_steps: a checkpoint of a step up to this can only be the
                run's first.

        Returns:
            Its path, or None where the run starts from step 0.

        Raises:
            UserError: there were checkpoints, and none is readable, or the
                newest readable one does not fit.
        """
        found = checkpoint_paths(self.directory)
        unreadable = []
        while found:
            path = found.pop()
            try:
                restore(path, self._variables)
            except UnreadableCheckpoint as error:
                before = " Trying the one before it." if found else ""
                print(f"{error}{before}", flush=True)
                unreadable.append(path)
            else:
                self._set_aside(unreadable)
                self._finish_save(path)
                return path
        if unreadable:
            self._require_first(unreadable, first_steps)
            self._set_aside(unreadable)
            print(
                "No checkpoint of this run was ever completed but the first, "
                "if any. Starting from step 0.",
                flush=True,
            )
        return None

    def _older(self, path: str) -> tuple[list[str], list[str]]:
        """Of the checkpoints before this one: those to delete, and the rest."""
        found = checkpoint_paths(self.directory)
        older = [p for p in found if step_of(p) < step_of(path)]
        first = max(0, len(older) - self._max_to_keep + 1)
        return older[:first], older[first:]

    def _finish_save(self, path: str) -> None:
        """What a run that ended amid saving the newest left undone."""
        older, kept = self._older(path)
        state = [*kept, path]
        if not self._writes or (saving.is_state(state) and not older):
            return
        if "://" not in self.directory:
            files.sync_folder(self.directory)  # the newest has its name
        saving.write_state(state)
        for each in older:
            remove(each)

    def _require_first(self, paths: list[str], first_steps: int) -> None:
        """Nothing readable is left: was there ever?"""
        completed = gfile.exists(f"{self.directory}/{saving.STATE}")
        if completed and any(step_of(path) > first_steps for path in paths):
            raise UserError(
                f"None of the checkpoints in --model_dir={self.directory} can "
                "be read. Choose another --model_dir to start anew."
            )

    def _set_aside(self, paths: list[str]) -> None:
        if not paths or not self._writes:
            return
        folder = f"{self.directory}/{_UNREADABLE}"
        gfile.makedirs(folder)
        for path in paths:
            for name in files_of(path):
                gfile.rename(
                    f"{self.directory}/{name}", f"{folder}/{name}", True
                )
        names = ", ".join(os.path.basename(path) for path in paths)
        print(f"Moved to {folder}: {names}", flush=True)


def files_of(path: str) -> list[str]:
    """Names of a checkpoint's files, the index first."""
    folder, name = os.path.split(path)
    pattern = rf"{re.escape(name)}\.(index|data-\d+-of-\d+)"
    found = [n for n in gfile.listdir(folder) if re.fullmatch(pattern, n)]
    return sorted(found, key=lambda n: not n.endswith(".index"))


def remove(path: str) -> None:
    """Deletes a checkpoint: what is half deleted is none."""
    for name in files_of(path):
        gfile.remove(os.path.join(os.path.dirname(path), name))


def checkpoint_paths(directory: str) -> list[str]:
    """Checkpoints of a model_dir, oldest first.

    Found by their index files, not by TensorFlow's "checkpoint" file, which a
    crash can leave behind the times.
    """
    found = []
    names = []
    if gfile.isdir(directory):
        names = gfile.listdir(directory)
    for name in names:
        if match := re.fullmatch(r"(ckpt-(\d+))\.index", name):
            found.append((int(match[2]), f"{directory}/{match[1]}"))
    return [path for _, path in sorted(found)]


def step_of(path: str) -> int:
    """The step in a checkpoint's name."""
    return int(path.rsplit("-", 1)[1])


def read(path: str) -> dict[str, np.ndarray]:
    """Every tensor of a checkpoint, by the name of its variable.

    Args:
        path: checkpoint prefix, without suffix.

    Raises:
        UnreadableCheckpoint: it is truncated or corrupt.
    """
    try:
        # Not tf.train.load_checkpoint, which first asks whether the prefix is
        # a folder; ram:// says that it is.
        reader = tf.compat.v1.train.NewCheckpointReader(path)
        # TensorFlow checks a tensor's checksum when it is read.
        return {
            match[1]: reader.get_tensor(key)
            for key in reader.get_variable_to_shape_map()
            if (match := re.fullmatch(_KEY.format("(.*)"), key))
        }
    except (tf.errors.OpError, ValueError, RuntimeError, IndexError) as error:
        reason = str(error).splitlines()[0]
        raise UnreadableCheckpoint(
            f"Checkpoint {path} cannot be read ({reason})."
        ) from error


def restore(path: str, variables: Mapping[str, tf.Variable]) -> None:
    """Sets every variable to the checkpoint's value, or changes nothing.

    Args:
        path: checkpoint prefix, without suffix.
        variables: from `named_variables`.

    Raises:
        UnreadableCheckpoint: it is truncated or corrupt.
        ValueError: names or shapes differ; the message lists them.
    """
    values = read(path)
    require_fit(
        f"Checkpoint {path}",
        {name: tuple(v.shape) for name, v in variables.items()},
        {name: value.shape for name, value in values.items()},
    )
    for name, variable in variables.items():
        variable.assign(values[name])


def require_fit(
    what: str,
    expected: Mapping[str, tuple[int, ...]],
    stored: Mapping[str, tuple[int, ...]],
) -> None:
    """Checks that a checkpoint holds just the variables of a model.

    Args:
        what: the checkpoint, for the message.
        expected: name -> shape in the model.
        stored: name -> shape in the checkpoint.

    Raises:
        UserError: names or shapes differ; the message lists them.
    """
    both = sorted(set(expected) & set(stored))
    kinds = [
        [
            f"{n} has shape {tuple(stored[n])}, not {tuple(expected[n])}"
            for n in both
            if tuple(stored[n]) != tuple(expected[n])
        ],
        [f"{n} is not in it" for n in sorted(set(expected) - set(stored))],
        [f"{n} is in it only" for n in sorted(set(stored) - set(expected))],
    ]
    if any(kinds):
        shown = [fault for faults in kinds for fault in faults[:_SHOWN_FAULTS]]
        rest = sum(map(len, kinds)) - len(shown)
        raise UserError(
            f"{what} does not fit the model: "
            f"{'; '.join(shown)}{f'; and {rest} more' if rest else ''}."
        )
