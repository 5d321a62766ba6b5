"""From a configuration to the batches of training and evaluation."""

from collections.abc import Callable

import tensorflow as tf

from simclr_tf.build import views
from simclr_tf.config import Config
from simclr_tf.data import pipeline
from simclr_tf.data.corrupt import CorruptLog
from simclr_tf.data.sources import Source


def reads_here(strategy: tf.distribute.Strategy) -> bool:
    """Whether this process reads the images itself.

    For a slice of several TPU machines, one process hands out the graphs, and
    the machines read. What they cannot read is replaced, and not counted:
    the table of its names is this process's.
    """
    remote = isinstance(strategy, tf.distribute.TPUStrategy)
    return not remote or strategy.extended.num_hosts == 1


def threadpool_size(config: Config) -> int | None:
    """Threads of the input's own; None: it shares TensorFlow's."""
    return config.data.input_threads or None


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
    policy = views.augmentation(config)

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
            draw=views.draw_of(policy, config.job.seed),
            view=views.view_of(policy),
            num_views=views.num_views(config),
            crops=views.crops_of(config, source),
            on_batch=views.color_of_batch(policy, views.num_views(config))
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
    crop_proportion: float | None = None,
    corrupt: CorruptLog | None = None,
    on_batch: Callable | None = None,
):
    """Distributed, finite dataset of every example once, in source order.

    Args:
        config: of the job.
        source: the split.
        strategy: where the replicas run.
        max_examples: so many at most, spread over the split.
        crop_proportion: what a protocol has for --eval_crop.
        corrupt: told of every image that could not be read.
        on_batch: what is done to each batch of `pipeline.eval_batches`.
    """
    batch_size = config.eval.eval_batch_size

    def batches(context: tf.distribute.InputContext):
        found = pipeline.eval_batches(
            source,
            global_batch_size=batch_size,
            per_replica_batch_size=context.get_per_replica_batch_size(
                batch_size
            ),
            num_hosts=context.num_input_pipelines,
            host=context.input_pipeline_id,
            view=views.central_view(config, crop_proportion),
            crops=views.central_crops(config, source, crop_proportion),
            max_examples=max_examples,
            corrupt=corrupt,
            threadpool_size=threadpool_size(config),
        )
        return found if on_batch is None else found.map(on_batch)

    return strategy.distribute_datasets_from_function(batches)


def sample_views(config: Config, source: Source, count: int) -> tf.Tensor:
    """The first images of training beside their views.

    Returns:
        uint8[n, 3, S, S, C], n being `count`, or all if there are fewer: the
        image as evaluation sees it, and the two views that training sees.
    """
    count = min(count, source.num_examples)
    policy = views.augmentation(config)
    view, central = views.view_of(policy), views.central_view(config)
    batches = pipeline.training_batches(
        source,
        seed=config.job.seed,
        start_step=0,
        global_batch_size=count,
        per_replica_batch_size=count,
        draw=views.draw_of(policy, config.job.seed),
        view=lambda image, drawn: {
            **view(image, drawn),
            "original": central(image),
        },
        num_views=views.NUM_VIEWS,
        on_batch=views.color_of_batch(policy, views.NUM_VIEWS),
    )
    batch = next(iter(batches))
    seen = [
        tf.image.convert_image_dtype(batch[f"images_{i}"], tf.uint8)
        for i in range(views.NUM_VIEWS)
    ]
    return tf.stack([batch["original_0"], *seen], axis=1)
