"""--mode=eval: scores the checkpoints of a run as they appear.

Reads    --model_dir of a run that another process trains, or has trained
Writes   result_<step>.json and result.json there
Ends     with 0 when the last step's is scored, with 3 when it cannot be read,
         or no new checkpoint has appeared for --eval_timeout_seconds

The run may be trained on any machine, with whatever devices: the follower
takes its own.
"""

import time

from simclr_tf import errors
from simclr_tf.jobs import result
from simclr_tf.jobs.requests import Accepts, Request
from simclr_tf.jobs.training_run import TrainingRun
from simclr_tf.reports import words
from simclr_tf.run_files import checkpoints, following
from simclr_tf.run_files.folder import RunFolder

_POLL_SECONDS = 1.0
# Each try may read the whole file.
_RETRY_SECONDS = 5.0
# A copy of a run, and a remote folder, may show an index before its data.
_WHOLE_SECONDS = 60.0


def make(request: Request, accepts: Accepts) -> "Follow":
    """The job of a command."""
    return Follow(request, accepts)


class Follow:
    """The follower of a run; waits for it to begin.

    Args:
        request: the command; what it doesn't say, the run does.
        accepts: what the job accepts.

    Raises:
        UserError: there is no run, or an option given contradicts it.
    """

    def __init__(self, request: Request, accepts: Accepts):
        asked, self._stop = request.config, request.stop
        self._patience_seconds = asked.eval.eval_timeout_seconds
        # The newest checkpoint while it cannot be read, and since when.
        self._unread: tuple[str, float] | None = None
        folder = RunFolder(asked.model_dir, writes=False)
        saved = following.wait_for_run(
            folder, patience_seconds=self._patience_seconds
        )
        if saved.data.get("imported"):
            raise errors.UserError(
                f"--model_dir={folder.path} holds imported weights, which no "
                "training adds to. --mode=evaluate --checkpoint="
                f"{folder.path} scores them."
            )
        given = request.resolved.given
        config = following.as_follower(saved, asked, given, path=folder.path)
        origins = {**saved.origins, **dict.fromkeys(given, "flag")}
        self._run = TrainingRun(
            config,
            origins=origins,
            placement=request.place(config),
            accepts=accepts,
        )
        self._run.build()

    def describe(self) -> str:
        """Whose checkpoints are scored, and how long it waits."""
        return (
            f"{self._run.describe()}\n"
            f"Following {self._run.folder.path} to step "
            f"{self._run.plan.train_steps}; gives up when no new checkpoint "
            f"appears for {self._patience_seconds:g} s."
        )

    def run(self) -> int:
        """Scores every checkpoint once, up to the last step's.

        Raises:
            errors.Halted: no new one appeared in the time allowed, or the
                last step's cannot be read.
        """
        run, seen = self._run, -1
        deadline = time.monotonic() + self._patience_seconds
        while seen < run.plan.train_steps:
            path = self._next(seen)
            fault = self._score(path) if path else None
            if path is None:
                self._unread = None
            elif fault and self._next(checkpoints.step_of(path)):
                print(fault)  # the trainer may have deleted it by now
                fault = None
            if path is None or fault:
                self._wait(path, fault, seen=seen, deadline=deadline)
                continue
            seen = checkpoints.step_of(path)
            self._stop.outcome = (
                f"when the checkpoint of step {seen} had been looked at. The "
                "same command scores the others."
            )
            # Scoring takes time in which the trainer may save.
            deadline = time.monotonic() + self._patience_seconds
        return 0

    def _wait(
        self,
        path: str | None,
        fault: checkpoints.UnreadableCheckpoint | None,
        *,
        seen: int,
        deadline: float,
    ) -> None:
        """Waits a little for a new checkpoint, or for the newest to be whole.

        Raises:
            errors.Halted: it has been waited for long enough.
        """
        now = time.monotonic()
        if fault:
            if self._unread is None or self._unread[0] != path:
                print(f"{fault} It is tried again.", flush=True)
                self._unread = path, now
            self._require_whole(path, fault, seconds=now - self._unread[1])
        if now > deadline:
            words = f" {fault}" if fault else ""
            raise errors.Halted(f"{self._given_up(seen)}{words}")
        pause = _RETRY_SECONDS if fault else _POLL_SECONDS
        time.sleep(min(pause, self._patience_seconds))

    def _require_whole(
        self,
        path: str,
        fault: checkpoints.UnreadableCheckpoint,
        *,
        seconds: float,
    ) -> None:
        """Of the last step's, which no other will follow.

        Raises:
            errors.Halted: it has been unreadable for long enough.
        """
        is_last = checkpoints.step_of(path) >= self._run.plan.train_steps
        patience = min(_WHOLE_SECONDS, self._patience_seconds)
        if is_last and seconds > patience:
            raise errors.Halted(
                f"{fault} It is the last of --model_dir="
                f"{self._run.folder.path}, and was tried for {patience:g} s; "
                "it has not been scored. Put a whole copy in its place, or let "
                "the run's own command train it again from the checkpoint "
                "before it; then the same command scores it."
            )

    def _next(self, seen: int) -> str | None:
        """The oldest checkpoint that has not been looked at."""
        for path in checkpoints.checkpoint_paths(self._run.folder.path):
            if checkpoints.step_of(path) > seen:
                return path
        return None

    def _score(self, path: str) -> checkpoints.UnreadableCheckpoint | None:
        """Scores a checkpoint; returns why it cannot be read, if so."""
        try:
            self._run.checkpoints.restore(path)
        except checkpoints.UnreadableCheckpoint as error:
            return error
        print(words.of_result(result.score(self._run)), flush=True)
        return None

    def _given_up(self, seen: int) -> str:
        last = f"the last one is of step {seen}" if seen >= 0 else "none came"
        return (
            f"No new checkpoint in --model_dir={self._run.folder.path} for "
            f"{self._patience_seconds:g} s ({last}), and training has not "
            f"reached its last step, {self._run.plan.train_steps}. Is it still "
            "running? --eval_timeout_seconds sets the patience."
        )
