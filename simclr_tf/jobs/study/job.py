"""--mode=study: a grid of runs, its table and its figure.

Reads    --study, and what its runs read
Writes   in --model_dir a folder for each cell, table.csv, table.md,
         figure.png, figure.svg, study.json
Ends     with 0 when every cell is done, with 3 when some failed
Signals  are passed on to the run; the same command does the rest
"""

import os
from typing import Any

import tensorflow as tf

from simclr_tf import files, own_files
from simclr_tf.config import roles
from simclr_tf.config.option import Role
from simclr_tf.errors import Halted, UserError
from simclr_tf.jobs.requests import Accepts, Request
from simclr_tf.jobs.study import data_here
from simclr_tf.jobs.study.worker import Worker
from simclr_tf.run_files.room import require_writable
from simclr_tf.studies import catalog, report
from simclr_tf.studies.cells import Cell, cells_of
from simclr_tf.studies.keeping import StudyFolder

# Options that leave the numbers comparable with the paper's.
_ELSEWHERE = Role.LOCATION | Role.MACHINE | Role.LOGGING | Role.JOB | Role.SEED
# Beyond the grace of the run that is stopped.
_MORE_GRACE_SECONDS = 10.0


def make(request: Request, accepts: Accepts) -> "StudyJob":
    """The job of a command."""
    del accepts  # its runs look for themselves
    return StudyJob(request)


class StudyJob:
    """The cells of a study, those that are not there to be run.

    Args:
        request: the command.

    Raises:
        UserError: something the user can mend.
    """

    def __init__(self, request: Request):
        self._config = config = request.config
        self._request = request
        options = config.study
        self._study = catalog.find(options.study, size=options.study_size)
        origins = request.resolved.origins
        typed = request.resolved.given
        self._cells = cells_of(
            self._study,
            typed=typed,
            seeds=options.study_seeds or self._study.seeds,
            first_seed=config.job.seed,
            defaults="official" if "official" in origins.values() else "paper",
        )
        self._with_paper = options.study_size == "paper" and all(
            roles.role_of(name) & _ELSEWHERE for name in typed
        )
        self._chosen = self._choose(options.study_index)
        stem = os.path.basename(options.study).removesuffix(".py")
        place = os.path.expanduser(config.job.model_dir or f"runs/study_{stem}")
        self._folder = StudyFolder(place, measures=self._study.measures)
        if not options.commands:
            require_writable(place)
            files.sweep_asides(place)
            self._require_same_data()
            self._introduce()

    def describe(self) -> str:
        """What will be done; with --commands, these and nothing else."""
        if self._config.study.commands:
            return "\n".join(
                cell.line(self._folder.cells) for cell in self._chosen
            )
        done = sum(self._folder.is_done(cell) for cell in self._chosen)
        return (
            f"Study: {self._study.title}\n"
            f"{len(self._cells)} cells: {len(self._study.settings)} settings, "
            f"{len(self._cells) // len(self._study.settings)} seeds. To do "
            f"here: {len(self._chosen) - done}. Each has a log in "
            f"{self._folder.cells}."
        )

    def run(self) -> int:
        """Runs what is missing; writes tables and the figure.

        Raises:
            errors.Halted: cells failed; the others are done.
        """
        if self._config.study.commands:
            return 0
        stop = self._request.stop
        stop.grace_seconds += _MORE_GRACE_SECONDS
        stop.outcome = (
            "amid its cells. The same command does the rest; what is done is "
            "kept."
        )
        Worker(
            self._study,
            self._chosen,
            self._folder,
            data=self._folder.same_data(self._cells),
            program=self._request.program,
            stop=stop,
            on_done=lambda: self._report(with_figure=False),
        ).run()
        for sentence in self._report():
            print(sentence)
        place = self._folder.path
        print(f"{place}/table.md, {place}/figure.png", flush=True)
        failed = [c for c in self._chosen if not self._folder.is_done(c)]
        if failed:
            told = [
                f"cell {cell.index} ({cell.words}): "
                f"{self._folder.outcome(cell).error}"
                for cell in failed
            ]
            raise Halted(
                f"{len(failed)} of {len(self._chosen)} cells failed, and the "
                "same command tries them again. " + " ".join(told)
            )
        return 0

    def _report(self, *, with_figure: bool = True) -> list[str]:
        return report.write(
            self._study,
            self._folder,
            self._cells,
            with_paper=self._with_paper,
            with_figure=with_figure,
        )

    def _choose(self, index: int | None) -> list[Cell]:
        if index is None:
            return self._cells
        if index >= len(self._cells):
            raise UserError(
                f"--study_index must be at most {len(self._cells) - 1}: the "
                f"study has {len(self._cells)} cells. Received: {index}."
            )
        return [self._cells[index]]

    def _require_same_data(self) -> None:
        """Looks at the data before cells join those that are done; a table of
        what is done needs none.

        Raises:
            UserError: it is not theirs.
        """
        if not all(self._folder.is_done(cell) for cell in self._chosen):
            data = self._folder.same_data(self._cells)
            data.require_here(data_here.facts_here)

    def _introduce(self) -> None:
        """Writes study.json. A study whose file gained or lost settings
        keeps its folder, and what is done of the others.

        Raises:
            UserError: the folder is of a study that has no setting of this.
        """
        path = os.path.join(self._folder.path, own_files.STUDY)
        mine = self._content()
        if tf.io.gfile.exists(path):
            there = files.read_json(path)
            if there.get("digests") == mine["digests"]:
                return
            before, now = set(there.get("digests", ())), set(mine["digests"])
            if not before & now:
                raise UserError(
                    f"--model_dir={self._folder.path} holds another study, or "
                    "this one with other options or from other weights: "
                    f"{there.get('study')}, {there.get('study_size')}, options "
                    f"{there.get('options')}. Received: {mine['study']}, "
                    f"{mine['study_size']}, {mine['options']}. Choose another "
                    "--model_dir."
                )
            print(
                f"The study has changed since {path} was written: "
                f"{len(now - before)} new settings, {len(before & now)} as "
                f"before, {len(before - now)} left out. Cells of settings that "
                "are left out stay in the folder, and out of the tables.",
                flush=True,
            )
        files.write_json(path, mine)

    def _content(self) -> dict[str, Any]:
        """What the study is; more seeds leave it the same."""
        options = self._config.study
        first = self._cells[: len(self._study.settings)]
        return {
            "study": options.study,
            "study_size": options.study_size,
            "title": self._study.title,
            "options": {
                name: value
                for name, value in self._request.resolved.given.items()
                if not roles.role_of(name) & (Role.JOB | Role.MACHINE)
                and name != "model_dir"
            },
            "settings": [cell.setting.words for cell in first],
            "digests": [cell.digest for cell in first],
        }
