"""Features of a data set: what reading and collecting cost beside the network.

    python tests/bench/features.py --images=10000 --rounds=3

`features.extract` over images that are in memory, against the bare forward
pass over the same images, prepared beforehand, in the same batches. They take
turns; the ratio is to be at most 1.2.
"""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parents[2]))

import simclr_tf  # noqa: F401  before TensorFlow
from tests.bench import measuring


def main() -> None:
    parser = measuring.parser(__doc__, rounds=3, has_clock=False)
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--batch_size", type=int, default=256)
    parser.add_argument("--image_size", type=int, default=32)
    parser.add_argument("--depth", type=int, default=18)
    parser.add_argument("--width", type=float, default=1)
    parser.add_argument("--dtype", default="float32")
    arguments = parser.parse_args()

    seconds = measuring.alternate(
        _candidates(arguments), rounds=arguments.rounds
    )
    rows = [
        {
            "what": name,
            "images_per_second": arguments.images / min(seconds[name]),
            "to_forward": measuring.ratio(seconds[name], seconds["forward"]),
        }
        for name in seconds
    ]
    measuring.report(
        rows,
        title=f"{arguments.images} images at {arguments.image_size} px, "
        f"ResNet-{arguments.depth}, {arguments.dtype}",
        path=arguments.json,
    )


def _candidates(arguments):
    import numpy as np
    import tensorflow as tf

    from simclr_tf.augment import geometry
    from simclr_tf.data import pipeline
    from simclr_tf.evaluation import features
    from simclr_tf.models.resnet import resnet

    size, batch_size = arguments.image_size, arguments.batch_size
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (arguments.images, size, size, 3), np.uint8)
    source = _source(tf.constant(pixels))
    model = resnet(
        depth=arguments.depth,
        width=arguments.width,
        image_size=size,
        dtype=arguments.dtype,
    )
    strategy = tf.distribute.get_strategy()

    def encode(images):
        return model(images, training=False)

    forward = tf.function(encode)
    prepared = pixels.astype(np.float32) / 255
    # As many full batches as extract has.
    padded = np.resize(
        prepared, (-(-len(pixels) // batch_size) * batch_size, size, size, 3)
    )
    extract = features.extractor(encode, strategy=strategy)

    def bare():
        for start in range(0, len(padded), batch_size):
            out = forward(tf.constant(padded[start : start + batch_size]))
        return out.numpy()

    def whole():
        batches = pipeline.eval_batches(
            source,
            global_batch_size=batch_size,
            per_replica_batch_size=batch_size,
            view=lambda image: geometry.eval_view(image, size=size),
        )
        found = extract(batches)
        assert len(found.values) == arguments.images

    return {"forward": bare, "extract": whole}


def _source(images):
    from simclr_tf import data

    return data.from_arrays(
        images, [i % 10 for i in range(len(images))], name="noise"
    )


if __name__ == "__main__":
    main()
