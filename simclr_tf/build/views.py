"""From a configuration to the views of an image: what is drawn, and applied."""

import functools
from collections.abc import Callable

import tensorflow as tf

from simclr_tf.augment import draw, geometry
from simclr_tf.augment.policy import Policy
from simclr_tf.config import Config, operator_list
from simclr_tf.data.sources import Source
from simclr_tf.picture import Crops

# Of which a batch of supervised training has the first only.
NUM_VIEWS = 2

# XLA halves the time of the colour operators on a CPU, and takes a second to
# compile them: worth it where they cost something.
_JIT_COLOR_FROM_PIXELS = 64


def augmentation(config: Config) -> Policy:
    """The views' policy; of classifiers on an encoder, crop and flip only."""
    augment = config.augment
    if config.job.train_mode == "finetune":
        return Policy.supervised(
            config.data.image_size,
            min_crop_area=augment.min_crop_area,
            min_object_covered=augment.min_object_covered,
            flip=augment.random_flip,
            antialias=augment.antialias,
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
        antialias=augment.antialias,
        operators=operator_list.parsed("operators", augment.operators),
        second_operators=operator_list.parsed(
            "second_operators", augment.second_operators
        ),
    )


def num_views(config: Config) -> int:
    """Views of an image in a training batch."""
    return NUM_VIEWS if config.job.train_mode == "pretrain" else 1


def color_on_host(config: Config, device_type: str) -> bool:
    """Whether colour and blur run in the tf.data graph.

    Args:
        config: of the run.
        device_type: "TPU", "GPU" or "CPU".
    """
    where = config.augment.augment_on
    if where != "auto":
        return where == "host"
    if not augmentation(config).compiles:
        return True
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


def draw_of(policy: Policy, seed: int) -> Callable:
    """The `draw` of `pipeline.training_batches`."""

    def draw_views(epoch, sample_id, number):
        of_view = draw.sample_seed(seed, epoch, sample_id, number)
        return policy.draw(of_view, number)

    return draw_views


def view_of(policy: Policy) -> Callable:
    """The `view` of `pipeline.training_batches`."""

    def view(image, drawn):
        return {
            "images": policy.host_view(image, drawn),
            "parameters": drawn["parameters"],
        }

    return view


def crops_of(config: Config, source: Source) -> Callable | None:
    """The `crops` of `pipeline.training_batches`."""
    if not _may_reduce(config, source):
        return None
    return augmentation(config).crops


def central_view(
    config: Config, crop_proportion: float | None = None
) -> Callable:
    """The `view` of `pipeline.eval_batches`; None: --eval_crop's."""
    return functools.partial(
        geometry.eval_view,
        antialias=config.augment.antialias,
        **_of_eval(config, crop_proportion),
    )


def central_crops(
    config: Config, source: Source, crop_proportion: float | None = None
) -> Crops | None:
    """The `crops` of `pipeline.eval_batches`, for the same view."""
    if not _may_reduce(config, source):
        return None
    return geometry.eval_crops(**_of_eval(config, crop_proportion))


def _may_reduce(config: Config, source: Source) -> bool:
    # A picture is cut by a graph of its own, for which pixels that lie in
    # memory, and small images, have no use.
    return config.augment.reduced_decoding and source.reduces(
        config.data.image_size
    )


def _of_eval(config, crop_proportion):
    return {
        "size": config.data.image_size,
        "crop_proportion": crop_proportion or config.augment.eval_crop,
    }


def _compiled_color(policy: Policy) -> Callable:
    if policy.image_size < _JIT_COLOR_FROM_PIXELS or not policy.compiles:
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
