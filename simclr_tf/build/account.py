"""What a source holds and what was left out of it, in one line."""

import numpy as np

from simclr_tf.data import subset
from simclr_tf.data.examples import Source
from simclr_tf.terminal import printable

_MOST_CLASSES = 12


def of(source: Source) -> str:
    """Such as "folder train: 7 images, 2 classes: cat 3, dog 4; passed over:
    2 .txt".

    Args:
        source: any. Images are not counted by class where they are read as a
            stream.
    """
    said = f"{source.name} {source.split}: {source.num_examples} images, "
    return printable("; ".join([said + _classes(source), *source.notes]))


def _classes(source: Source) -> str:
    if not source.has_labels:
        return "no classes"
    said = f"{source.num_classes} classes"
    if source.random_access:
        said += f": {_counts(source)}"
    return said


def _counts(source: Source) -> str:
    labels = subset.labels_of(source)
    if labels.ndim == 2:
        counts = (labels > 0).sum(axis=0)
    else:
        counts = np.bincount(
            labels[labels >= 0], minlength=len(source.class_names)
        )
    named = [
        f"{name} {count}"
        for name, count in zip(source.class_names, counts, strict=True)
    ]
    if len(named) > _MOST_CLASSES:
        more = (
            f"{len(named) - _MOST_CLASSES} more (at least {counts.min()} each)"
        )
        named = [*named[:_MOST_CLASSES], more]
    return ", ".join(named)
