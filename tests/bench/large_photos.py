"""Large JPEGs: two views at 224 px, decoded in full, at a reduced scale, and
from the shrunk copy that --cache_dataset=disk keeps.

    python tests/bench/large_photos.py --rounds=5 --json=large_photos.json
    python tests/bench/large_photos.py --clock=cpu
    python tests/bench/large_photos.py --data_dir=PHOTOS

Candidates take turns in one process on the same files (12 megapixels, made
here if no --data_dir is given). `levels_off` is the mean difference of the
views of some images from those of full decoding, of 255 levels, with and
without the filter of --antialias: what a reduced scale changes, and what the
filter alone would. `seconds_to_make` is what the copy took, once.
"""

import pathlib
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).parents[2]))

import simclr_tf  # noqa: F401  before TensorFlow
from tests.bench import measuring

_BATCH = 8
_CANDIDATES = {
    "full": {"reduced_decoding": False},
    "reduced": {},
    "copy on disk": {"cache_dataset": "disk"},
    "full, antialias": {"reduced_decoding": False, "antialias": True},
    "reduced, antialias": {"antialias": True},
    "copy on disk, antialias": {"cache_dataset": "disk", "antialias": True},
}


def main() -> None:
    arguments = _parse()
    with tempfile.TemporaryDirectory() as place:
        if arguments.data_dir is None:
            arguments.data_dir = place
            _write_photos(
                pathlib.Path(place), arguments.images, arguments.quality
            )
        rows = _measure(arguments, cache_dir=f"{place}/copies")
    measuring.report(
        rows,
        title=(
            f"Two views at {arguments.image_size} px of large JPEGs, "
            f"{arguments.clock} clock"
        ),
        path=arguments.json,
    )


def _measure(arguments, *, cache_dir: str) -> list[dict]:
    import numpy as np

    from simclr_tf.build import splits
    from simclr_tf.config import resolve
    from simclr_tf.jobs import benchmark_input

    candidates, seen, made_in = {}, {}, {}
    for name in arguments.candidates.split(";"):
        options = _CANDIDATES[name]
        config = resolve.resolve(
            {
                "dataset": "folder",
                "data_dir": arguments.data_dir,
                "image_size": arguments.image_size,
                "train_batch_size": _BATCH,
                "cache_dir": cache_dir,
                **options,
            }
        ).config
        started = time.perf_counter()
        source = splits.open_split(config, "train")
        made_in[name] = time.perf_counter() - started
        candidates[name] = _batches(config, source)
        first = next(iter(candidates[name]))
        seen[name] = np.stack([first["images_0"], first["images_1"]])
    rates = {name: [] for name in candidates}
    for _ in range(arguments.rounds):
        for name, dataset in candidates.items():
            rate = benchmark_input.images_per_second(
                dataset,
                seconds=arguments.seconds,
                clock=measuring.CLOCKS[arguments.clock],
            )
            rates[name].append(rate)
    return [
        {
            "what": name,
            "images_per_second": max(found),
            "over_full": measuring.ratio(found, rates["full"]),
            "levels_off_full": _levels(seen[name], seen["full"]),
            "levels_off_full_antialias": _levels(
                seen[name], seen["full, antialias"]
            ),
            "seconds_to_make": made_in[name] if name == "copy on disk" else 0,
        }
        for name, found in rates.items()
    ]


def _levels(one, other) -> float:
    import numpy as np

    return float(np.abs(one.astype(int) - other).mean())


def _batches(config, source):
    from simclr_tf.build import views
    from simclr_tf.data import pipeline

    policy = views.augmentation(config)
    return pipeline.training_batches(
        source,
        seed=0,
        start_step=0,
        global_batch_size=_BATCH,
        per_replica_batch_size=_BATCH,
        draw=views.draw_of(policy, 0),
        view=views.view_of(policy),
        crops=views.crops_of(config, source),
    )


def _write_photos(folder, images: int, quality: int) -> None:
    """Patterns of every scale: 4000 x 3000 pixels, at quality 90 in 3 MB."""
    import numpy as np
    from PIL import Image

    rng = np.random.default_rng(0)
    for number in range(images):
        image = np.zeros((3000, 4000, 3), np.float32)
        for cells, weight in ((6, 90), (40, 60), (250, 30), (1000, 15)):
            coarse = rng.integers(0, 256, (cells, cells, 3), np.uint8)
            layer = Image.fromarray(coarse).resize((4000, 3000), Image.BICUBIC)
            image += np.asarray(layer, np.float32) * (weight / 255)
        image += rng.normal(0, 4, (3000, 4000, 1)).astype(np.float32)
        image = Image.fromarray(np.clip(image, 0, 255).astype(np.uint8))
        image.save(folder / f"{number:03d}.jpg", quality=quality)


def _parse():
    parser = measuring.parser(__doc__, rounds=5)
    parser.add_argument("--data_dir", help="folder of .jpg; unset: made here")
    parser.add_argument("--images", type=int, default=16, help="made here")
    parser.add_argument("--quality", type=int, default=90, help="of those")
    parser.add_argument("--seconds", type=float, default=8.0)
    parser.add_argument("--image_size", type=int, default=224)
    parser.add_argument("--candidates", default=";".join(_CANDIDATES))
    return parser.parse_args()


if __name__ == "__main__":
    main()
