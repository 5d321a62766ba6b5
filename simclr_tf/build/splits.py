"""From a configuration to the splits that a job reads."""

from simclr_tf.config import Config
from simclr_tf.data import sources, subset
from simclr_tf.data.sources import Source
from simclr_tf.errors import UserError
from simclr_tf.evaluation import label_subsets
from simclr_tf.evaluation.label_subsets import LabelSubset

# What --eval_split is where nobody says, in order of preference.
_EVALUATION_SPLITS = ("validation", "val", "valid", "test")


def open_split(config: Config, split: str) -> Source:
    """A split of the configured data set."""
    data = config.data
    return sources.open_source(
        dataset=data.dataset,
        split=split,
        data_dir=data.data_dir,
        image_key=data.image_key,
        label_key=data.label_key,
        cache=data.cache_dataset,
        in_memory_limit_mb=data.in_memory_limit_mb,
        several_labels=data.several_labels,
    )


def open_training(config: Config) -> tuple[Source, LabelSubset | None]:
    """The split to train on: all of it, or the part that keeps its labels.

    Returns:
        The examples that are trained on, and how they were chosen; None where
        all are.

    Raises:
        UserError: a classifier is asked for and there are no labels, or too
            few.
    """
    data = config.data
    source = open_split(config, data.train_split)
    job = config.job
    needs_labels = job.train_mode != "pretrain" or job.mode == "evaluate"
    if needs_labels and not source.has_labels:
        name = f"--train_mode={job.train_mode}"
        if job.mode == "evaluate":
            name = "--mode=evaluate"
        raise UserError(
            f"{name} needs labels, and "
            f"--train_split={data.train_split} of {source.name} has none. "
            "Subfolders are classes; --label_key names a feature."
        )
    chosen = choose_labels(config, source)
    if chosen is None:
        return source, None
    name = f"{len(chosen.indices)} labels"
    return subset.take(source, chosen.indices, name=name), chosen


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
        return label_subsets.balanced_fraction(
            labels, ids, fraction=data.label_fraction, **shared
        )
    except ValueError as error:
        name = "labels_per_class" if data.labels_per_class else "label_fraction"
        raise UserError(
            f"--{name}={getattr(data, name)} of --train_split="
            f"{data.train_split}: {error}"
        ) from error


def open_evaluation(config: Config, *, required: bool) -> Source | None:
    """The labelled split to evaluate on, or None where there is none.

    Args:
        config: of the run.
        required: whether the user named the split, so that it must exist;
            pretraining needs none, so that a recipe's may be missing.
    """
    data = config.data
    split = data.eval_split
    if not required:
        there = sources.split_names(
            dataset=data.dataset, data_dir=data.data_dir
        )
        wanted = [split] if split else _EVALUATION_SPLITS
        split = next((s for s in wanted if s in there), None)
    source = None if split is None else open_split(config, split)
    return source if source is not None and source.has_labels else None
