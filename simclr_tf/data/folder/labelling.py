"""Which label each image of a folder has: by its folder, or by a table."""

import bisect
from collections.abc import Sequence

import numpy as np

from simclr_tf.data.folder import label_file
from simclr_tf.data.folder.contents import Folder, text_of

_AFTER_SLASH = chr(ord("/") + 1)


def of(folder: Folder, names: Sequence[str], lies_in: str):
    """The labels of some images of a folder.

    Args:
        folder: see there.
        names: of the images.
        lies_in: the folder of their split, as `Folder.names_of` gives it.

    Returns:
        Labels int64[n] or, with several an image, int64[n, K], -1 where there
        is none; the names of the K classes; and what to say of them.

    Raises:
        UserError: a table of labels that cannot be read.
    """
    if folder.reading.labels:
        return _of_file(folder, names)
    unlabelled = np.full(len(names), -1, np.int64)
    if not folder.reading.class_folders:
        return unlabelled, [], []
    classes, loose = folder.classes
    if len(classes) == 1:
        only = text_of(classes[0])
        where = f"{loose} lie beside" if loose else "all lie in"
        kind = " the folder" if loose else ""
        return (
            unlabelled,
            [],
            [f"{where}{kind} {only!r}, and one class is no label"],
        )
    labels = _of_folders(folder.in_classes(names, lies_in), classes)
    beside = int((labels < 0).sum())
    notes = []
    if classes and beside and lies_in in folder.class_splits:
        notes.append(f"without a label (beside the class folders): {beside}")
    return labels, classes if (labels >= 0).any() else [], notes


def _of_file(folder: Folder, names: Sequence[str]):
    reading = folder.reading
    found = label_file.read(
        reading.labels,
        folder.listing.names,
        base=folder.listing.base,
        file_column=reading.file_column,
        label_column=reading.label_column,
        several_labels=reading.several_labels,
    )
    notes = [f"labels from {reading.labels}"]
    if found.strangers:
        notes.append(found.describe())
    number_of = {name: i for i, name in enumerate(found.class_names)}
    rows = [found.labels.get(folder.inner + name, ()) for name in names]
    if missing := rows.count(()):
        notes.append(f"{missing} images have no label")
    if reading.several_labels:
        labels = np.zeros((len(names), len(number_of)), np.int64)
        for row, classes in zip(labels, rows, strict=True):
            row[[number_of[one] for one in classes]] = 1
            if not classes:
                row[:] = -1
    else:
        labels = np.array(
            [number_of[row[0]] if row else -1 for row in rows], np.int64
        )
    if len(number_of) == 1 and not reading.several_labels:
        return np.full_like(labels, -1), [], [*notes, "one class is none"]
    return labels, list(found.class_names), notes


def _of_folders(names, classes) -> np.ndarray:
    """int64[n], the number of the class folder; -1 in none of them.

    Names are sorted, so those of a class lie side by side: a million take no
    time.
    """
    labels = np.full(len(names), -1, np.int64)
    for label, folder in enumerate(classes):
        start = bisect.bisect_left(names, f"{folder}/")
        end = bisect.bisect_left(names, f"{folder}{_AFTER_SLASH}")
        labels[start:end] = label
    return labels
