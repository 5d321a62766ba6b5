"""The input pipeline by stage: two views at 224 px from JPEG files.

    python tests/bench/input.py --rounds=5 --json=input.json

Every stage stands for the pipeline up to it, as in --mode=benchmark_input;
`cached` is the last before the colours, from images that --cache_dataset
keeps decoded. With --reference=PATH, the tf2 folder of google-research/simclr,
its build_input_fn takes its turns on the same files: `official` makes views
with their colours, `official, blur` blurs them too, as its training step does.
To compare: `crop, resize, flip`, all that the host has to do where colours run
on the device, with `official`; and `blur`, everything, with `official, blur`.
"""

import functools
import pathlib
import sys
import tempfile
import types

sys.path.insert(0, str(pathlib.Path(__file__).parents[2]))

import simclr_tf  # noqa: F401  before TensorFlow
from tests.bench import measuring

# How many images `cached` keeps: 560 KB each at the usual size.
_NUM_CACHED = 512


def main() -> None:
    arguments = _parse()
    with tempfile.TemporaryDirectory() as place:
        if arguments.data_dir is None:
            arguments.data_dir = place
            _write_jpegs(pathlib.Path(place), arguments)
        seconds = _measure(arguments)
    best = {name: min(times) for name, times in seconds.items()}
    rows = [
        {
            "what": name,
            "images_per_second": 1 / best[name],
            "ms_per_image": 1e3 * best[name],
            **{
                f"over_{other.replace(', ', '_')}": measuring.ratio(
                    seconds[other], times
                )
                for other in ("official", "official, blur")
                if other in seconds
            },
        }
        for name, times in seconds.items()
    ]
    measuring.report(
        rows,
        title=(
            f"Two views at {arguments.image_size} px, batches of "
            f"{arguments.batch_size}, {arguments.clock} clock"
        ),
        path=arguments.json,
    )


def _measure(arguments) -> dict[str, list[float]]:
    """Candidate -> seconds per image, round by round."""
    from simclr_tf.jobs import benchmark_input

    candidates = _ours(arguments)
    if arguments.reference:
        candidates |= _official(arguments)
    seconds = {name: [] for name in candidates}
    for _ in range(arguments.rounds):
        for name, dataset in candidates.items():
            rate = benchmark_input.images_per_second(
                dataset,
                seconds=arguments.seconds,
                clock=measuring.CLOCKS[arguments.clock],
            )
            seconds[name].append(1 / rate)
    return seconds


def _ours(arguments):
    from simclr_tf.build import splits
    from simclr_tf.config import resolve
    from simclr_tf.jobs import benchmark_input

    def stages(**more):
        config = resolve.resolve(
            {
                "dataset": "folder",
                "data_dir": arguments.data_dir,
                "image_size": arguments.image_size,
                "train_batch_size": arguments.batch_size,
                "input_threads": arguments.input_threads,
                **more,
            }
        ).config
        return benchmark_input.stages(
            config,
            splits.open_split(config, config.data.train_split),
            num_replicas=1,
            color_on_host=True,
        )

    kept = min(_NUM_CACHED, arguments.images)
    cached = stages(cache_dataset=True, train_split=f"train[:{kept}]")
    return {**stages(), "cached": cached["crop, resize, flip"]}


def _official(arguments):
    import tensorflow as tf
    from absl import flags

    sys.path.insert(0, arguments.reference)
    for name, value in (("train_mode", "pretrain"), ("train_split", "train")):
        flags.DEFINE_string(name, value, "")
    flags.DEFINE_integer("image_size", arguments.image_size, "")
    flags.DEFINE_float("color_jitter_strength", 1.0, "")
    flags.DEFINE_boolean("cache_dataset", False, "")
    flags.FLAGS(["input.py"])
    import data
    import data_util

    dataset = data.build_input_fn(
        _Builder(arguments.data_dir), arguments.batch_size, None, True
    )(tf.distribute.InputContext())
    blur = functools.partial(
        data_util.batch_random_blur,
        height=arguments.image_size,
        width=arguments.image_size,
    )
    blurred = dataset.map(
        lambda images, _: blur(tf.split(images, 2, axis=-1)), tf.data.AUTOTUNE
    )
    return {
        "official": dataset,
        "official, blur": blurred.prefetch(tf.data.AUTOTUNE),
    }


class _Builder:
    """What the official code asks of a TFDS builder, over a folder."""

    def __init__(self, folder):
        self._folder = folder
        label = types.SimpleNamespace(num_classes=2)
        self.info = types.SimpleNamespace(features={"label": label})

    def as_dataset(self, **options):
        import tensorflow as tf

        def read(path):
            image = tf.io.decode_image(
                tf.io.read_file(path), channels=3, expand_animations=False
            )
            return image, 0

        del options
        paths = sorted(tf.io.gfile.glob(f"{self._folder}/*.jpg"))
        files = tf.data.Dataset.from_tensor_slices(paths).shuffle(len(paths))
        return files.map(read, tf.data.AUTOTUNE)


def _write_jpegs(folder, arguments) -> None:
    """Smooth noise under fine noise: 500 x 375 pixels in about 60 KB."""
    import numpy as np
    from PIL import Image

    rng = np.random.default_rng(0)
    for number in range(arguments.images):
        coarse = rng.integers(0, 256, (24, 32, 3), np.uint8)
        image = Image.fromarray(coarse).resize((500, 375), Image.BICUBIC)
        fine = rng.normal(0, 12, (375, 500, 1))
        image = np.clip(np.asarray(image) + fine, 0, 255).astype(np.uint8)
        Image.fromarray(image).save(folder / f"{number:05d}.jpg", quality=80)


def _parse():
    parser = measuring.parser(__doc__, rounds=5)
    parser.add_argument("--data_dir", help="folder of .jpg; unset: made here")
    parser.add_argument("--images", type=int, default=512, help="made here")
    parser.add_argument("--reference", help="tf2 folder of the official code")
    parser.add_argument("--image_size", type=int, default=224)
    parser.add_argument("--batch_size", type=int, default=64)
    parser.add_argument("--input_threads", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=4.0)
    return parser.parse_args()


if __name__ == "__main__":
    main()
