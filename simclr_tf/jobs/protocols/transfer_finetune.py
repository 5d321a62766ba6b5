"""Transfer by fine-tuning (appendix B.8): a grid of runs, and the best again.

Reads    a data set of the paper's twelve, or another; --checkpoint
Writes   a run for each setting, a run of the best, and a record
Ends     with 0; the same command continues a stopped one

Every point of the grid is a run in a folder of its own, trained on the
training split and scored on the validation split. The best setting is trained
once more on both and tested once. Whatever is finished stays: the same
command goes on where it was stopped, and --sweep_points shares a grid among
commands: what others have finished in the same folder counts, too.
"""

import dataclasses
import gc
import os

import tf_keras as keras

from simclr_tf import errors, files
from simclr_tf.build import splits, transfer_sets
from simclr_tf.config import Config, resolve, roles
from simclr_tf.errors import UserError
from simclr_tf.evaluation import fine_tuning_grid, records, scoring
from simclr_tf.evaluation.records import Record
from simclr_tf.jobs import recording
from simclr_tf.jobs.requests import Accepts, Request
from simclr_tf.jobs.training import Training
from simclr_tf.run_files import loading


def make(request: Request, accepts: Accepts) -> "Sweep":
    """The job of a command."""
    return Sweep(request, accepts)


class Sweep:
    """The grid of one data set.

    Args:
        request: the command; what it says of steps and batch wins.
        accepts: what the job accepts.

    Raises:
        UserError: something the user can mend.
    """

    def __init__(self, request: Request, accepts: Accepts):
        self._request = request
        self._config = config = request.config
        self._given = request.resolved.given
        self._accepts = accepts
        self._set = transfer_sets.find(config)
        placement = request.place(config)
        self._place = lambda _: placement  # the same for every run
        random = config.eval.encoder == "random"
        self._grid = (
            fine_tuning_grid.FROM_SCRATCH
            if random
            else fine_tuning_grid.PRETRAINED
        )
        self._folder = self._choose_folder()
        points = self._grid.points()
        chosen = config.eval.sweep_points or range(len(points))
        wrong = [n for n in chosen if not 0 <= n < len(points)]
        if wrong:
            raise UserError(
                f"--sweep_points must be numbers 0 to {len(points) - 1} of "
                f"the grid. Received: {','.join(map(str, wrong))}."
            )
        self._points = [points[n] for n in chosen]
        self._others = [p for p in points if p not in self._points]

    def describe(self) -> str:
        """What will be done."""
        return (
            f"Sweep: {len(self._points)} settings on {self._set.title}, then "
            f"the best by {self._set.metric} on train and validation; runs in "
            f"{self._folder}"
        )

    def run(self) -> int:
        """Trains what is not trained yet; records the best when all are."""
        # A record is written beside the folder of its runs.
        files.sweep_asides(os.path.dirname(self._folder))
        validated = {}
        for place, point in enumerate(self._points):
            print(
                f"Setting {place + 1} of {len(self._points)}: learning rate "
                f"{point.learning_rate:.3g}, weight decay "
                f"{point.weight_decay:.3g}",
                flush=True,
            )
            record = self._record_of(point, **_on_validation(point))
            validated[point] = self._value(record)
            self._request.stop.outcome = (
                f"after setting {place + 1}, which is saved. The same command "
                "does the others."
            )
        validated = self._with_others(validated)
        # max keeps the first of equals: the smallest learning rate.
        best = max(validated, key=validated.get)
        print(
            f"Best of {len(validated)} on validation: setting {best.number}, "
            f"{self._set.metric} {validated[best]:.1%}",
            flush=True,
        )
        final = self._record_of(
            best,
            name=_best_name(best),
            train="train_and_validation",
            test="test",
        )
        self._write(final, best, validated)
        return 0

    def _with_others(self, validated: dict) -> dict:
        """Adds the settings that other commands have finished, by number."""
        found = {}
        for point in self._others:
            record = self._finished(point, **_on_validation(point))
            if record is not None:
                found[point] = self._value(record)
        if found:
            numbers = ", ".join(str(point.number) for point in found)
            print(f"Finished by other commands: setting {numbers}", flush=True)
        both = validated | found
        return {point: both[point] for point in sorted(both)}

    def _choose_folder(self) -> str:
        config = transfer_sets.on_parts(
            self._config, self._set, "train", "test"
        )
        sources = {
            part: splits.open_split(config, getattr(self._set, part))
            for part in ("train", "validation", "test")
        }
        self._accepts.require_labels(
            sources["train"],
            flag="train_split",
            job=roles.job(self._config).words,
        )
        return recording.path_of(
            self._config,
            encoder_sha256=loading.identity(self._config),
            splits=sources,
        )

    def _record_of(self, point, name, train, test) -> Record:
        folder = os.path.join(self._folder, name)
        path = os.path.join(folder, "record.json")
        if record := self._finished(point, name, train, test):
            print(f"  finished before: {path}")
            return record
        self._train(self._config_of(point, folder, train, test))
        # A model for every setting would fill the memory.
        keras.backend.clear_session()
        gc.collect()
        return records.read(path)

    def _finished(self, point, name, train, test) -> Record | None:
        """The record of a run that left nothing to do; what is damaged is
        said."""
        folder = os.path.join(self._folder, name)
        path = os.path.join(folder, "record.json")
        # The result is written after the record.
        result = os.path.join(folder, "result.json")
        if not files.gfile.exists(path) or not files.gfile.exists(result):
            return None
        try:
            record = records.read(path)
        except UserError as error:
            print(f"{error} The setting is not finished.", flush=True)
            return None
        _require_same(record, self._config_of(point, folder, train, test), path)
        return record

    def _train(self, config: Config) -> None:
        resolved = dataclasses.replace(
            self._request.resolved,
            config=config,
            # The sweep names its splits, so they must be there; and its
            # batch, which gives way to nothing.
            origins={
                **self._request.resolved.origins,
                "eval_split": "flag",
                "train_batch_size": "flag",
            },
        )
        run = Training(
            Request(resolved, place=self._place, stop=self._request.stop),
            self._accepts,
        )
        print(run.describe(), flush=True)
        run.run()

    def _config_of(self, point, folder, train, test) -> Config:
        given, grid = self._given, self._grid
        batch = given.get("train_batch_size", grid.batch_size)
        config = transfer_sets.on_parts(self._config, self._set, train, test)
        examples = splits.open_split(config, config.data.train_split)
        start = {
            "train_mode": "finetune",
            "checkpoint": self._config.job.checkpoint,
        }
        if self._config.eval.encoder == "random":
            start = {"train_mode": "supervised", "checkpoint": None}
        return resolve.overlay(
            config,
            {
                **start,
                "mode": "train_then_eval",
                "model_dir": folder,
                "optimizer": "momentum",
                "learning_rate": point.learning_rate,
                "learning_rate_scaling": "linear",
                "weight_decay": point.weight_decay,
                "momentum": grid.momentum,
                "warmup_epochs": 0.0,
                "train_batch_size": batch,
                "train_steps": given.get("train_steps", grid.train_steps),
                "batch_norm_decay": fine_tuning_grid.batch_norm_momentum(
                    examples.num_examples, batch_size=batch
                ),
                "keep_checkpoint_max": 1,
                "keep_hub_module_max": 0,
                # B.8: crop and flip, for networks from scratch, too.
                "color_jitter_strength": 0.0,
                "use_blur": False,
            },
        )

    def _value(self, record: Record) -> float:
        return record.metrics[self._set.metric].value

    def _write(self, final: Record, best, validated) -> None:
        record = dataclasses.replace(
            final,
            protocol="transfer_finetune",
            scored=scoring.PROTOCOLS["transfer_finetune"],
            metric=self._set.metric,
            choices={
                **final.choices,
                **self._set.to_record(),
                "whole_grid": len(validated) == len(self._grid.points()),
                "best": best._asdict(),
                "validation": [
                    {**point._asdict(), self._set.metric: value}
                    for point, value in validated.items()
                ],
            },
        )
        recording.copy(
            record,
            os.path.join(self._folder, _best_name(best), "record"),
            self._folder,
        )


def _on_validation(point) -> dict[str, str]:
    """Where a setting is tried, and on what."""
    return {
        "name": f"point_{point.number:02}",
        "train": "train",
        "test": "validation",
    }


def _best_name(point) -> str:
    """Of its own for every setting: with more of them, the best may change."""
    return f"best_{point.number:02}"


def _require_same(record: Record, config: Config, path: str) -> None:
    """A result of other settings must not stand for this sweep's.

    Raises:
        errors.Halted: it would.
    """
    changes = roles.fixed_differences(resolve.from_dict(record.config), config)
    if changes:
        raise errors.Halted(
            f"{path} is of another sweep: {'; '.join(changes)}. Choose another "
            "--model_dir, or the flags that the sweep was started with."
        )
