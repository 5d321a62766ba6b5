"""The training step by itself: batches wait in memory.

    python tests/bench/step.py --depths=18,50 --json=step.json

For every combination of depth, width and size, the precisions take turns.
FLOPs are the model's (`models.flops`), both views of an image.
"""

import itertools
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parents[2]))

import simclr_tf  # noqa: F401  before TensorFlow
from tests.bench import measuring


def main() -> None:
    arguments = _parse()
    rows = []
    for depth, width, size in itertools.product(
        _numbers(arguments.depths, int),
        _numbers(arguments.widths, float),
        _numbers(arguments.image_sizes, int),
    ):
        rows += _rows(arguments, depth, width, size)
    measuring.report(
        rows,
        title=f"A step of {arguments.batch_size} images, "
        f"seconds of the {arguments.clock} clock",
        path=arguments.json,
    )


def _rows(arguments, depth, width, size):
    from simclr_tf.models.flops import training_flops_of_view

    precisions = arguments.precisions.split(",")
    trainers = {
        dtype: _trainer(arguments.batch_size, depth, width, size, dtype)
        for dtype in precisions
    }
    seconds = measuring.alternate(
        {
            dtype: lambda t=trainer: t.train(_steps(arguments.steps))
            for dtype, (trainer, _) in trainers.items()
        },
        rounds=arguments.rounds,
        clock=measuring.CLOCKS[arguments.clock],
    )
    images = arguments.steps * arguments.batch_size
    for dtype, (_, model) in trainers.items():
        rate = images / min(seconds[dtype])
        yield {
            "depth": depth,
            "width": width,
            "px": size,
            "precision": dtype,
            "images_per_second": rate,
            "gflop_per_second": rate * 2 * training_flops_of_view(model) / 1e9,
            f"time_over_{precisions[0]}": measuring.ratio(
                seconds[dtype], seconds[precisions[0]]
            ),
        }


def _steps(number):
    import tensorflow as tf

    return tf.constant(number)


def _trainer(batch_size, depth, width, size, dtype):
    """The step of a pretraining run, and its model."""
    import tensorflow as tf

    from simclr_tf.build import network, training
    from simclr_tf.build.schedule import make_plan
    from simclr_tf.config import resolve

    config = resolve.resolve(
        {
            "dataset": "cifar10",
            "resnet_depth": depth,
            "width_multiplier": width,
            "image_size": size,
            "train_batch_size": batch_size,
        }
    ).config
    plan = make_plan(config, num_examples=50_000, num_replicas=1)
    model = network.build_model(config, num_classes=10, dtype=dtype)
    views = tf.random.stateless_uniform([2, batch_size, size, size, 3], [0, 0])
    batch = {f"images_{i}": views[i] for i in range(2)}
    batch["label"] = tf.range(batch_size, dtype=tf.int64) % 10
    trainer = training.build_trainer(
        config,
        strategy=tf.distribute.get_strategy(),
        model=model,
        optimizer=training.build_optimizer(config, plan, model),
        dataset=tf.data.Dataset.from_tensors(batch).repeat(),
        dtype=dtype,
        color_view=None,
    )
    return trainer, model


def _numbers(text, kind):
    return [kind(number) for number in text.split(",")]


def _parse():
    parser = measuring.parser(__doc__, rounds=3)
    parser.add_argument("--depths", default="18")
    parser.add_argument("--widths", default="1")
    parser.add_argument("--image_sizes", default="32")
    parser.add_argument("--precisions", default="float32,mixed_bfloat16")
    parser.add_argument("--batch_size", type=int, default=256)
    parser.add_argument("--steps", type=int, default=1)
    return parser.parse_args()


if __name__ == "__main__":
    main()
