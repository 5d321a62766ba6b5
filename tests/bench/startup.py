"""From `python run.py` to the first finished step, in fresh processes.

    python tests/bench/startup.py --json=startup.json

Of the quick start's job (half a ResNet-10, 16 px), or of whatever flags stand
after a --. Seconds of a clock, as the run itself says them part by part, and
seconds of all cores together. Beside them stand the seconds of all cores that
a process of its own takes to import TensorFlow and Keras, and how many times
as many the whole start takes: that says the same of slow and fast machines.
"""

import pathlib
import re
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).parents[2]))

from tests.bench import measuring

FLAGS = ("--flagfile=flags/digits_quickstart.flags",)
# As run.py does: Keras 2, and Keras 3 is left where it is.
IMPORTS = """
import os
os.environ["TF_USE_LEGACY_KERAS"] = "1"
import tensorflow
print(tensorflow.keras.layers.Dense)
"""
SAID = r"First step after ([\d.]+) s: (.*)\."


def main() -> None:
    parser = measuring.parser(__doc__, rounds=5, has_clock=False)
    parser.add_argument("flags", nargs="*", default=FLAGS)
    arguments = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        # The first run prepares the data, and fills the disk's cache.
        for number in range(arguments.rounds + 1):
            # Of a flag given twice, the last counts.
            row = start(
                [f"--data_dir={folder}/data", *arguments.flags],
                f"{folder}/run_{number}",
            )
            if number:
                bare = import_tensorflow()
                rows.append(
                    {
                        "round": number,
                        **row,
                        "imports alone": bare,
                        "times imports": row["cpu"] / bare,
                    }
                )
    measuring.report(
        rows,
        title=f"Start-up of run.py {' '.join(arguments.flags)}",
        path=arguments.json,
    )


def start(flags, model_dir) -> dict[str, float]:
    """Seconds until the first step of a run of two is done."""
    row = {}

    def heard(line, wall, cpu):
        if found := re.search(SAID, line):
            row.update(wall=wall, cpu=cpu)
            for part in found[2].split(", "):
                name, seconds = part.rsplit(" ", 1)
                row[name] = float(seconds)

    measuring.listen(
        [
            measuring.ROOT / "run.py",
            *flags,
            f"--model_dir={model_dir}",
            "--mode=train",
            "--train_steps=2",
            "--warmup_epochs=0",
        ],
        heard,
    )
    return row


def import_tensorflow() -> float:
    """Seconds of all cores that TensorFlow and Keras alone take."""
    seconds = []
    measuring.listen(["-c", IMPORTS], lambda *heard: seconds.append(heard[2]))
    return seconds[-1]


if __name__ == "__main__":
    main()
