"""Transfer to twelve data sets (appendix B.8): splits, metrics, grids.

Names, features and splits are those of tensorflow_datasets 4.9.10. It lacks
Birdsnap and FGVC-Aircraft; these are read as folders:

    DATA_DIR/birdsnap/{train,test}/<species>/*.jpg
    DATA_DIR/fgvc_aircraft/{train,val,test}/<variant>/*.jpg

Where the creators of a data set give no validation split, a fifth of the
training split is held out; the paper does not say how much it held out.
"""

import dataclasses
import os
from typing import Any

from simclr_tf.errors import UserError

HELD_OUT_PERCENT = 20
# Of the shorter side, what the central crop keeps. Paper: for the regression
# the shorter side is resized to 224, then comes a crop of 224.
LINEAR_CROP_PROPORTION = 1.0


@dataclasses.dataclass(frozen=True)
class TransferSet:
    """One of the data sets.

    Attributes:
        name: as `--dataset` has it.
        title: as the paper has it.
        dataset: as `data.sources.open_source` has it.
        train, validation, test: splits.
        train_and_validation: what the last classifier is fitted on.
        metric: of `metrics.METRICS`.
        num_classes: K.
        validation_by: "creators" or "held out".
        image_key, label_key: features, where they must be named.
        several_labels: whether an image shows several classes.
    """

    name: str
    title: str
    dataset: str
    train: str
    validation: str
    test: str
    train_and_validation: str
    metric: str
    num_classes: int | None
    validation_by: str
    image_key: str | None = "image"
    label_key: str | None = "label"
    several_labels: bool = False

    def source(self, part: str, *, data_dir: str | None) -> dict[str, Any]:
        """Arguments of `data.sources.open_source`.

        Args:
            part: "train", "validation", "test" or "train_and_validation".
            data_dir: as `--data_dir`.
        """
        arguments = {
            "dataset": self.dataset,
            "split": getattr(self, part),
            "data_dir": data_dir,
        }
        if self.dataset == "folder":
            if self.name in TRANSFER_SETS:  # one of several below data_dir
                data_dir = os.path.join(data_dir or "", self.name)
            return {**arguments, "data_dir": data_dir}
        return {
            **arguments,
            "image_key": self.image_key,
            "label_key": self.label_key,
            "several_labels": self.several_labels,
        }

    def to_record(self) -> dict[str, Any]:
        """The splits and how they came about, for the record's choices."""
        return {
            "train": self.train,
            "validation": self.validation,
            "train_and_validation": self.train_and_validation,
            "test": self.test,
            "validation_by": self.validation_by,
        }


def _given(name, title, num_classes, metric, *, dataset=None, **more):
    """Creators give the validation split."""
    return TransferSet(
        name=name,
        title=title,
        dataset=dataset or name,
        train="train",
        validation=more.pop("validation", "validation"),
        test="test",
        train_and_validation=more.pop("both", "train+validation"),
        metric=metric,
        num_classes=num_classes,
        validation_by="creators",
        **more,
    )


def _held_out(name, title, num_classes, metric, *, dataset=None, **more):
    """Nobody gives one: a part of the training split is held out."""
    cut = 100 - HELD_OUT_PERCENT
    return TransferSet(
        name=name,
        title=title,
        dataset=dataset or name,
        train=f"train[:{cut}%]",
        validation=f"train[{cut}%:]",
        test=more.pop("test", "test"),
        train_and_validation="train",
        metric=metric,
        num_classes=num_classes,
        validation_by="held out",
        **more,
    )


TRANSFER_SETS: dict[str, TransferSet] = {
    one.name: one
    for one in (
        # TFDS calls the test images of Food-101 "validation".
        _held_out("food101", "Food-101", 101, "top_1", test="validation"),
        _held_out("cifar10", "CIFAR-10", 10, "top_1"),
        _held_out("cifar100", "CIFAR-100", 100, "top_1"),
        _held_out("birdsnap", "Birdsnap", 500, "top_1", dataset="folder"),
        # The first official split.
        _held_out(
            "sun397",
            "SUN397",
            397,
            "top_1",
            dataset="sun397/standard-part1-120k",
        ),
        _held_out("cars196", "Stanford Cars", 196, "top_1"),
        _given(
            "fgvc_aircraft",
            "FGVC Aircraft",
            100,
            "mean_per_class",
            dataset="folder",
            validation="val",
            both="train+val",
        ),
        _given(
            "voc",
            "PASCAL VOC2007",
            20,
            "voc_map",
            dataset="voc/2007",
            label_key="labels",
            several_labels=True,
        ),
        # TFDS has the first official split.
        _given("dtd", "DTD", 47, "top_1"),
        _held_out("oxford_iiit_pet", "Oxford-IIIT Pets", 37, "mean_per_class"),
        # TFDS draws the 30 training images per class.
        _held_out("caltech101", "Caltech-101", 102, "mean_per_class"),
        _given(
            "oxford_flowers102", "Oxford 102 Flowers", 102, "mean_per_class"
        ),
    )
}


def transfer_set(dataset: str) -> TransferSet | None:
    """The data set of this name, or None.

    Configuration and version may be left out: voc, voc/2007 and
    voc/2007:5.0.0 are one; voc/2012 is none of the twelve. A version that is
    given is the one that is read.
    """
    unversioned, colon, version = dataset.partition(":")
    name, _, config = unversioned.partition("/")
    found = TRANSFER_SETS.get(name)
    if found and config and found.dataset != f"{name}/{config}":
        return None
    if found and version:
        versioned = f"{found.dataset}{colon}{version}"
        return dataclasses.replace(found, dataset=versioned)
    return found


def other_set(
    dataset: str,
    splits: list[str],
    *,
    image_key: str | None = None,
    label_key: str | None = None,
    several_labels: bool = False,
) -> TransferSet:
    """A data set that the paper did not transfer to, by the same rules.

    Args:
        dataset: its name.
        splits: that it has.
        image_key, label_key, several_labels: as `TransferSet` has them.

    Raises:
        UserError: it has no training or no test split.
    """
    validation = next(
        (s for s in ("validation", "val", "valid") if s in splits), None
    )
    if "train" not in splits or not (validation or "test" in splits):
        raise UserError(
            f"--dataset={dataset} needs a split to train on and one to test "
            f"on. It has: {', '.join(splits)}."
        )
    metric = "voc_map" if several_labels else "top_1"
    keys = {
        "image_key": image_key,
        "label_key": label_key,
        "several_labels": several_labels,
    }
    if validation and "test" in splits:
        return _given(
            dataset,
            dataset,
            None,
            metric,
            validation=validation,
            both=f"train+{validation}",
            **keys,
        )
    test = "test" if "test" in splits else validation
    return _held_out(dataset, dataset, None, metric, test=test, **keys)
