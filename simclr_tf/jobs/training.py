"""Training: pretraining, classifiers, distillation; and what comes after it.

Reads    images, and --checkpoint's weights to build upon or to learn from
Writes   --model_dir: config.json, checkpoints, metrics, views.png, SavedModel,
         with --mode=train_then_eval result.json
Ends     with 0 at the last step; the same command continues a stopped run
Signals  end the step and save it, within --grace_seconds; before the first
         step and after the last nothing is to be saved
"""

import contextlib
import functools
from collections.abc import Callable

from simclr_tf.build import batches, network, training, views
from simclr_tf.data import pipeline
from simclr_tf.data.corrupt import in_words
from simclr_tf.errors import Stopped
from simclr_tf.evaluation import knn_watch
from simclr_tf.jobs import export, result, views_picture
from simclr_tf.jobs.requests import Accepts, Request
from simclr_tf.jobs.training_run import TrainingRun
from simclr_tf.models.flops import training_flops_of_view
from simclr_tf.run_files import start_weights, unreadable_images
from simclr_tf.run_files.metrics_log import MetricsLog
from simclr_tf.train import loop
from simclr_tf.train.profiling import Profiler
from simclr_tf.train.progress import Progress
from simclr_tf.train.startup_clock import StartupClock
from simclr_tf.train.step import StepTrainer
from simclr_tf.train.unreadable import UnreadableWatch

_UNCOUNTED = (
    "The TPU's machines read the images: unreadable ones are replaced as "
    "ever, but beyond those found before training, neither counted nor "
    "named, and --max_corrupt_fraction does not stop the run."
)


def make(request: Request, accepts: Accepts) -> "Training":
    """The job of a command."""
    return Training(request, accepts)


class Training:
    """A run that is trained to its last step, exported and scored.

    Args:
        request: the command.
        accepts: what the job accepts.
        folder_of: as in `TrainingRun`.

    Raises:
        UserError: something the user can mend.
    """

    def __init__(
        self,
        request: Request,
        accepts: Accepts,
        *,
        folder_of: Callable[[TrainingRun], str] | None = None,
    ):
        self._clock = StartupClock(request.started)
        self._stop = request.stop
        config, resolved = request.config, request.resolved
        self._said: list[str] = []
        self._run = run = TrainingRun(
            config,
            origins=resolved.origins,
            placement=request.place(config),
            accepts=accepts,
            folder_of=folder_of,
        )
        self._unreadable = UnreadableWatch(
            log := run.unreadable.logs["train"],
            max_fraction=config.data.max_corrupt_fraction,
            num_examples=run.train_source.num_examples,
            hosts=run.hosts,
            write=run.write_unreadable,
        )
        self._unreadable.check_sample(
            pipeline.scan(run.train_source, corrupt=log)
        )
        self._clock.ended("data")
        run.folder.claim(
            run.config,
            origins=resolved.origins,
            given=resolved.given,
            facts=run.facts,
            dtype_policy=run.dtype_policy,
        )
        try:
            run.build()
            self._knn_watch = run.make_knn_watch()
            self._restore()
            run.require_room()
            run.require_agreement()
        except BaseException as error:
            run.hosts.part(str(error))
            run.folder.release()
            raise
        self._clock.ended("model")

    def describe(self) -> str:
        """What the configuration came to, and where it goes on."""
        lines = [self._run.describe(), *self._said]
        if not self._run.unreadable.reads_here:
            lines.append(_UNCOUNTED)
        return "\n".join(lines)

    def run(self) -> int:
        """Trains, exports and scores."""
        run, stop = self._run, self._stop
        together = run.hosts.count > 1
        try:
            # Hosts leave together, where all of them are.
            with stop.deferred() if together else contextlib.nullcontext():
                self._train()
                self._heed_signals()
                export.export(run)
                self._heed_signals()
                if run.config.job.mode != "train":
                    result.report(run)
                run.hosts.barrier()  # what the chief writes is written
                run.hosts.part()
        except BaseException as error:
            run.hosts.part(str(error))
            raise
        finally:
            run.folder.release()
        return 0

    def _heed_signals(self) -> None:
        """Between two parts of the work: stops if any host was asked to."""
        number = self._run.hosts.gather([self._stop.signal_number or 0]).max()
        if number:
            raise Stopped(int(number))

    def _restore(self) -> None:
        """Sets the weights to the newest checkpoint's, if there is one.

        A run that has none starts from --checkpoint.
        """
        run = self._run
        path = run.checkpoints.restore_newest(
            first_steps=min(run.plan.checkpoint_steps, run.plan.train_steps - 1)
        )
        self._say_saved(run.step)
        if path:
            self._said.append(f"Continuing from {path}, step {run.step}.")
        if run.pretrains and not run.config.job.checkpoint:
            return
        if path and start_weights.are_known(run.folder):
            if run.lesson:
                start_weights.require_teacher(
                    run.folder, self._frozen(), config=run.config
                )
            return
        said = start_weights.begin(
            run.folder,
            run.model,
            config=run.config,
            class_names=run.classes.names,
            frozen=self._frozen(),
            teacher=run.lesson and run.lesson.origin,
        )
        if path:
            run.checkpoints.restore(path)
        elif said:
            self._said.append(said)

    def _say_saved(self, step: int) -> None:
        """For the last line of a stopped run."""
        if not step:
            self._stop.outcome = (
                "before the first step was done. The same command starts again."
            )
            return
        last = step >= self._run.plan.train_steps
        self._stop.outcome = (
            f"after step {step}, which is saved. The same command "
            f"{'does what is left' if last else 'continues from there'}."
        )

    def _train(self) -> None:
        """Trains from the step in hand to the last.

        Raises:
            Halted: the loss is not finite, too many images are unreadable, or
                the loss across replicas is wrong.
            Stopped: a signal arrived; everything is saved.
        """
        run, config = self._run, self._run.config
        log = MetricsLog(
            run.folder,
            run.optimizer,
            from_step=run.step,
            log_steps=run.plan.log_steps,
        )
        run.write_unreadable()
        self._watch_what_was_not(log)
        if run.step >= run.plan.train_steps:
            print(
                f"Training is finished: step {run.step}. To train on from it, "
                f"give --checkpoint={run.folder.path} and a new --model_dir."
            )
            log.close()
            return
        training.check_loss(config, run.strategy, run.device_type, run.hosts)
        log.picture_views(
            functools.partial(views_picture.draw, config, run.train_source)
        )
        progress = Progress(
            total_steps=run.plan.train_steps,
            global_batch_size=run.plan.global_batch_size,
            flops_per_image=views.num_views(config)
            * sum(map(training_flops_of_view, run.networks)),
        )
        profiler = Profiler(
            config.output.profile_steps,
            run.folder.path,
            writes=run.hosts.is_chief,
        )
        try:
            loop.train(
                self._trainer(),
                run.plan,
                save=functools.partial(self._save, log, progress),
                log=log.log,
                check=self._unreadable.check,
                progress=progress,
                stop=self._stop,
                startup=self._clock,
                profiler=profiler,
                hosts=run.hosts,
            )
        finally:
            profiler.close()
            progress.close()
            log.close()
        start_weights.require_frozen(run.folder, self._frozen())
        path = run.folder.file(unreadable_images.FILE)
        if lines := self._unreadable.lines():
            print(in_words(lines, done="replaced", path=path))

    def _save(self, log: MetricsLog, progress: Progress, step: int) -> None:
        log.sync()
        self._run.folder.require_there()
        self._run.checkpoints.save(step)
        self._say_saved(step)
        self._watch(log, progress.note)

    def _watch(self, log: MetricsLog, say: Callable[[str], None]) -> None:
        if self._knn_watch is None:
            return
        together = self._run.hosts.count > 1
        with contextlib.nullcontext() if together else self._stop.prompt():
            scalars = self._knn_watch()
            if scalars:
                log.log_scores(self._run.step, scalars)
        if scalars:
            shown = (f"{k} {v:.1%}" for k, v in scalars.items())
            say(f"Nearest neighbours: {', '.join(shown)}")

    def _watch_what_was_not(self, log: MetricsLog) -> None:
        """A kill may come between a checkpoint and its score."""
        hosts = self._run.hosts
        scored = any(name.startswith(knn_watch.PREFIX) for name in log.at_start)
        # All hosts score, or none; the chief knows what is logged.
        if self._run.step and not hosts.gather([scored]).any():
            self._watch(log, print)

    def _trainer(self) -> StepTrainer:
        run, config = self._run, self._run.config
        dataset = batches.training_dataset(
            config,
            run.train_source,
            strategy=run.strategy,
            start_step=run.step,
            color_on_host=run.color_on_host,
            corrupt=run.unreadable.counted("train"),
        )
        return training.build_trainer(
            config,
            strategy=run.strategy,
            model=run.model,
            optimizer=run.optimizer,
            dataset=dataset,
            dtype=run.dtype_policy,
            lesson=run.lesson,
            color_view=None
            if run.color_on_host
            else views.color_in_step(config, run.strategy),
        )

    def _frozen(self):
        if self._run.lesson:
            return self._run.lesson.model.variables
        return network.frozen_variables(self._run.model, self._run.config)
