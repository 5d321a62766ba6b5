"""The parts of a training run, made from its configuration.

`training` moves its weights, `follow` looks on; both score it by `result`.
"""

from collections.abc import Callable, Mapping
from typing import Any

from simclr_tf.build import (
    account,
    batches,
    fitting,
    network,
    schedule,
    splits,
    training,
    views,
)
from simclr_tf.build.distilling import teacher as teachers
from simclr_tf.build.distilling.lesson import Lesson
from simclr_tf.build.unreadable import Unreadable
from simclr_tf.config import Config, roles
from simclr_tf.data import subset
from simclr_tf.evaluation import features, knn_watch
from simclr_tf.evaluation.knn_watch import KnnWatch
from simclr_tf.jobs.requests import Accepts, Placement
from simclr_tf.models.simclr import SimClr
from simclr_tf.reports import words
from simclr_tf.run_files import checkpoints, room, unreadable_images
from simclr_tf.run_files.folder import RunFolder
from simclr_tf.train import micro_batches, precision
from simclr_tf.train.hosts import Hosts


class TrainingRun:
    """Data, plan, model, optimizer and checkpoints of a run.

    Args:
        config: of the run.
        origins: where its values came from.
        placement: where the replicas run.
        accepts: what the run accepts.
        folder_of: gives the run's folder once its data is open; None:
            --model_dir.

    Raises:
        UserError: something the user can mend.
    """

    def __init__(
        self,
        config: Config,
        *,
        origins: Mapping[str, str],
        placement: Placement,
        accepts: Accepts,
        folder_of: Callable[["TrainingRun"], str] | None = None,
    ):
        self.config = config
        self.origins = origins
        self.strategy = placement.strategy
        self.device_type = placement.device_type
        self.hosts = Hosts(
            placement.strategy, count=placement.num_hosts, index=placement.host
        )
        self._open_data(accepts)
        replicas = self.strategy.num_replicas_in_sync
        self.config = config = schedule.with_fitting_batch(
            config, self.train_source.num_examples, replicas, origins
        )
        self.folder = RunFolder(
            folder_of(self) if folder_of else config.model_dir,
            writes=self.hosts.is_chief,
        )
        self.lesson = None
        self.classes = teachers.classes_of(self.train_source)
        if config.job.train_mode == "distill":
            self.lesson = Lesson(config, self.folder)
            self.classes = self.lesson.classes.named_by(self.train_source)
            self.eval_source = self.lesson.scored_on(
                self.eval_source, self.train_source, origins=origins
            )
        self.unreadable = Unreadable(
            {"train": self.train_source, "eval": self.eval_source},
            hosts=self.hosts,
            reads_here=batches.reads_here(self.strategy),
        )
        self.plan = schedule.make_plan(
            config,
            num_examples=self.train_source.num_examples,
            num_replicas=replicas,
            origins=origins,
        )
        self.dtype_policy = self._choose_dtype_policy()
        self.color_on_host = views.color_on_host(config, self.device_type)
        fitting.require_memory(config, self.device_type, self.hosts.count)
        if config.optim.micro_batch_size:
            micro_batches.check_place(self.strategy, self.device_type)

    def build(self) -> None:
        """Makes model, optimizer and what reads and writes checkpoints."""
        with self.strategy.scope():
            if self.lesson:
                self.lesson.build(self.dtype_policy)
            self.model = self.build_model()
            self.optimizer = training.build_optimizer(
                self.config, self.plan, self.model
            )
        self.decayed = training.decayed_in_loss(self.config, self.model)
        self.checkpoints = checkpoints.Checkpoints(
            self.folder.path,
            checkpoints.named_variables(
                self.model.variables, self.optimizer.variables
            ),
            max_to_keep=self.config.output.keep_checkpoint_max,
            writes=self.hosts.is_chief,
        )

    def require_agreement(self) -> None:
        """Raises UserError on every host where they differ in what they
        compute: they would wait for each other, or mix their gradients."""
        options = {
            f"--{name}": roles.show(value)
            for name, value in roles.fixed(self.config).items()
        }
        self.hosts.require_same(
            {
                **options,
                "the data": repr(self.facts),
                "the plan": repr(self.plan),
                "the precision": self.dtype_policy,
                "the teacher": self.lesson.sha256 if self.lesson else "",
                "--augment_on": str(self.color_on_host),
                f"the step in --model_dir={self.folder.path}, which must be "
                "one folder for all hosts,": str(self.step),
            }
        )

    def require_room(self) -> None:
        """Raises UserError where the chief's disk has no room for the rest."""
        if not self.hosts.is_chief:
            return
        left = max(self.plan.train_steps - self.step, 0)
        room.require(
            self.folder.path,
            model=self.model.variables,
            optimizer=self.optimizer.variables,
            saves=-(-left // self.plan.checkpoint_steps),
            keep_checkpoints=self.config.output.keep_checkpoint_max,
            keep_saved_models=self.config.output.keep_hub_module_max,
        )

    def build_model(self, *, dtype_policy: str | None = None) -> SimClr:
        """A new model with the weights that the seed gives it."""
        return network.build_model(
            self.config,
            num_classes=self.classes.count,
            dtype=dtype_policy or self.dtype_policy,
        )

    def describe(self) -> str:
        """What the configuration came to, for the reader of the log."""
        where = "the host" if self.color_on_host else "the device"
        return "\n".join(
            [
                self.plan.describe(self.strategy.num_replicas_in_sync),
                f"Data: {account.of(self.train_source)}",
                *self._describe_evaluation(),
                *(self.lesson.describe() if self.lesson else ()),
                f"Precision: {self.dtype_policy}; colour and blur on {where}",
                f"Run folder: {self.folder.path} (views.png shows its input)",
            ]
        )

    @property
    def facts(self) -> dict[str, Any]:
        """Of the data: what a resumed run must find unchanged."""
        source = self.train_source
        facts = {
            "fingerprint": source.fingerprint,
            "num_examples": source.num_examples,
            "num_classes": self.classes.count,
            "class_names": list(self.classes.names),
        }
        if source.order_depends_on_hosts:
            facts["num_hosts"] = self.hosts.count
        if images := schedule.images_per_moment(self.config, self.strategy):
            facts["images_per_moment"] = images
        return facts

    @property
    def pretrains(self) -> bool:
        """Whether no labels are needed."""
        return self.config.job.train_mode == "pretrain"

    @property
    def networks(self) -> list[SimClr]:
        """What a step computes: the model, and its teacher if it has one."""
        return [self.model, *([self.lesson.model] if self.lesson else [])]

    @property
    def step(self) -> int:
        """Updates done so far."""
        return int(self.optimizer.iterations.numpy())

    def examples(self, split: str, limit: int | None = None):
        """Distributed dataset of a split, in order.

        Args:
            split: "train" or "eval".
            limit: so many at most, spread over the split.
        """
        return batches.evaluation_dataset(
            self.config,
            self.train_source if split == "train" else self.eval_source,
            strategy=self.strategy,
            max_examples=limit,
            corrupt=self.unreadable.counted(split),
        )

    def write_unreadable(self) -> None:
        """Notes what could not be read by now; every host calls it."""
        self.unreadable.write(self.folder.file(unreadable_images.FILE))

    def make_knn_watch(self) -> KnnWatch | None:
        """For --knn_eval; None without it."""
        if not self.config.eval.knn_eval:
            return None
        limit = knn_watch.MAX_EXAMPLES
        return KnnWatch(
            features.h_of(self.model),
            train=lambda: self.examples("train", limit),
            test=lambda: self.examples("eval", limit),
            strategy=self.strategy,
            num_classes=self.train_source.num_classes,
        )

    def _open_data(self, accepts: Accepts) -> None:
        config = self.config
        self.train_source, self.label_subset = splits.open_training(config)
        accepts.require_labels(
            self.train_source,
            flag="train_split",
            job=f"--train_mode={config.job.train_mode}",
        )
        self.eval_source = splits.open_evaluation(
            config, required=self.origins.get("eval_split") == "flag"
        )
        self.overlap, self.budgets = None, ()
        if self.eval_source is not None:
            self.overlap = subset.overlap(self.train_source, self.eval_source)
        if self.pretrains:
            self.budgets = splits.check_scores(
                config,
                self.train_source,
                self.eval_source,
                origins=self.origins,
            )

    def _describe_evaluation(self) -> list[str]:
        if self.eval_source is None:
            return ["Evaluation: on nothing (no labelled split)"]
        return [
            f"Evaluation: on {account.of(self.eval_source)}",
            *words.of_overlap(self.overlap, self.eval_source.num_examples),
        ]

    def _choose_dtype_policy(self) -> str:
        """The Keras policy; auto is what it was when the run was started."""
        asked = self.config.model.mixed_precision
        here = precision.dtype_policy(asked, self.device_type)
        kept = self.folder.dtype_policy() if asked == "auto" else None
        return kept or here
