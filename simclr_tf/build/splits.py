"""From a configuration to the splits that a job reads."""

import os
from collections.abc import Mapping

import numpy as np

from simclr_tf import terminal
from simclr_tf.config import Config
from simclr_tf.data import decoding, shrunk, sources, subset
from simclr_tf.data.sources import Source
from simclr_tf.errors import UserError
from simclr_tf.evaluation import few_labels, knn_watch, label_subsets
from simclr_tf.evaluation.label_subsets import LabelSubset

# What --eval_split is where nobody says, in order of preference.
_EVALUATION_SPLITS = ("validation", "val", "valid", "test")


def open_split(config: Config, split: str) -> Source:
    """A split of the configured data set."""
    data = config.data
    source = sources.open_source(
        dataset=data.dataset,
        split=split,
        data_dir=data.data_dir,
        image_key=data.image_key,
        label_key=data.label_key,
        cache=data.cache_dataset == "true",
        in_memory_limit_mb=data.in_memory_limit_mb,
        several_labels=data.several_labels,
        labels=data.labels,
        class_folders=data.class_folders,
        split_folders=data.split_folders,
        decoder=decoding.Decoder(
            background=decoding.background_of(data.alpha_background),
            max_pixels=data.max_image_pixels,
            num_channels=config.model.num_channels,
            own_range=data.intensity_range == "own",
        ),
    )
    if data.intensity_range == "own" and not source.random_access:
        raise UserError(
            f"--intensity_range=own: {source.name} is read as a stream, which "
            "shows 16 bits by their high byte. Raise --in_memory_limit_mb, or "
            "set --intensity_range=full."
        )
    if data.cache_dataset == "disk":
        source = _copied(config, source)
    return sources.grey(source) if config.model.num_channels == 1 else source


def _copied(config: Config, source: Source) -> Source:
    """The source, read from copies on disk."""
    data = config.data
    augment = config.augment
    return shrunk.copied(
        source,
        folder=os.path.expanduser(data.cache_dir or shrunk.folder()),
        side=shrunk.side_for(
            data.image_size,
            max(augment.min_crop_area, augment.min_object_covered),
        ),
        progress=terminal.Progress(
            f"Shrinking {source.name} {source.split}, once", "images"
        ),
    )


def open_training(config: Config) -> tuple[Source, LabelSubset | None]:
    """The split to train on: all of it, or the part that keeps its labels.

    A student learns from all images, of which that part keeps its labels.

    Returns:
        The examples that are trained on, and how they were chosen; None where
        all are.

    Raises:
        UserError: labels are needed and there are none, or too few.
    """
    data = config.data
    source = open_split(config, data.train_split)
    needs_labels = _needs_labels(config)
    if needs_labels and not source.has_labels:
        raise UserError(
            f"{needs_labels} needs labels, and "
            f"--train_split={data.train_split} of {source.name} has none. "
            "Subfolders are classes; --label_key names a feature (text and "
            "numbers count where --in_memory_limit_mb holds the data set)."
        )
    distills = config.job.train_mode == "distill"
    if distills:
        _check_distilled_labels(config)
    chosen = choose_labels(config, source)
    if distills and chosen is not None:
        name = f"labels of {len(chosen.indices)}"
        kept = subset.with_labels_of(source, chosen.indices, name=name)
        return kept, chosen
    if distills:
        return source, None  # images without labels count, too
    if chosen is None:
        if needs_labels and source.random_access:
            source = subset.labelled(source)
        return source, None
    name = f"{len(chosen.indices)} labels"
    return subset.take(source, chosen.indices, name=name), chosen


def _needs_labels(config: Config) -> str | None:
    """The flag that asks for labels; None: they may be missing."""
    job = config.job
    if job.train_mode == "distill":
        alpha = config.optim.distill_alpha
        return f"--distill_alpha={alpha:g}" if alpha < 1 else None
    if job.mode == "evaluate":
        return "--mode=evaluate"
    if job.train_mode != "pretrain":
        return f"--train_mode={job.train_mode}"
    return None


def _check_distilled_labels(config: Config) -> None:
    data, alpha = config.data, config.optim.distill_alpha
    if alpha == 1 and (data.labels_per_class or data.label_fraction):
        name = "labels_per_class" if data.labels_per_class else "label_fraction"
        raise UserError(
            f"--{name}={getattr(data, name):g} says which labels count beside "
            "the teacher, and with --distill_alpha=1 none do. Leave it out, "
            "or lower --distill_alpha."
        )


def choose_labels(config: Config, source: Source) -> LabelSubset | None:
    """What --labels_per_class or --label_fraction keep; None: everything.

    Raises:
        UserError: a class has too few examples, or the source is a stream.
    """
    data = config.data
    if not (data.labels_per_class or data.label_fraction):
        return None
    shared = {
        "num_classes": source.num_classes,
        "seed": data.label_seed,
    }
    labels, ids = subset.labels_of(source), subset.ids_of(source)
    try:
        if data.labels_per_class:
            return label_subsets.per_class(
                labels, ids, number=data.labels_per_class, **shared
            )
        return label_subsets.fraction(
            labels, ids, share=data.label_fraction, **shared
        )
    except ValueError as error:
        name = "labels_per_class" if data.labels_per_class else "label_fraction"
        raise UserError(
            f"--{name}={getattr(data, name)} of --train_split="
            f"{data.train_split}: {error}"
        ) from error


def open_evaluation(
    config: Config, *, required: bool, labelled: bool = True
) -> Source | None:
    """The split to evaluate on: a name, a slice, or a sum of these.

    Args:
        config: of the run. Where it names no split, or one that need not
            exist and does not, the first of "validation", "val", "valid" and
            "test" that exists.
        required: whether the split must exist, as one that the user named.
            One that a recipe or nobody suggests may be missing.
        labelled: whether to hide a split without labels.

    Returns:
        The source. None where there is no such split, and, if labelled,
        where there is one and nothing in it has a label.

    Raises:
        UserError: the split must exist and does not (the message names those
            that do), or it is there and cannot be opened.
    """
    data = config.data
    split = data.eval_split
    if not required or not split:
        # A recipe's may not be there; nor may the official code's "validation".
        wanted = dict.fromkeys([*filter(None, [split]), *_EVALUATION_SPLITS])
        split = next((s for s in wanted if is_there(config, s)), None)
    if split is None:
        return None
    source = open_split(config, split)
    return source if source.has_labels or not labelled else None


def require_evaluation(config: Config, *, asker: str) -> Source:
    """The labelled split to evaluate on.

    Args:
        config: of the job.
        asker: the flag that needs it, for the message.

    Raises:
        UserError: there is none; or as `open_evaluation`.
    """
    split = config.data.eval_split
    found = open_evaluation(config, required=split is not None)
    if found is None:
        lacking = f"--eval_split={split} has none" if split else "it has none"
        raise UserError(
            f"{asker} needs a split of --dataset={config.data.dataset} with "
            f"labels to test on, and {lacking}. Name one, or parts of another: "
            "--train_split='train[:80%]' --eval_split='train[80%:]'."
        )
    return found


def is_there(config: Config, split: str) -> bool:
    """Whether a data set has all that a split names."""
    return sources.has_split(
        dataset=config.data.dataset,
        split=split,
        data_dir=config.data.data_dir,
        split_folders=config.data.split_folders,
        arrays=config.model.num_channels != 3,
    )


def class_counts(source: Source) -> np.ndarray | None:
    """Labelled images of every class, int[K]; None where the labels are not
    known before they are read, or are several an image, or none."""
    one = source.has_labels and not source.several_labels
    if not (source.random_access and one):
        return None
    return label_subsets.class_counts(
        subset.labels_of(source), source.num_classes
    )


def check_scores(
    config: Config,
    training: Source,
    evaluation: Source | None,
    *,
    origins: Mapping[str, str],
) -> tuple[int, ...]:
    """What is scored after or beside pretraining must be possible.

    Args:
        config: of the run.
        training, evaluation: its splits.
        origins: where the options came from.

    Returns:
        The numbers of labels that regressions can be fitted on.

    Raises:
        UserError: something was asked for that the splits have no labels for.
    """
    asked = config.eval
    if asked.knn_eval:
        knn_watch.require_labels(training, evaluation)
    if evaluation is None:
        return ()
    return few_labels.drawable(
        asked.linear_eval_labels,
        class_counts(training),
        training.num_classes,
        training.split,
        several_labels=training.several_labels,
        all_of_them=origins.get("linear_eval_labels") == "flag",
    )
