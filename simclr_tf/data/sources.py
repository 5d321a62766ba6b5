"""Opening a data set by name: the one door to TFDS, folders and digits."""

import dataclasses

from simclr_tf.data import split_spec
from simclr_tf.data.decoding import Decoder, GreyDecoder
from simclr_tf.data.examples import Source
from simclr_tf.data.folder import (
    Reading,
    folder_splits,
    has_folder_split,
    open_folder,
)
from simclr_tf.errors import UserError

__all__ = ["Source", "has_split", "open_source", "split_names"]


def open_source(
    *,
    dataset: str,
    split: str,
    data_dir: str | None = None,
    image_key: str | None = None,
    label_key: str | None = None,
    cache: bool = False,
    in_memory_limit_mb: int = 2048,
    several_labels: bool = False,
    labels: str | None = None,
    class_folders: bool = True,
    split_folders: str = "auto",
    decoder: Decoder | None = None,
) -> Source:
    """Opens a split of a data set.

    What fits in_memory_limit_mb is read at once and kept: decoded, where all
    images have one size of up to 96 pixels a side (or cache is set), else
    encoded. Folders are read file by file. TFRecords that do not fit are
    streamed.

    Args:
        dataset: "digits", "color_digits", "folder", or a name of TensorFlow
            Datasets, with its configuration and version where they matter:
            "imagenet2012_subset/1pct", "cifar10:3.0.2".
        split: "train", "test", ... or a part, "train[:10%]", or a sum of
            these without overlap, "train+test[:50]".
        data_dir: the folder of images, or of prepared TFDS data sets; TFDS's
            own where None.
        image_key: the image feature, where a data set has several.
        label_key: the label feature, where a data set has several. Text and
            whole numbers are labels where the data set fits in memory.
        cache: keep the images decoded in memory.
        in_memory_limit_mb: how much memory the images may take.
        several_labels: whether label_key is a list of classes, as VOC's
            "labels"; see `Source.several_labels`. Where there is also a
            `<label_key>_no_difficult`, a class that only the first has is
            -1, not counted.
        labels, class_folders, split_folders: of a folder; see
            `folder.Reading`.
        decoder: what becomes of alpha, of large images, of 16 bits and of
            channels; None: the default. Images of a decoder for 1 channel
            are in RGB: see `grey`.

    Returns:
        Source.

    Raises:
        UserError: an unknown or unprepared data set, a data_dir or split that
            does not exist or is empty, a feature that is ambiguous, a cache
            that does not fit. One line that names the flag.
    """
    decoder = decoder or Decoder()
    if dataset == "folder":
        return open_folder(
            Reading(
                data_dir,
                labels=labels,
                file_column=image_key,
                label_column=label_key,
                several_labels=several_labels,
                class_folders=class_folders,
                split_folders=split_folders,
                arrays=decoder.num_channels != 3,
            ),
            split=split,
            cache=cache,
            in_memory_limit_mb=in_memory_limit_mb,
            decoder=decoder,
        )
    if decoder.of_bands:
        raise UserError(
            f"--num_channels={decoder.num_channels} is for --dataset=folder, "
            f"of NPY or TIFF files: {dataset} has RGB or grey, 3 or 1. "
            f"Received: --dataset={dataset}."
        )
    for name, value, unset in (
        ("labels", labels, None),
        ("class_folders", class_folders, True),
        ("split_folders", split_folders, "auto"),
    ):
        if value != unset:
            raise UserError(
                f"--{name}={value} is for --dataset=folder. Received: "
                f"--dataset={dataset}."
            )
    # Here, so that a run on a folder does not pay for the import.
    from simclr_tf.data.prepared.source import open_tfds

    return open_tfds(
        dataset=dataset,
        split=split,
        data_dir=data_dir,
        image_key=image_key,
        label_key=label_key,
        cache=cache,
        in_memory_limit_mb=in_memory_limit_mb,
        several_labels=several_labels,
        decoder=decoder,
    )


def grey(source: Source) -> Source:
    """The source with its images in one channel; ids and order stay."""
    examples = source.examples
    examples = dataclasses.replace(
        examples, decode=GreyDecoder(examples.decode)
    )
    return dataclasses.replace(source, examples=examples, num_channels=1)


def split_names(
    *, dataset: str, data_dir: str | None = None, split_folders: str = "auto"
) -> list[str]:
    """The splits that a data set has; arguments and errors as `open_source`."""
    if dataset == "folder":
        return folder_splits(Reading(data_dir, split_folders=split_folders))
    from simclr_tf.data.prepared.source import tfds_splits

    return tfds_splits(dataset, data_dir)


def has_split(
    *,
    dataset: str,
    split: str,
    data_dir: str | None = None,
    split_folders: str = "auto",
    arrays: bool = False,
) -> bool:
    """Whether all that a split names is there; its slices may be empty.

    Arguments and errors as `open_source`; arrays as of `folder.Reading`.
    """
    names = split_spec.names(split)
    if dataset == "folder":
        reading = Reading(data_dir, split_folders=split_folders, arrays=arrays)
        return all(has_folder_split(reading, name) for name in names)
    there = split_names(dataset=dataset, data_dir=data_dir)
    return set(names) <= {*there, "all"}
