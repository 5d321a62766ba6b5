"""Micro-batches: what they cost in time, and what a batch costs in memory.

    python tests/bench/micro_batches.py --batches=64,128,256 --json=micro.json

A training step of random views. `cached` is --micro_batch_size: the gradient
of NT-Xent over the whole batch. `plain` is what it must be compared with: as
many micro-batches, their gradients summed, but each with a loss of its own,
so that every image goes through the encoder once. `at once` holds the batch.
"""

import argparse
import functools
import json
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parents[2]))

import simclr_tf  # noqa: F401  before TensorFlow
from tests.bench import measuring


def main() -> None:
    arguments = _parse()
    if arguments.case is not None:
        print(json.dumps(_case(arguments)))
        return
    rows = []
    for size in map(int, arguments.batches.split(",")):
        row = {"batch": size, "micro_batch": arguments.micro_batch}
        for case in ("cached", "at once"):
            if case == "cached" or size <= arguments.largest_at_once:
                peak = _start(arguments, case, size)["peak_gb"]
                row[f"{case}_peak_gb"] = peak
        if size <= arguments.largest_at_once:
            row |= _start(arguments, "both", size)
        rows.append(row)
    measuring.report(
        rows,
        title=(
            f"ResNet-{arguments.depth} (width {arguments.width:g}), "
            f"{arguments.image_size} px, {arguments.dtype}, a step"
        ),
        path=arguments.json,
    )


def _start(arguments, case, size):
    passed = vars(arguments) | {"case": case, "batches": size}
    return measuring.in_process(
        __file__,
        *(
            f"--{name}={value}"
            for name, value in passed.items()
            if name != "json"
        ),
    )


def _case(arguments) -> dict:
    """One case's measurements, in this process."""
    import tensorflow as tf

    size = int(arguments.batches)
    shape = [size, arguments.image_size, arguments.image_size, 3]
    batch = {
        f"images_{i}": tf.cast(
            tf.random.stateless_uniform(shape, [0, i], 0, 256, tf.int32),
            tf.uint8,
        )
        for i in range(2)
    }
    batch |= {f"parameters_{i}": tf.zeros([size, 1]) for i in range(2)}
    batch["label"] = tf.fill([size], tf.constant(-1, tf.int64))

    if arguments.case != "both":
        step = _trainers(arguments)[arguments.case]
        step(batch)
        return {"peak_gb": measuring.peak_memory_gb()}
    steps = _trainers(arguments)
    seconds = measuring.alternate(
        {
            name: lambda step=steps[name]: step(batch)
            for name in ("cached", "plain")
        },
        rounds=arguments.rounds,
        clock=measuring.CLOCKS[arguments.clock],
    )
    return {
        "cached_seconds": min(seconds["cached"]),
        "time_over_plain": measuring.ratio(seconds["cached"], seconds["plain"]),
    }


def _trainers(arguments):
    """Name -> a function of a batch that makes its gradients."""
    import tensorflow as tf

    from simclr_tf import losses
    from simclr_tf.models import build_simclr, resnet
    from simclr_tf.train.micro_batches import MicroBatchTrainer
    from simclr_tf.train.pretrain import PretrainTrainer

    encoder = resnet(
        depth=arguments.depth,
        width=arguments.width,
        image_size=arguments.image_size,
        bn_groups="replica",
        dtype=arguments.dtype,
    )
    model = build_simclr(encoder)
    optimizer = tf.keras.optimizers.SGD(0.1)
    parts = {
        "strategy": tf.distribute.get_strategy(),
        "model": model,
        "optimizer": optimizer,
        "dataset": tf.data.Dataset.range(1),
        "contrast": functools.partial(losses.nt_xent, temperature=0.1),
        "weight_decay": 0.0,
        "decayed": [],
        "color_view": lambda images, _: tf.cast(images, tf.float32) / 255,
    }
    at_once = PretrainTrainer(**parts)
    cached = MicroBatchTrainer(micro_batch_size=arguments.micro_batch, **parts)

    def summed(batch):
        """Micro-batches without the cache."""
        batch = tf.nest.map_structure(
            lambda x: tf.reshape(x, [-1, arguments.micro_batch, *x.shape[1:]]),
            batch,
        )
        count = batch["label"].shape[0]

        def add(k, *gradients):
            _, _, more = at_once.gradients(
                tf.nest.map_structure(lambda x: x[k], batch)
            )
            pairs = zip(gradients, more, strict=True)
            return k + 1, *(a + b for a, b in pairs)

        zeros = [tf.zeros_like(v) for v in model.trainable_variables]
        return tf.while_loop(
            lambda k, *_: k < count, add, (0, *zeros), parallel_iterations=1
        )[1:]

    def ending(gradients_of):
        function = tf.function(lambda b: tf.linalg.global_norm(gradients_of(b)))
        return lambda batch: function(batch).numpy()

    return {
        "at once": ending(lambda b: at_once.gradients(b)[2]),
        "cached": ending(lambda b: cached.gradients(b)[2]),
        "plain": ending(summed),
    }


def _parse():
    parser = measuring.parser(__doc__, rounds=5)
    parser.add_argument("--batches", default="64,128,256")
    parser.add_argument("--micro_batch", type=int, default=32)
    parser.add_argument("--largest_at_once", type=int, default=256)
    parser.add_argument("--depth", type=int, default=18)
    parser.add_argument("--width", type=float, default=1.0)
    parser.add_argument("--image_size", type=int, default=32)
    parser.add_argument("--dtype", default="mixed_bfloat16")
    parser.add_argument("--case", help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    main()
