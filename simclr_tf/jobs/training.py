"""A whole run: the one file that sees every part.

Experiment   every check that needs no training, then the parts
.train       steps, metrics, checkpoints; continues where the last run ended
.evaluate    the probe, and logistic regressions on few labels
.follow      evaluates the checkpoints of another process as they appear
"""

import functools
import zlib
from collections.abc import Mapping
from typing import Any

import tensorflow as tf

from simclr_tf import errors
from simclr_tf.build import batches, network, splits, training, views
from simclr_tf.build.schedule import make_plan
from simclr_tf.config import Config, resolve
from simclr_tf.convert import saved_model
from simclr_tf.data import pipeline, sources
from simclr_tf.data.corrupt import CorruptLog
from simclr_tf.errors import UserError
from simclr_tf.evaluation import knn_watch, scoring
from simclr_tf.evaluation.knn_watch import KnnWatch
from simclr_tf.jobs import results
from simclr_tf.models.flops import training_flops_of_view
from simclr_tf.models.simclr import SimClr
from simclr_tf.reports.reporting import Reporter
from simclr_tf.run_files import checkpoints, loading, start_weights
from simclr_tf.run_files.folder import RunFolder
from simclr_tf.train import loop, micro_batches, precision, self_check
from simclr_tf.train.hosts import Hosts
from simclr_tf.train.profiling import Profiler
from simclr_tf.train.progress import Progress
from simclr_tf.train.startup_clock import StartUp
from simclr_tf.train.step import StepTrainer
from simclr_tf.train.stopping import StopRequest

_UNCOUNTED = (
    "\nThe TPU's machines read the images: unreadable ones are replaced as "
    "ever, but beyond those found before training, neither counted nor "
    "named, and --max_corrupt_fraction does not stop the run."
)


class Experiment:
    """The parts of a run, made from its configuration.

    Args:
        config: what to do.
        origins: where its values came from.
        strategy: where the replicas run.
        device_type: "TPU", "GPU" or "CPU".
        hosts: the processes of the run; the chief writes its files.
        started: time.monotonic() when the process began, for `StartUp`.

    Raises:
        UserError: something the user can mend; the message names the flag.
    """

    def __init__(
        self,
        config: Config,
        *,
        origins: Mapping[str, str],
        strategy: tf.distribute.Strategy,
        device_type: str,
        hosts: Hosts | None = None,
        started: float | None = None,
    ):
        self._startup = StartUp(started)
        self.config = config
        self.hosts = hosts or Hosts(strategy)
        self.origins = origins
        self.strategy = strategy
        self.folder = RunFolder(config.model_dir, writes=self.hosts.is_chief)
        self._device_type = device_type
        self.corrupt = CorruptLog()
        self._counted = self.corrupt if batches.reads_here(strategy) else None
        self.train_source, self.label_subset = splits.open_training(config)
        self.eval_source = splits.open_evaluation(
            config, required=origins["eval_split"] == "flag"
        )
        self.plan = make_plan(
            config,
            num_examples=self.train_source.num_examples,
            num_replicas=strategy.num_replicas_in_sync,
        )
        self._policy_name = self._choose_policy()
        self._color_on_host = views.color_on_host(config, device_type)
        if config.optim.micro_batch_size:
            micro_batches.check_place(strategy, device_type)
        if self.eval_source is not None and self.pretrains:
            scoring.check_budgets(
                config.eval.linear_eval_labels, self.train_source
            )
        self._check_knn()
        self._check_images()
        self._num_unreadable = 0
        self._startup.ended("data")

    def describe(self) -> str:
        """What the configuration came to, for the reader of the log."""
        source, place = self.train_source, "in the training step"
        if self._color_on_host:
            place = "in the tf.data graph"
        return (
            f"{self.plan.describe()}\n"
            f"Data: {source.name}, {source.num_examples} images of "
            f"{source.split}, {source.num_classes or 'no'} classes; "
            f"evaluation on {getattr(self.eval_source, 'split', 'nothing')}\n"
            f"Precision: {self._policy_name}; colour and blur {place}\n"
            f"Run folder: {self.folder.path}"
            + (_UNCOUNTED if self._counted is None else "")
        )

    def claim_folder(self, given: Mapping[str, Any]) -> None:
        """Writes config.json, or checks that the folder holds this run."""
        facts = self._facts
        self.folder.claim(
            self.config,
            origins=self.origins,
            given=given,
            facts=facts,
            policy=self._policy_name,
        )

    def _choose_policy(self) -> str:
        """The Keras policy; auto is what it was when the run was started."""
        asked = self.config.model.mixed_precision
        here = precision.policy_name(asked, self._device_type)
        if asked != "auto":
            return here
        return self.folder.policy() or here

    def _require_agreement(self) -> None:
        """Hosts that compute different things would wait for each other, or
        mix their gradients.

        Raises:
            UserError: they do; on every host.
        """
        fixed = [self.plan, self._policy_name, self._color_on_host, self._facts]
        self.hosts.require_same(
            zlib.crc32(repr([resolve.fixed(self.config), *fixed]).encode()),
            what="the flags or the data (a checksum of them)",
        )
        self.hosts.require_same(
            self.step,
            what="the step they continue from, so that --model_dir="
            f"{self.folder.path} is not one folder for all of them",
        )

    @property
    def _facts(self) -> dict[str, Any]:
        return {
            "fingerprint": self.train_source.fingerprint,
            "num_examples": self.train_source.num_examples,
            "num_classes": self.train_source.num_classes,
        }

    def build(self) -> None:
        """Makes model, optimizer and what reads and writes checkpoints."""
        with self.strategy.scope():
            self.model = self.build_model()
            self.optimizer = training.build_optimizer(
                self.config, self.plan, self.model
            )
        self.decayed = training.decayed_in_loss(self.config, self.model)
        self._knn_watch = self._make_knn_watch()
        self.checkpoints = checkpoints.Checkpoints(
            self.folder.path,
            checkpoints.named_variables(
                self.model.variables, self.optimizer.variables
            ),
            max_to_keep=self.config.output.keep_checkpoint_max,
            writes=self.hosts.is_chief,
        )

    def restore(self) -> None:
        """Sets the weights to the newest checkpoint's, if there is one.

        Fine-tuning that has none starts from --checkpoint.

        Raises:
            UserError: there are checkpoints, and none can be used.
        """
        path = self.checkpoints.restore_newest()
        if path:
            print(f"Continuing from {path}, step {self.step}.", flush=True)
        elif self.config.job.checkpoint:
            weights = loading.open_weights(self.config.job.checkpoint)
            loaded = loading.load(
                weights,
                self.model,
                with_linear_head=self.config.model.restore_linear_head,
            )
            print(loaded.describe(), flush=True)
            start_weights.note(self, loaded.to_dict())
        elif not self.pretrains:
            start_weights.note(self, {"checkpoint": None})
        self._require_agreement()
        self._startup.ended("model")

    def build_model(self) -> SimClr:
        """A new model with the weights that the seed gives it."""
        return network.build_model(
            self.config,
            num_classes=self.train_source.num_classes,
            dtype=self._policy_name,
        )

    @property
    def pretrains(self) -> bool:
        """Whether no labels are needed."""
        return self.config.job.train_mode == "pretrain"

    @property
    def step(self) -> int:
        """Updates done so far."""
        return int(self.optimizer.iterations.numpy())

    def train(self, stop: StopRequest) -> None:
        """Trains from the step in hand to the last.

        Raises:
            errors.Halted: the loss is not finite, too many images are
                unreadable, or the loss across replicas is wrong.
            errors.Stopped: a signal arrived; everything is saved.
        """
        if self.step >= self.plan.train_steps:
            print(f"Training is finished: step {self.step}.")
            return
        self_check.check(
            self.strategy, device_type=self._device_type, hosts=self.hosts
        )
        reporter = Reporter(self.folder, self.optimizer, from_step=self.step)
        reporter.picture_views(self.config, self.train_source)
        progress = Progress(
            total_steps=self.plan.train_steps,
            global_batch_size=self.plan.global_batch_size,
            flops_per_image=views.num_views(self.config)
            * training_flops_of_view(self.model),
        )
        profiler = Profiler(
            self.config.output.profile_steps,
            self.folder.path,
            writes=self.hosts.is_chief,
        )
        try:
            loop.train(
                self._trainer(),
                self.plan,
                save=functools.partial(self._save, reporter, progress),
                log=reporter.log,
                check=self._check_corrupt,
                progress=progress,
                stop=stop,
                startup=self._startup,
                profiler=profiler,
                hosts=self.hosts,
            )
        finally:
            profiler.close()
            progress.close()
            reporter.close()
        start_weights.require_frozen(self)
        if unreadable := self.unreadable():
            print(
                f"{len(unreadable)} unreadable images were replaced: "
                f"{', '.join(unreadable[:10])}"
            )

    def _save(self, reporter: Reporter, progress: Progress, step: int) -> None:
        self.checkpoints.save(step)
        if self._knn_watch is not None:
            scalars = self._knn_watch()
            reporter.log(step, scalars)
            shown = (f"{k} {v:.1%}" for k, v in scalars.items())
            progress.note(f"Nearest neighbours: {', '.join(shown)}")

    def evaluate(self) -> dict[str, Any]:
        """Scores the weights in hand; writes and returns the result."""
        return results.evaluate(self)

    def _make_knn_watch(self) -> KnnWatch | None:
        if not self.config.eval.knn_eval or self.eval_source is None:
            return None
        limit = knn_watch.MAX_EXAMPLES
        return KnnWatch(
            lambda images: self.model(images, training=False).features,
            train=lambda: self.examples(self.train_source, limit),
            test=lambda: self.examples(self.eval_source, limit),
            strategy=self.strategy,
            num_classes=self.train_source.num_classes,
        )

    def examples(self, source: sources.Source, limit: int | None = None):
        """Distributed dataset of a split, in order; `limit` of it at most."""
        return batches.evaluation_dataset(
            self.config,
            source,
            strategy=self.strategy,
            max_examples=limit,
            corrupt=self._counted,
        )

    def export(self) -> None:
        """Writes saved_model/<step>/, from a copy outside the strategy."""
        keep = self.config.output.keep_hub_module_max
        folder = self.folder.file("saved_model")
        if not keep or tf.io.gfile.exists(f"{folder}/{self.step}"):
            return
        if not self.hosts.is_chief:
            return
        copy = self.build_model()
        for mine, trained in zip(
            copy.variables, self.model.variables, strict=True
        ):
            mine.assign(trained.numpy())
        path = saved_model.export(
            copy,
            folder,
            step=self.step,
            image_size=self.config.data.image_size,
            keep=keep,
            metadata={
                "config": self.config.to_dict(),
                "global_step": self.step,
                "images": "float32[N, S, S, 3] in [0, 1]; no normalisation",
            },
        )
        print(f"SavedModel: {path}")

    def follow(self) -> None:
        """Evaluates the newest checkpoint, again and again.

        Ends after the last step's, or when none has appeared for
        --eval_timeout_seconds.

        Raises:
            errors.Halted: it timed out.
        """
        timeout = self.config.eval.eval_timeout_seconds
        for path in tf.train.checkpoints_iterator(
            self.folder.path, timeout=timeout, timeout_fn=lambda: True
        ):
            try:
                self.checkpoints.restore(path)
            except checkpoints.UnreadableCheckpoint as error:
                print(error)  # the trainer may have deleted it by now
                continue
            print(scoring.report(self.evaluate()), flush=True)
            if self.step >= self.plan.train_steps:
                return
        raise errors.Halted(
            f"No new checkpoint in --model_dir={self.folder.path} for "
            f"{timeout:g} s, and training has not reached its last step. Is it "
            "still running? --eval_timeout_seconds sets the patience."
        )

    def _trainer(self) -> StepTrainer:
        dataset = batches.training_dataset(
            self.config,
            self.train_source,
            strategy=self.strategy,
            start_step=self.step,
            color_on_host=self._color_on_host,
            corrupt=self._counted,
        )
        return training.build_trainer(
            self.config,
            strategy=self.strategy,
            model=self.model,
            optimizer=self.optimizer,
            dataset=dataset,
            dtype=self._policy_name,
            color_view=None
            if self._color_on_host
            else views.color_in_step(self.config, self.strategy),
        )

    def _check_images(self) -> None:
        scanned = pipeline.scan(self.train_source, corrupt=self.corrupt)
        # A sample tells of the whole with some doubt: it ends the run before
        # it begins only where it is far over the limit.
        limit = self.config.data.max_corrupt_fraction
        seen_whole = scanned >= self.train_source.num_examples
        if seen_whole or self.corrupt.count() > (2 * limit + 0.01) * scanned:
            self.corrupt.check(limit, scanned)

    def _check_knn(self) -> None:
        labelled = self.eval_source is not None and self.train_source.has_labels
        if self.config.eval.knn_eval and not labelled:
            raise UserError(
                "--knn_eval needs labels in --train_split="
                f"{self.train_source.split} and in --eval_split. Leave it out."
            )

    def unreadable(self) -> list[str]:
        """Names of the images that a host could not read."""
        return self.hosts.union(self.corrupt.names())

    def _check_corrupt(self) -> None:
        total = self.hosts.gather([self.corrupt.count()]).sum()
        if total == self._num_unreadable:
            return  # no host has found another
        self._num_unreadable = total
        try:
            self.corrupt.check(
                self.config.data.max_corrupt_fraction,
                self.train_source.num_examples,
                names=self.unreadable(),
            )
        except ValueError as error:
            raise errors.Halted(str(error)) from error
