"""Opening a data set by name: the one door to TFDS, folders and digits."""

from simclr_tf.data import split_spec
from simclr_tf.data.examples import Source
from simclr_tf.data.folder import folder_splits, has_folder_split, open_folder

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
) -> Source:
    """Opens a split of a data set.

    What fits in_memory_limit_mb is read at once and kept: decoded, where all
    images have one size of up to 96 pixels a side (or cache is set), else
    encoded. Folders are read file by file. TFRecords that do not fit are
    streamed.

    Args:
        dataset: "digits", "folder", or a name of TensorFlow Datasets, with
            its configuration and version where they matter:
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

    Returns:
        Source.

    Raises:
        UserError: an unknown or unprepared data set, a data_dir or split that
            does not exist or is empty, a feature that is ambiguous, a cache
            that does not fit. One line that names the flag.
    """
    if dataset == "folder":
        return open_folder(
            split=split,
            data_dir=data_dir,
            cache=cache,
            in_memory_limit_mb=in_memory_limit_mb,
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
    )


def split_names(*, dataset: str, data_dir: str | None = None) -> list[str]:
    """The splits that a data set has; arguments and errors as `open_source`."""
    if dataset == "folder":
        return folder_splits(data_dir)
    from simclr_tf.data.prepared.source import tfds_splits

    return tfds_splits(dataset, data_dir)


def has_split(*, dataset: str, split: str, data_dir: str | None = None) -> bool:
    """Whether all that a split names is there; its slices may be empty.

    Arguments and errors as `open_source`.
    """
    names = split_spec.names(split)
    if dataset == "folder":
        return all(has_folder_split(data_dir, name) for name in names)
    there = split_names(dataset=dataset, data_dir=data_dir)
    return set(names) <= {*there, "all"}
