"""Opening data that strangers prepared: what its files name is looked up,
never imported, and lies where they lie.

TFDS imports the module of every feature class that a features.json names, and
joins names of splits, shards and features to paths.
"""

import contextlib
import os
import sys

import tensorflow as tf
import tensorflow_datasets as tfds
from google.protobuf import json_format
from tensorflow_datasets.core import read_only_builder

from simclr_tf.errors import UserError

# What TFDS raises for files that are not what they should be.
DAMAGES = (
    ValueError,
    OSError,
    KeyError,
    IndexError,
    TypeError,
    AttributeError,
    AssertionError,
    RecursionError,
    json_format.Error,
    tf.errors.OpError,
)


def open_builder(dataset: str, data_dir: str | None):
    """A read-only builder of prepared data.

    Raises:
        UserError: its files name a class that is not TFDS's own, or a place
            outside their folder.
        tfds.core.DatasetNotFoundError: there is none.
        Others of DAMAGES: its files are damaged.
    """
    with _no_imports():
        builder = read_only_builder.builder_from_files(
            dataset, data_dir=data_dir
        )
        _require_inside(builder)
    return builder


def require_known_place(data_dir: str) -> None:
    """TFDS reads from fewer kinds of places than TensorFlow.

    Raises:
        UserError: naming --data_dir.
    """
    try:
        tfds.core.Path(data_dir)
    except (KeyError, ValueError) as error:
        raise UserError(
            f"--data_dir={data_dir} is no place that TensorFlow Datasets knows:"
            " a folder of this machine, or one in gs://."
        ) from error


@contextlib.contextmanager
def _no_imports():
    """Meanwhile, TFDS takes only feature classes that are there already."""
    connector = tfds.features.FeatureConnector
    imports = vars(connector)["cls_from_name"]

    def looked_up(cls, python_class_name):
        module = str(python_class_name).rpartition(".")[0]
        if module not in sys.modules:
            raise UserError(
                f"features.json names the class {python_class_name!r}, which "
                "is none of TensorFlow Datasets. What data names is not "
                "imported."
            )
        return imports.__func__(cls, python_class_name)

    connector.cls_from_name = classmethod(looked_up)
    try:
        yield
    finally:
        connector.cls_from_name = imports


def _require_inside(builder) -> None:
    folder = os.path.normpath(str(builder.data_dir))
    named = [
        str(path)
        for split in builder.info.splits.values()
        for path in split.filepaths
    ]
    for path in named:
        if os.path.dirname(os.path.normpath(path)) != folder:
            raise UserError(
                f"dataset_info.json names the file {path!r}, outside its own "
                "folder. It is not opened."
            )
    for key in builder.info.features:
        if ".." in key.split("/") or key.startswith("/"):
            raise UserError(
                f"features.json names a feature {key!r}, which would lead out "
                "of its folder."
            )
