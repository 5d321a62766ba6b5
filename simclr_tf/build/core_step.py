"""A job's training step from its configuration: no devices, no data."""

import dataclasses

import tensorflow as tf

from simclr_tf import distributed
from simclr_tf.build import network, splits, training, views
from simclr_tf.build.schedule import make_plan
from simclr_tf.config import Config
from simclr_tf.errors import UserError
from simclr_tf.train import micro_batches, precision

# Of split "train": num_examples and num_classes, for a machine without them.
_KNOWN = {
    "imagenet2012": (1_281_167, 1000),
    "cifar10": (50_000, 10),
    "cifar100": (50_000, 100),
    "fashion_mnist": (60_000, 10),
    "mnist": (60_000, 10),
}


@dataclasses.dataclass(frozen=True)
class DataFacts:
    """What a training step and its schedule depend on.

    Attributes:
        num_examples: of the training split.
        num_classes: K, or None without labels.
        missing: why the data itself could not be opened; None where it was.
    """

    num_examples: int
    num_classes: int | None
    missing: str | None = None


def data_facts(config: Config) -> DataFacts:
    """From the data set where it is here; else from flags, or what is known.

    Raises:
        UserError: the data isn't here, and nothing says how large it is.
    """
    told = config.preflight
    try:
        source, _ = splits.open_training(config)
    except ValueError as error:
        known = (None, None)
        if config.data.train_split == "train":
            known = _KNOWN.get(config.data.dataset.split(":")[0], known)
        num_examples = told.num_examples or known[0]
        if not num_examples:
            raise UserError(
                f"{error} For a preflight without the data, say how many "
                "examples it has: --num_examples, and --num_classes where it "
                "has labels."
            ) from error
        return DataFacts(
            num_examples,
            told.num_classes or known[1],
            " ".join(f"{error}".split()),
        )
    return DataFacts(source.num_examples, source.num_classes)


def findings(
    config: Config, facts: DataFacts, *, num_hosts: int
) -> list[tuple[str, str]]:
    """What can be said of data and paths: ("ok" or "warning", text).

    Args:
        config: of the job.
        facts: of its data.
        num_hosts: machines that will run it.
    """
    size = f"{facts.num_examples} images, {facts.num_classes or 'no'} classes"
    if facts.missing:
        found = [
            (
                "warning",
                f"data: not on this machine ({facts.missing}) Assumed: {size}",
            )
        ]
    else:
        found = [("ok", f"data: {config.data.dataset}, {size}")]
    paths = {"data_dir": config.data.data_dir, "model_dir": config.model_dir}
    if config.data.dataset == "digits":
        del paths["data_dir"]
    for flag, path in paths.items():
        level, note = _path_finding(flag, path, num_hosts)
        found.append((level, f"--{flag}={path or ''}: {note}"))
    return found


def _path_finding(flag: str, path: str | None, num_hosts: int):
    if path and path.startswith("gs://"):
        return "ok", "every host reaches it; not looked at from here"
    if num_hosts > 1:
        return (
            "warning",
            f"the {num_hosts} hosts of this slice each have a disk of their "
            "own; use a gs:// path",
        )
    if flag == "model_dir":
        return "ok", "on the host's disk, which goes with the TPU VM"
    return "ok", "must be on the host's disk"


class PlannedJob:
    """The step that one of R TPU cores would run, for a compiler.

    Model, optimizer and step are made as a run makes them.

    Args:
        config: of the job.
        facts: of its data.
        num_replicas: R.

    Attributes:
        plan: steps and rates of the job.
        model: of which it trains the weights.

    Raises:
        UserError: something the user can mend; the message names the flag.
    """

    views_per_example = views.NUM_VIEWS

    def __init__(self, config: Config, *, facts: DataFacts, num_replicas: int):
        if config.optim.micro_batch_size:
            micro_batches.check_place(tf.distribute.get_strategy(), "TPU")
        self._config = config
        self._num_replicas = num_replicas
        self.plan = make_plan(
            config, num_examples=facts.num_examples, num_replicas=num_replicas
        )
        self._color_on_host = config.augment.augment_on == "host"
        dtype = precision.policy_name(config.model.mixed_precision, "TPU")
        if config.job.train_mode != "pretrain":
            self.views_per_example = 1
        self.model = network.build_model(
            config, num_classes=facts.num_classes, dtype=dtype
        )
        self._trainer = training.build_trainer(
            config,
            strategy=tf.distribute.get_strategy(),
            model=self.model,
            optimizer=training.build_optimizer(config, self.plan, self.model),
            dataset=None,
            dtype=dtype,
            color_view=None
            if self._color_on_host
            else views.augmentation(config).color_view,
        )

    def step(self, per_replica_batch_size: int):
        """The step of a replica.

        Returns:
            A function with jit_compile=True of (replica's index, batch...),
            and its arguments' `tf.TensorSpec`s.
        """
        batch = self._batch_specs(per_replica_batch_size)

        def step(index, *arrays):
            with distributed.one_of(self._num_replicas, index):
                self._trainer.replica_step(
                    dict(zip(batch, arrays, strict=True))
                )

        return (
            tf.function(step, jit_compile=True, autograph=False),
            [tf.TensorSpec([], tf.int32, "replica"), *batch.values()],
        )

    def _batch_specs(self, N: int) -> dict[str, tf.TensorSpec]:
        """As `data.pipeline` makes batches, on the device."""
        S = self._config.data.image_size
        P = views.augmentation(self._config).num_parameters
        pixels = tf.float32 if self._color_on_host else tf.uint8
        specs = {"label": ([N], tf.int64)}
        for view in range(self.views_per_example):
            specs[f"images_{view}"] = ([N, S, S, 3], pixels)
            if not self._color_on_host:
                specs[f"parameters_{view}"] = ([N, P], tf.float32)
        return {
            name: tf.TensorSpec(shape, dtype, name)
            for name, (shape, dtype) in specs.items()
        }
