"""From a configuration to the batches of training and evaluation."""

import functools
from collections.abc import Callable

import tensorflow as tf

from simclr_tf.augment import draw, geometry
from simclr_tf.augment.policy import Policy
from simclr_tf.config import Config
from simclr_tf.data import pipeline, sources, subset
from simclr_tf.data.corrupt import CorruptLog
from simclr_tf.data.sources import Source
from simclr_tf.evaluation import label_subsets
from simclr_tf.evaluation.label_subsets import LabelSubset

# Of which a batch of supervised training has the first only.
NUM_VIEWS = 2

# XLA halves the time of the colour operators on a CPU, and takes a second to
# compile them: worth it where they cost something.
_JIT_COLOR_FROM_PIXELS = 64

# What --eval_split is where nobody says, in order of preference.
_EVALUATION_SPLITS = ("validation", "val", "valid", "test")


def open_split(config: Config, split: str) -> Source:
    """A split of the configured data set."""
    data = config.data
    return sources.open_source(
        dataset=data.dataset,
        split=split,
        data_dir=data.data_dir,
        image_key=data.image_key,
        label_key=data.label_key,
        cache=data.cache_dataset,
        in_memory_limit_mb=data.in_memory_limit_mb,
        several_labels=data.several_labels,
    )


def open_training(config: Config) -> tuple[Source, LabelSubset | None]:
    """The split to train on: all of it, or the part that keeps its labels.

    Returns:
        The examples that are trained on, and how they were chosen; None where
        all are.

    Raises:
        ValueError: a classifier is asked for and there are no labels, or too
            few.
    """
    data = config.data
    source = open_split(config, data.train_split)
    job = config.job
    needs_labels = job.train_mode != "pretrain" or job.mode == "evaluate"
    if needs_labels and not source.has_labels:
        name = f"--train_mode={job.train_mode}"
        if job.mode == "evaluate":
            name = "--mode=evaluate"
        raise ValueError(
            f"{name} needs labels, and "
            f"--train_split={data.train_split} of {source.name} has none. "
            "Subfolders are classes; --label_key names a feature."
        )
    chosen = choose_labels(config, source)
    if chosen is None:
        return source, None
    name = f"{len(chosen.indices)} labels"
    return subset.take(source, chosen.indices, name=name), chosen


def choose_labels(config: Config, source: Source) -> LabelSubset | None:
    """What --labels_per_class or --label_fraction keep; None: everything.

    Raises:
        ValueError: a class has too few examples, or the source is a stream.
    """
    data = config.data
    if not (data.labels_per_class or data.label_fraction):
        return None
    shared = {
        "num_classes": source.num_classes,
        "seed": data.label_seed,
    }
    labels, ids = subset.labels_of(source), subset.ids_of(source)
    try:
        if data.labels_per_class:
            return label_subsets.per_class(
                labels, ids, number=data.labels_per_class, **shared
            )
        return label_subsets.balanced_fraction(
            labels, ids, fraction=data.label_fraction, **shared
        )
    except ValueError as error:
        name = "labels_per_class" if data.labels_per_class else "label_fraction"
        raise ValueError(
            f"--{name}={getattr(data, name)} of --train_split="
            f"{data.train_split}: {error}"
        ) from error


def open_evaluation(config: Config, *, required: bool) -> Source | None:
    """The labelled split to evaluate on, or None where there is none.

    Args:
        config: of the run.
        required: whether the user named the split, so that it must exist;
            pretraining needs none, so that a recipe's may be missing.
    """
    data = config.data
    split = data.eval_split
    if not required:
        there = sources.split_names(
            dataset=data.dataset, data_dir=data.data_dir
        )
        wanted = [split] if split else _EVALUATION_SPLITS
        split = next((s for s in wanted if s in there), None)
    source = None if split is None else open_split(config, split)
    return source if source is not None and source.has_labels else None


def augmentation(config: Config) -> Policy:
    """The views' policy; of classifiers on an encoder, crop and flip only."""
    augment = config.augment
    if config.job.train_mode == "finetune":
        return Policy.supervised(
            config.data.image_size,
            min_crop_area=augment.min_crop_area,
            min_object_covered=augment.min_object_covered,
            flip=augment.random_flip,
        )
    return Policy(
        image_size=config.data.image_size,
        min_crop_area=augment.min_crop_area,
        min_object_covered=augment.min_object_covered,
        flip=augment.random_flip,
        color_jitter_strength=augment.color_jitter_strength,
        color_jitter_impl=augment.color_jitter_impl,
        color_jitter_order=augment.color_jitter_order,
        use_blur=augment.use_blur,
        blur_sigma_per=augment.blur_sigma_per,
    )


def num_views(config: Config) -> int:
    """Views of an image in a training batch."""
    return NUM_VIEWS if config.job.train_mode == "pretrain" else 1


def threadpool_size(config: Config) -> int | None:
    """Threads of the input's own; None: it shares TensorFlow's."""
    return config.data.input_threads or None


def color_on_host(config: Config, device_type: str) -> bool:
    """Whether colour and blur run in the tf.data graph.

    Args:
        config: of the run.
        device_type: "TPU", "GPU" or "CPU".
    """
    where = config.augment.augment_on
    if where != "auto":
        return where == "host"
    # A batch that needs micro-batches is large: it waits in uint8, a quarter
    # of the bytes, for its turn.
    return device_type == "CPU" and not config.optim.micro_batch_size


def color_in_step(config: Config, strategy: tf.distribute.Strategy) -> Callable:
    """Colour and blur of a batch of views, for the training step."""
    policy = augmentation(config)
    on_cpu = "CPU" in strategy.extended.worker_devices[0]
    if config.optim.micro_batch_size and on_cpu:
        return _compiled_color(policy)
    return policy.color_view


def reads_here(strategy: tf.distribute.Strategy) -> bool:
    """Whether this process reads the images itself.

    For a slice of several TPU machines, one process hands out the graphs, and
    the machines read. What they cannot read is replaced, and not counted:
    the table of its names is this process's.
    """
    remote = isinstance(strategy, tf.distribute.TPUStrategy)
    return not remote or strategy.extended.num_hosts == 1


def training_dataset(
    config: Config,
    source: Source,
    *,
    strategy: tf.distribute.Strategy,
    start_step: int,
    color_on_host: bool,
    corrupt: CorruptLog | None,
):
    """Distributed, endless dataset of batches of views from `start_step` on."""
    policy = augmentation(config)

    def batches(context: tf.distribute.InputContext):
        return pipeline.training_batches(
            source,
            seed=config.job.seed,
            start_step=start_step,
            global_batch_size=config.optim.train_batch_size,
            per_replica_batch_size=context.get_per_replica_batch_size(
                config.optim.train_batch_size
            ),
            num_hosts=context.num_input_pipelines,
            host=context.input_pipeline_id,
            draw=draw_of(policy, config.job.seed),
            view=view_of(policy),
            num_views=num_views(config),
            on_batch=color_of_batch(policy, num_views(config))
            if color_on_host
            else None,
            corrupt=corrupt,
            threadpool_size=threadpool_size(config),
        )

    if config.optim.micro_batch_size and strategy.num_replicas_in_sync == 1:
        # A distributed iterator would keep two more batches waiting.
        return batches(tf.distribute.InputContext())
    return strategy.distribute_datasets_from_function(batches)


def evaluation_dataset(
    config: Config,
    source: Source,
    *,
    strategy: tf.distribute.Strategy,
    max_examples: int | None = None,
    corrupt: CorruptLog | None = None,
):
    """Distributed, finite dataset of every example once, in source order."""
    batch_size = config.eval.eval_batch_size

    def batches(context: tf.distribute.InputContext):
        return pipeline.eval_batches(
            source,
            global_batch_size=batch_size,
            per_replica_batch_size=context.get_per_replica_batch_size(
                batch_size
            ),
            num_hosts=context.num_input_pipelines,
            host=context.input_pipeline_id,
            view=_central_view(config),
            max_examples=max_examples,
            corrupt=corrupt,
            threadpool_size=threadpool_size(config),
        )

    return strategy.distribute_datasets_from_function(batches)


def sample_views(config: Config, source: Source, count: int) -> tf.Tensor:
    """The first images of training beside their views.

    Returns:
        uint8[count, 3, S, S, 3]: the image as evaluation sees it, and the two
        views that training sees of it.
    """
    policy = augmentation(config)
    view, central = view_of(policy), _central_view(config)
    batches = pipeline.training_batches(
        source,
        seed=config.job.seed,
        start_step=0,
        global_batch_size=count,
        per_replica_batch_size=count,
        draw=draw_of(policy, config.job.seed),
        view=lambda image, drawn: {
            **view(image, drawn),
            "original": central(image),
        },
        num_views=NUM_VIEWS,
        on_batch=color_of_batch(policy, NUM_VIEWS),
    )
    batch = next(iter(batches))
    views = [
        tf.image.convert_image_dtype(batch[f"images_{i}"], tf.uint8)
        for i in range(NUM_VIEWS)
    ]
    return tf.stack([batch["original_0"], *views], axis=1)


def draw_of(policy: Policy, seed: int) -> Callable:
    """The `draw` of `pipeline.training_batches`."""

    def draw_views(epoch, sample_id, number):
        return policy.draw(draw.sample_seed(seed, epoch, sample_id, number))

    return draw_views


def view_of(policy: Policy) -> Callable:
    """The `view` of `pipeline.training_batches`."""

    def view(image, drawn):
        return {
            "images": policy.host_view(image, drawn),
            "parameters": drawn["parameters"],
        }

    return view


def _central_view(config: Config) -> Callable:
    return functools.partial(
        geometry.eval_view,
        size=config.data.image_size,
        crop_proportion=config.augment.eval_crop,
    )


def _compiled_color(policy: Policy) -> Callable:
    if policy.image_size < _JIT_COLOR_FROM_PIXELS:
        return policy.color_view
    return tf.function(policy.color_view_in_turn, jit_compile=True)


def color_of_batch(policy: Policy, count: int) -> Callable:
    """The on_batch of `pipeline.training_batches`: colour and blur."""
    color_view = _compiled_color(policy)

    def on_batch(batch):
        for i in range(count):
            parameters = batch.pop(f"parameters_{i}")
            batch[f"images_{i}"] = color_view(batch[f"images_{i}"], parameters)
        return batch

    return on_batch
