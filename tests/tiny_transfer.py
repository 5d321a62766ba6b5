"""The twelve transfer data sets, tiny: real names, features and splits.

Features are those of the installed tensorflow_datasets, whose builders are
asked for them; only the examples are made up.
"""

import numpy as np
import tensorflow_datasets as tfds

from simclr_tf.evaluation.transfer import TRANSFER_SETS
from tests import image_files, tiny_datasets

# Splits as TFDS has them.
SPLITS = {
    "food101": ("train", "validation"),
    "cifar10": ("train", "test"),
    "cifar100": ("train", "test"),
    "sun397": ("train", "test"),
    "cars196": ("train", "test"),
    "voc": ("train", "validation", "test"),
    "dtd": ("train", "validation", "test"),
    "oxford_iiit_pet": ("train", "test"),
    "caltech101": ("train", "test"),
    "oxford_flowers102": ("train", "validation", "test"),
}
FOLDERS = {
    "birdsnap": ("train", "test"),
    "fgvc_aircraft": ("train", "val", "test"),
}
NUM_CLASSES = 3  # that have examples
NUM_EXAMPLES = 30


def write(name, data_dir):
    """Prepares one of the twelve below data_dir."""
    if name in FOLDERS:
        for split in FOLDERS[name]:
            for number in range(NUM_EXAMPLES):
                folder = data_dir / name / split / f"class{number % 3}"
                path = folder / f"{split}{number:02d}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                image = _image(number, (20, 24, 3), np.random.default_rng(1))
                path.write_bytes(image_files.encode(image, "PNG"))
        return
    full_name = TRANSFER_SETS[name].dataset
    real = tfds.builder(full_name, data_dir=str(data_dir))
    builder = tiny_datasets.builder_class(
        name,
        features=real.info.features,
        keys=real.info.supervised_keys,
        examples=_Examples(name, real.info.features),
        config=real.builder_config.name if real.builder_config else None,
        version=str(real.version),
    )(data_dir=str(data_dir))
    tiny_datasets.prepare(builder)


class _Examples:
    def __init__(self, name, features):
        self.splits = dict.fromkeys(SPLITS[name], NUM_EXAMPLES)
        self._features = features

    def of_split(self, split):
        rng = np.random.default_rng([*split.encode()])
        for number in range(NUM_EXAMPLES):
            yield (
                number,
                {
                    key: _value(key, feature, number, rng)
                    for key, feature in self._features.items()
                },
            )


def classes_of(number):
    """VOC's: those an image surely shows, and a difficult one if any."""
    sure = sorted({number % 3, number % 2})
    difficult = [2] if number % 5 == 0 and 2 not in sure else []
    return sure, difficult


def _value(key, feature, number, rng):
    sure, difficult = classes_of(number)
    if key == "labels":
        return sure + difficult
    if key == "labels_no_difficult":
        return sure
    if key == "objects":
        return [
            {
                "label": c,
                "bbox": tfds.features.BBox(0.0, 0.0, 1.0, 1.0),
                "pose": 0,
                "is_truncated": False,
                "is_difficult": c in difficult,
            }
            for c in sure + difficult
        ]
    if isinstance(feature, tfds.features.Image):
        shape = [side or 20 + number % 3 for side in feature.shape[:2]]
        return _image(number, (*shape, feature.shape[2] or 3), rng)
    if isinstance(feature, tfds.features.ClassLabel):
        return number % min(NUM_CLASSES, feature.num_classes)
    if isinstance(feature, tfds.features.Text):
        return f"file {number}"
    assert isinstance(feature, tfds.features.BBoxFeature), (key, feature)
    return tfds.features.BBox(0.0, 0.0, 1.0, 1.0)


def _image(number, shape, rng):
    label = number % NUM_CLASSES
    return tiny_datasets.image_of(label, number, shape=shape, rng=rng)
