"""--mode=benchmark_input: how fast the images come, and what takes the time.

Reads    images, and metrics.jsonl of --model_dir where it is a run's
Writes   benchmark_input.json in --model_dir
Ends     with 0

The pipeline of the run is built up stage by stage, and each of these runs for
a few seconds. What a stage adds to the time of an image is its cost.
"""

import dataclasses
import os
import statistics
import time
from collections.abc import Mapping

import tensorflow as tf

from simclr_tf import files
from simclr_tf.build import splits, views
from simclr_tf.build.batches import threadpool_size
from simclr_tf.build.schedule import make_plan
from simclr_tf.config import Config
from simclr_tf.data import pipeline
from simclr_tf.data.corrupt import CorruptLog
from simclr_tf.data.sources import Source
from simclr_tf.jobs.requests import Accepts, Request
from simclr_tf.picture import Picture
from simclr_tf.run_files import metrics_file
from simclr_tf.run_files.room import require_writable

# Until kernels are compiled and buffers have begun to fill.
_WARM_UP_BATCHES = 2
_LEAST_BATCHES = 2

# By how images are stored, what the first two stages do.
_READING = {
    "pixels": ("order, draw", "look up"),
    "images": ("order, draw", "decode"),
    "files": ("order, draw", "read, decode"),
    "stream": ("read in order, draw", "decode"),
}

# A training run that waits longer for its input, of its time, is held up.
_WAITS = 0.1
_RATES = ("images_per_second", "input_wait_share")
_RATED_ROWS = 1000  # of a run's last log points


@dataclasses.dataclass(frozen=True)
class Stage:
    """A stage, with all before it.

    Attributes:
        name: of what it adds.
        images_per_second: of the pipeline that ends with it; an image counts
            once, whatever the number of its views.
        ms_per_image: the same as a time.
        added_ms: what it takes longer than the pipeline without it; at least 0.
        share: added_ms of the time of the whole pipeline.
    """

    name: str
    images_per_second: float
    ms_per_image: float
    added_ms: float
    share: float


def make(request: Request, accepts: Accepts) -> "InputBenchmark":
    """The job of a command."""
    del accepts  # whatever can be read can be timed
    return InputBenchmark(request)


class InputBenchmark:
    """The stages of a run's input, each to be timed.

    Args:
        request: the command: of the run whose input is in question.

    Raises:
        UserError: something the user can mend.
    """

    def __init__(self, request: Request):
        self._config = config = request.config
        placement = request.place(config)
        self._source, _ = splits.open_training(config)
        make_plan(  # what a run would refuse is refused
            config,
            num_examples=self._source.num_examples,
            num_replicas=placement.strategy.num_replicas_in_sync,
            origins=request.resolved.origins,
        )
        self._color_on_host = views.color_on_host(config, placement.device_type)
        self._stages = stages(
            config,
            self._source,
            num_replicas=placement.strategy.num_replicas_in_sync,
            color_on_host=self._color_on_host,
        )
        self._folder = os.path.expanduser(config.job.model_dir or "")
        if self._folder:
            require_writable(self._folder)

    def describe(self) -> str:
        """What will be read, and how it is measured."""
        config, source = self._config, self._source
        where = "host" if self._color_on_host else "device, not measured here"
        return (
            f"Reading {source.num_examples} images of {source.name} "
            f"{source.split}: {views.num_views(config)} views at "
            f"{config.data.image_size} px, {os.cpu_count()} cores; colour and "
            f"blur on the {where}.\n"
            f"{len(self._stages)} stages, each with all before it, "
            f"{config.device.benchmark_seconds:g} s each:"
        )

    def run(self) -> int:
        """Measures, prints, and writes benchmark_input.json."""
        rates = {}
        for name, dataset in self._stages.items():
            rates[name] = images_per_second(
                dataset, seconds=self._config.device.benchmark_seconds
            )
            print(
                f"  {len(rates)}/{len(self._stages)}  {name:<20}"
                f"{rates[name]:>10.0f} images/s",
                flush=True,
            )
        found = costs(rates)
        training = _training_rates(self._folder)
        print(as_table(found))
        print(verdict(found, training))
        if self._folder:
            self._write(found, training)
        return 0

    def _write(self, found, training) -> None:
        path = os.path.join(self._folder, "benchmark_input.json")
        report = {
            "stages": [dataclasses.asdict(stage) for stage in found],
            "verdict": verdict(found, training),
            "training": training,
            "color_on_host": self._color_on_host,
            "cores": os.cpu_count(),
            "config": self._config.to_dict(),
        }
        files.write_json(path, report)
        print(f"Written to {path}")


def stages(
    config: Config, source: Source, *, num_replicas: int, color_on_host: bool
) -> dict[str, tf.data.Dataset]:
    """What a stage adds -> the run's training pipeline up to it.

    Raises:
        ValueError: the batch cannot be divided by the replicas.
    """
    batch_size = config.optim.train_batch_size
    policy, seed = views.augmentation(config), config.job.seed
    num_views = views.num_views(config)
    draw, view = views.draw_of(policy, seed), views.view_of(policy)

    def batches(view, num_views=num_views, on_batch=None):
        return pipeline.training_batches(
            source,
            seed=seed,
            start_step=0,
            global_batch_size=batch_size,
            per_replica_batch_size=batch_size // num_replicas,
            draw=draw,
            view=view,
            num_views=num_views,
            crops=views.crops_of(config, source),
            on_batch=on_batch,
            corrupt=CorruptLog(),
            threadpool_size=threadpool_size(config),
        )

    def colors(policy):
        return batches(view, on_batch=views.color_of_batch(policy, num_views))

    picks = source.examples.training_picks(
        seed=seed,
        start_step=0,
        global_batch_size=batch_size,
        num_hosts=1,
        host=0,
        draw=lambda *sample: tuple(draw(*sample, i) for i in range(num_views)),
    )
    picks = picks.map(lambda pick: pick["drawn"]).unbatch()
    ordering, reading = _READING[source.examples.storage]
    found = {
        ordering: picks.batch(batch_size // num_replicas).prefetch(1),
        reading: batches(lambda image, _: {"size": _size(image)}, 1),
        "crop, resize, flip": batches(view),
    }
    if color_on_host:
        found["colour"] = colors(dataclasses.replace(policy, use_blur=False))
        if policy.blurs:
            found["blur"] = colors(policy)
    return found


def _size(image) -> tf.Tensor:
    """Of pixels, so that they are needed."""
    return tf.size(image.pixels if isinstance(image, Picture) else image)


def images_per_second(
    dataset: tf.data.Dataset, *, seconds: float, clock=time.perf_counter
) -> float:
    """Images of a dataset of batches, over some seconds after a warm-up."""
    iterator = iter(dataset)
    for _ in range(_WARM_UP_BATCHES):
        next(iterator)
    num_batches, num_images, started = 0, 0, clock()
    while True:
        batch = tf.nest.flatten(next(iterator))
        num_batches, num_images = num_batches + 1, num_images + len(batch[0])
        elapsed = clock() - started
        if elapsed >= seconds and num_batches >= _LEAST_BATCHES:
            return num_images / elapsed


def costs(rates: Mapping[str, float]) -> list[Stage]:
    """The stages, from images/s of each with all before it."""
    times = {name: 1e3 / rate for name, rate in rates.items()}
    found, before = [], 0.0
    total = max(times.values())
    for name, milliseconds in times.items():
        # Timing errs; a stage that seems to take nothing back takes nothing.
        added = max(milliseconds - before, 0.0)
        before = max(milliseconds, before)
        found.append(
            Stage(name, rates[name], milliseconds, added, added / total)
        )
    return found


def as_table(found: list[Stage]) -> str:
    """A line for each stage."""
    lines = [
        f"  {'stage':<20}{'images/s':>10}{'ms/image':>10}{'adds ms':>10}"
        f"{'share':>8}"
    ]
    lines += [
        f"  {stage.name:<20}{stage.images_per_second:>10.0f}"
        f"{stage.ms_per_image:>10.3f}{stage.added_ms:>10.3f}{stage.share:>8.0%}"
        for stage in found
    ]
    return "\n".join(lines)


def verdict(
    found: list[Stage], training: Mapping[str, float] | None = None
) -> str:
    """One line on what limits, and one more where a run can be compared."""
    dearest = max(found, key=lambda stage: stage.added_ms)
    rate = found[-1].images_per_second
    lines = [
        f"The input gives {rate:.0f} images/s; most of its time, "
        f"{dearest.share:.0%}, goes into: {dearest.name}."
    ]
    if training:
        wait = training["input_wait_share"]
        limits = "is" if wait > _WAITS else "is not"
        lines.append(
            f"Training took {training['images_per_second']:.0f} images/s and "
            f"waited {wait:.0%} of its time for images: the input {limits} "
            "what limits it."
        )
    return "\n".join(lines)


def _training_rates(model_dir: str) -> dict[str, float] | None:
    """Medians over a run's last log points, but not its first, which compiles.

    None where there is none.
    """
    path = os.path.join(model_dir, "metrics.jsonl")
    if not model_dir or not tf.io.gfile.exists(path):
        return None
    rows = metrics_file.last_rows(path, _RATED_ROWS)
    if len(rows) < _RATED_ROWS:
        rows = rows[1:] or rows
    rates = [[row.get(name) for name in _RATES] for row in rows]
    rates = [r for r in rates if all(isinstance(x, int | float) for x in r)]
    if not rates:
        return None
    return {
        name: statistics.median(values)
        for name, values in zip(_RATES, zip(*rates, strict=True), strict=True)
    }
