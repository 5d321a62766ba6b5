"""Peak memory of a short pretraining, beside what `step_memory` estimates.

    python tests/bench/step_memory.py DEPTH IMAGE_SIZE BATCH

Such as `python tests/bench/step_memory.py 50 224 16`.
"""

import pathlib
import resource
import subprocess
import sys
import tempfile

import numpy as np
from PIL import Image

from simclr_tf.config import step_memory

_NUM_IMAGES, _SIDE = 130, 256
ROOT = pathlib.Path(__file__).parents[2]


def main(depth: int, image_size: int, batch_size: int) -> None:
    """Trains 3 steps in a process of its own, and prints both figures."""
    with tempfile.TemporaryDirectory() as place:
        photos = pathlib.Path(place, "photos")
        photos.mkdir()
        for number in range(_NUM_IMAGES):
            rng = np.random.default_rng(number)
            noise = rng.integers(0, 256, (_SIDE, _SIDE, 3), dtype=np.uint8)
            Image.fromarray(noise).save(photos / f"{number}.jpg")
        command = [
            sys.executable,
            str(ROOT / "run.py"),
            "--dataset=folder",
            f"--data_dir={photos}",
            f"--model_dir={place}/run",
            f"--resnet_depth={depth}",
            f"--image_size={image_size}",
            f"--train_batch_size={batch_size}",
            "--train_steps=3",
            "--warmup_epochs=0",
            "--keep_hub_module_max=0",
        ]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024
    estimate = step_memory.step_bytes(
        depth=depth, width=1, image_size=image_size, batch_size=batch_size
    )
    print(
        f"ResNet-{depth} at {image_size} px, batch {batch_size}: peak "
        f"{peak / 1e9:.1f} GB, estimate {estimate / 1e9:.1f} GB"
    )


if __name__ == "__main__":
    main(*map(int, sys.argv[1:4]))
