"""Pretraining through run.py: images per second once it is under way.

    python tests/bench/end_to_end.py --reference=PATH --json=end_to_end.json

With --reference, the folder tf2 of a checkout of google-research/simclr, the
official run.py has its turn after ours, in every round, with the same flags.
Both are timed from outside, from one line of progress to another: their data,
augmentation, steps and checkpoints, but not what comes before.

The images are noise, under the name and in the format of CIFAR-10. With
--data_dir, what is prepared there as --dataset.
"""

import os
import pathlib
import re
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).parents[2]))

from tests.bench import measuring

# The official README's for CIFAR-10, but for batch and length.
FLAGS = (
    "--mode=train",
    "--train_mode=pretrain",
    "--use_tpu=False",
    "--learning_rate=1.0",
    "--weight_decay=1e-4",
    "--temperature=0.5",
    "--eval_split=test",
    "--use_blur=False",
    "--color_jitter_strength=0.5",
    "--num_proj_layers=2",
    "--warmup_epochs=0",
)
# How each says that it is at a step.
PROGRESS = {"ours": r"step (\d+)/", "official": r"Completed: (\d+) / "}


def main() -> None:
    arguments = _parse()
    # The official code is of Keras 2; run.py sees to that by itself.
    os.environ["TF_USE_LEGACY_KERAS"] = "1"
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    ways = {"ours": [measuring.ROOT / "run.py"]}
    if arguments.reference:
        ways["official"] = [
            pathlib.Path(arguments.reference).resolve() / "run.py"
        ]
    ways["ours"] += [f"--log_steps={arguments.steps}", *arguments.ours]
    seen = {name: [] for name in ways}
    with tempfile.TemporaryDirectory() as folder:
        data_dir = arguments.data_dir or _write_images(arguments, folder)
        for number in range(arguments.rounds):
            for name, command in ways.items():
                model_dir = f"{folder}/{name}_{number}"
                seen[name].append(
                    _run(name, command, arguments, data_dir, model_dir)
                )
    rows = []
    for name, rounds in seen.items():
        row = {"what": name}
        for clock in ("wall", "cpu"):
            rates = [1 / r[clock] for r in rounds]
            row[f"images_per_{clock}_second"] = max(rates)
            if "official" in seen:
                row[f"{clock}_over_official"] = measuring.ratio(
                    rates, [1 / r[clock] for r in seen["official"]]
                )
        rows.append(row)
    measuring.report(
        rows,
        title=(
            f"ResNet-{arguments.depth} (width {arguments.width}), "
            f"{arguments.image_size} px, batch {arguments.batch_size}, "
            f"steps {arguments.steps} to {3 * arguments.steps} of a run"
        ),
        path=arguments.json,
    )


def _run(name, command, arguments, data_dir, model_dir):
    """Seconds per image, of a clock and of all cores together."""
    steps, marks = arguments.steps, {}

    def heard(line, wall, cpu):
        if found := re.search(PROGRESS[name], line):
            marks[int(found[1])] = {"wall": wall, "cpu": cpu}

    script, *own = command
    measuring.listen(
        [
            script,
            *FLAGS,
            f"--dataset={arguments.dataset}",
            f"--data_dir={data_dir}",
            f"--model_dir={model_dir}",
            f"--train_batch_size={arguments.batch_size}",
            f"--train_steps={3 * steps}",
            f"--checkpoint_steps={steps}",
            f"--resnet_depth={arguments.depth}",
            f"--width_multiplier={arguments.width}",
            f"--image_size={arguments.image_size}",
            *own,
        ],
        heard,
    )
    images = 2 * steps * arguments.batch_size
    return {
        clock: (marks[3 * steps][clock] - marks[steps][clock]) / images
        for clock in ("wall", "cpu")
    }


def _write_images(arguments, folder):
    import tensorflow_datasets as tfds

    from tests.tiny_datasets import texture, write_tfds

    write_tfds(
        "cifar10",
        folder,
        splits={"train": arguments.images, "test": 10},
        extra_features={"id": (tfds.features.Text(), str)},
        draw=texture,
    )
    return folder


def _parse():
    parser = measuring.parser(__doc__, rounds=3, has_clock=False)
    parser.add_argument("--reference", help="tf2/ of google-research/simclr")
    parser.add_argument("--dataset", default="cifar10")
    parser.add_argument("--data_dir", help="where it is prepared for TFDS")
    parser.add_argument("--images", type=int, default=2048)
    parser.add_argument("--steps", type=int, default=4)
    parser.add_argument("--batch_size", type=int, default=256)
    parser.add_argument("--depth", type=int, default=18)
    parser.add_argument("--width", type=int, default=1)
    parser.add_argument("--image_size", type=int, default=32)
    parser.add_argument(
        "ours", nargs="*", help="more flags, for ours only, after a --"
    )
    return parser.parse_args()


if __name__ == "__main__":
    main()
