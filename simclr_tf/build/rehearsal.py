"""A job's step on R replicas beside the same job on one device: made to run.

The replicas' program is the one that a preflight compiles for a TPU; who runs
it is the caller's matter. One device is TensorFlow's, here.
"""

import dataclasses
import functools
import math
from collections.abc import Mapping, Sequence

import numpy as np
import tensorflow as tf

from simclr_tf import agreement
from simclr_tf.agreement import Quantity, Trace
from simclr_tf.build import views
from simclr_tf.build.core_step import CoreStep
from simclr_tf.config import Config
from simclr_tf.models import batch_norm
from simclr_tf.train.plan import Plan

# A coarse picture is so many squares wide.
_SQUARES = 6
# Of a cosine's way, where it has come down to 1/16.
_LATE = 2 / math.pi * math.acos(1 / 4)


class Rehearsal:
    """Some steps of a job, on fixed views.

    Args:
        config: of the job, whose batch is that of R replicas of N.
        num_examples, num_classes, origins: of `CoreStep`.
        num_replicas: R.
        num_steps: how many.

    Attributes:
        function, specs: the step of a replica, as `CoreStep.step` gives it.
        steps: of each step, the function's arguments, [R, ...] each.
        variables: all that it uses, by name.
        watched: names of those that hold the means of scalars.
        groups: words -> names of the variables that are compared together.
        flops: of all steps, as the model's layers have them.

    Raises:
        UserError: as of `CoreStep`.
    """

    def __init__(
        self,
        config: Config,
        *,
        num_examples: int,
        num_classes: int | None,
        num_replicas: int,
        num_steps: int,
        origins: Mapping[str, str] | None = None,
    ):
        self._config, self._num_replicas = config, num_replicas
        self._core = CoreStep(
            config,
            num_examples=num_examples,
            num_classes=num_classes,
            num_replicas=num_replicas,
            origins=origins,
        )
        trainer = self._core.trainer
        rows = config.optim.train_batch_size // num_replicas
        self.function, self.specs = self._core.step(rows)
        self._batches = [
            fixed_batch(
                config, self.specs[1:], number, num_replicas, num_classes
            )
            for number in range(num_steps)
        ]
        self.steps = [
            [
                np.arange(num_replicas, dtype=np.int32),
                *(
                    each.reshape([num_replicas, rows, *each.shape[1:]])
                    for each in batch.values()
                ),
            ]
            for batch in self._batches
        ]
        quantities = trainer.quantities()
        [count] = quantities["the count of steps"]
        count.assign(late_step(self._core.plan))
        self.groups = {
            words: [f"{words} {i}" for i in range(len(variables))]
            for words, variables in quantities.items()
        }
        self.variables = {
            name: variable
            for words, names in self.groups.items()
            for name, variable in zip(names, quantities[words], strict=True)
        }
        images = config.optim.train_batch_size * num_steps
        self.flops = self._core.flops_per_example * images
        self._start = {n: v.numpy() for n, v in self.variables.items()}
        self.watched = []
        for name, mean in trainer.scalar_means.items():
            parts = {f"{name} total": mean.total, f"{name} count": mean.count}
            self.variables |= parts
            self.watched += parts

    def on_one_device(self, order: np.ndarray | None = None) -> Trace:
        """What TensorFlow makes of the whole batches, on one device.

        Args:
            order: of the images of a batch, int[R * N]; None: as they are.
        """
        trainer, run = self._one_device
        scalars: dict[str, list[float]] = {}
        for batch in self._batches:
            if order is not None:
                batch = {name: each[order] for name, each in batch.items()}
            run({name: tf.constant(each) for name, each in batch.items()})
            for name, value in trainer.take_means().items():
                scalars.setdefault(name.removeprefix("train/"), []).append(
                    value
                )
        after = {name: self.variables[name].numpy() for name in self._start}
        for name, value in self._start.items():
            self.variables[name].assign(value)
        return Trace(scalars, after)

    def roundings(self) -> list[Trace]:
        """`on_one_device` in several orders: what rounding may do here."""
        groups = 1 if self._config.model.global_bn else self._num_replicas
        size = self._config.optim.train_batch_size
        return [self.on_one_device(o) for o in agreement.orders(size, groups)]

    def on_replicas(self, watched, after, differing: Sequence[str]) -> Trace:
        """What the program of R replicas left behind, as a trace.

        Args:
            watched: name -> values, [steps, R]; of `watched`.
            after: name -> the value after the last step.
            differing: names of what isn't the same on all replicas.
        """
        scalars = {}
        for name in self._core.trainer.scalar_means:
            if f"{name} total" not in watched:
                continue
            total = watched[f"{name} total"].astype(np.float64)
            # Each replica's is its share times R.
            scalars[name] = np.diff(total.mean(axis=1), prepend=0.0)
        return Trace(scalars, {**self._start, **after}, differing)

    def compare(
        self, found: Trace, expected: Trace, rounded: Sequence[Trace]
    ) -> list[Quantity]:
        """`agreement.compare` of this job."""
        return agreement.compare(
            {
                words: names
                for words, names in self.groups.items()
                if words != "the learning rate"  # a function of the step
            },
            self._start,
            found,
            expected,
            rounded,
            num_images=self._config.optim.train_batch_size,
            coarse=self._core.dtype != "float32",
        )

    @functools.cached_property
    def _one_device(self):
        """The trainer of one device, and its step of a whole batch.

        With local BN, one device has to normalise by groups of images, as
        many as there are replicas.
        """
        core, config, R = self._core, self._config, self._num_replicas
        trainer, whole = core.trainer, config.model.global_bn or R == 1
        if not whole and config.job.train_mode == "pretrain":
            size = config.optim.train_batch_size // R
            optim = dataclasses.replace(config.optim, micro_batch_size=size)
            trainer = core.make_trainer(
                dataclasses.replace(config, optim=optim)
            )
            whole = True

        def in_groups(batch):
            _in_groups(trainer, batch, R)

        replica_step = trainer.replica_step if whole else in_groups
        return trainer, tf.function(replica_step, autograph=False)


def late_step(plan: Plan) -> int:
    """The step at which the rate has fallen to a sixteenth of its peak.

    The first step of a warm-up moves nothing. At the peak, what a last bit
    does to a ReLU grows within a few steps to all that there is to see.
    """
    rest = plan.train_steps - plan.warmup_steps
    return plan.warmup_steps + round(_LATE * rest)


def fixed_batch(
    config: Config,
    specs: Sequence[tf.TensorSpec],
    number: int,
    replicas: int,
    num_classes: int | None,
) -> dict[str, np.ndarray]:
    """A made-up global batch, a function of the job's seed and its number.

    Pictures are random and smooth; labels random; the colours of each view
    are drawn as a run draws them.

    Args:
        config: of the job.
        specs: of a replica's arguments, [N, ...] each, by name.
        number: of the step.
        replicas: R.
        num_classes: K; None without labels.

    Returns:
        Name -> [R * N, ...], as the specs say.
    """
    rng = np.random.default_rng([config.job.seed, number])
    specs = {spec.name: spec for spec in specs}
    rows = replicas * specs["label"].shape[0]
    batch = {"label": _labels(rng, specs["label"], rows, num_classes)}
    pictures = _pictures(rng, rows, config)
    policy = views.augmentation(config)
    draw = views.draw_of(policy, config.job.seed)
    ids = tf.range(number * rows, (number + 1) * rows, dtype=tf.int64)
    for view in range(sum(name.startswith("images_") for name in specs)):
        images = np.rint(_window(pictures, view, config)).astype(np.uint8)
        drawn = draw(tf.zeros_like(ids), ids, view)["parameters"].numpy()
        if config.augment.blur_sigma_per == "batch":
            # The first image's counts for a replica's batch.
            drawn = np.repeat(drawn[:1], rows, axis=0)
        if specs[f"images_{view}"].dtype == tf.float32:
            images = policy.color_view(images, drawn).numpy()
        else:
            batch[f"parameters_{view}"] = drawn
        batch[f"images_{view}"] = images
    return {name: batch[name] for name in specs}


def _labels(rng, spec, rows, num_classes):
    if spec.shape.rank == 2:
        return rng.integers(0, 2, [rows, spec.shape[1]])
    if num_classes is None:
        return np.full([rows], -1)
    return rng.integers(0, num_classes, [rows])


def _pictures(rng, rows, config):
    """float32[rows, S + S // 4, S + S // 4, C] in [0, 255]."""
    side = config.data.image_size * 5 // 4
    shape = [rows, _SQUARES, _SQUARES, config.model.num_channels]
    coarse = rng.uniform(0, 255, shape).astype(np.float32)
    smooth = tf.image.resize(coarse, [side, side], "bicubic").numpy()
    grain = rng.normal(0, 4, smooth.shape).astype(np.float32)
    return np.clip(smooth + grain, 0, 255)


def _window(pictures, view, config):
    """Each view looks at a part of its own."""
    S, offset = config.data.image_size, view * (config.data.image_size // 4)
    return pictures[:, offset : offset + S, offset : offset + S]


def _in_groups(trainer, batch, groups):
    """A step on the mean of groups of images, each with BN of its own."""
    found, moments = [], []
    parts = {name: tf.split(each, groups) for name, each in batch.items()}
    for group in range(groups):
        with batch_norm.deferred_updates() as seen:
            found.append(
                trainer.gradients({n: p[group] for n, p in parts.items()})
            )
        moments.append(seen)
    for same in zip(*moments, strict=True):
        layer = same[0][0]
        layer.follow(*(_mean([s[i] for s in same]) for i in (1, 2)))
    trainer.move(*tf.nest.map_structure(lambda *each: _mean(each), *found))


def _mean(tensors):
    return tf.add_n(tensors) / len(tensors)
