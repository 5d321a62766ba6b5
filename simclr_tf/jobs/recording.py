"""From what a job came to, to its record: its name, its place, its content."""

import hashlib
import json
import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from simclr_tf import files
from simclr_tf.config import Config, roles
from simclr_tf.config.option import Role
from simclr_tf.data.corrupt import in_words
from simclr_tf.data.sources import Source
from simclr_tf.evaluation import records, scoring
from simclr_tf.evaluation.features import Features
from simclr_tf.evaluation.label_subsets import LabelSubset
from simclr_tf.evaluation.records import Record
from simclr_tf.evaluation.statistics import Estimate
from simclr_tf.run_files import loading, unreadable_images

_MOST_LETTERS = 100


def name_of(
    config: Config,
    *,
    what: str,
    encoder_sha256: str,
    splits: Mapping[str, Source],
) -> str:
    """What tells a result from every other: words, and a hash.

    The hash is of all that the number depends on: the options that the job
    takes, the encoder's weights, the images and labels.

    Args:
        config: of the job.
        what: the first of the words.
        encoder_sha256: of the encoder's weights before the job.
        splits: that are read, by their part.
    """
    data = config.data
    # A sum of many slices is longer than file systems take.
    words = [re.sub(r"[^\w.-]+", "_", what)[:_MOST_LETTERS]]
    if data.labels_per_class:
        words.append(f"{data.labels_per_class}_per_class")
    if data.label_fraction:
        words.append(f"{data.label_fraction:g}_of_labels")
    if data.labels_per_class or data.label_fraction:
        words.append(f"draw{data.label_seed}")
    if config.eval.encoder != "checkpoint":
        words.append(config.eval.encoder)
    identity = {
        "options": roles.of_record(config),
        "encoder": encoder_sha256,
        "data": {name: s.fingerprint for name, s in splits.items() if s},
    }
    text = json.dumps(identity, sort_keys=True, default=str)
    return "_".join([*words, hashlib.sha256(text.encode()).hexdigest()[:10]])


def folder_of(config: Config) -> str:
    """Where records of evaluations go."""
    return loading.results_folder(config, "evaluations")


def path_of(
    config: Config, *, encoder_sha256: str, splits: Mapping[str, Source]
) -> str:
    """The record's path without a suffix; arguments as `name_of`."""
    name = name_of(
        config,
        what=f"{config.eval.protocol}_{config.data.dataset}",
        encoder_sha256=encoder_sha256,
        splits=splits,
    )
    return os.path.join(folder_of(config), name)


def write(
    path: str,
    *,
    config: Config,
    protocol: str,
    choices: Mapping[str, Any],
    encoder: str,
    encoder_frozen: bool,
    encoder_sha256: tuple[str, str],
    splits: Mapping[str, Source],
    label_subset: LabelSubset | None,
    scores: Mapping[str, np.ndarray],
    metric: str,
    test: Features,
    num_unreadable: int,
    overlap: int | None = None,
    names: Sequence[str] | None = None,
    further: Mapping[str, Estimate] | None = None,
    class_names: Sequence[str] | None = None,
    told: Callable[[Record], str] | None = None,
) -> Record:
    """Scores the test examples; writes <path>.json and the predictions.

    Args:
        path: without a suffix.
        config: of the job.
        protocol, choices, encoder, encoder_frozen: as `records.Record` has
            them.
        encoder_sha256: before and after.
        splits: {"train": source, "test": source, ...}.
        label_subset: the labels used, None for all.
        scores: prefix of the metrics' names -> float[M, K]; the predictions
            that are kept are the first's.
        metric: what the protocol is about, without a prefix.
        test: labels and ids of the test examples.
        num_unreadable: images left out.
        overlap: test examples that are in the training split, too.
        names: of the metrics; None: all that fit the labels.
        further: metrics of other labels of the same examples.
        class_names: of these labels; None: the source's.
        told: a record in words; None: a line for each metric.
    """
    scored = scoring.what_protocol_scores(protocol, config.eval.l2)
    estimates = {
        _prefixed(prefix, name): estimate
        for prefix, each in scores.items()
        for name, estimate in scoring.score(
            each, test.labels, what=scored, seed=config.job.seed, names=names
        ).metrics.items()
    }
    prefix, first = next(iter(scores.items()))
    record = Record(
        protocol=protocol,
        scored=scored,
        choices=choices,
        encoder=encoder,
        encoder_kind=_kind(config),
        encoder_frozen=encoder_frozen,
        encoder_sha256_before=encoder_sha256[0],
        encoder_sha256_after=encoder_sha256[1],
        dataset=splits["test"].name,
        splits={
            name: records.split_facts(s.split, s.num_examples, s.fingerprint)
            for name, s in splits.items()
        },
        class_names=class_names or splits["test"].class_names,
        overlap=overlap,
        label_subset=label_subset and label_subset.to_record(),
        num_unreadable=num_unreadable,
        config=config.to_dict(),
        seed=config.job.seed,
        metric=_prefixed(prefix, metric),
        metrics={**estimates, **(further or {})},
    )
    records.write(
        path,
        record,
        ids=test.ids,
        labels=test.labels,
        predictions=_predictions(first, test.labels),
    )
    print((told or _report)(record))
    print(f"Record: {path}.json")
    return record


def write_of_run(
    path: str,
    *,
    config: Config,
    logits: Features,
    splits: Mapping[str, Source],
    label_subset: LabelSubset | None,
    start: Mapping[str, Any],
    encoder_sha256: str,
    step: int,
    num_unreadable: int,
    overlap: int | None = None,
) -> Record:
    """The record of a classifier that was trained as a run.

    Args:
        path, config, splits, label_subset, num_unreadable, overlap: as in
            `write`.
        logits: of the test examples, with labels and ids.
        start: start_weights.json.
        encoder_sha256: of the encoder now.
        step: global step.
    """
    protocol, model = config.job.train_mode, config.model
    frozen = protocol == "finetune" and model.fine_tune_after_block == 4
    choices = {
        **roles.values_of(config, Role.SCHEDULE),
        **roles.values_of(config, Role.FEATURES, but=Role.MACHINE),
        "fine_tune_after_block": model.fine_tune_after_block,
        "learning_rate_schedule": "cosine",
        "steps": step,
    }
    if teacher := start.get("teacher"):
        choices |= {
            "teacher": teacher["checkpoint"],
            "distill_temperature": teacher["temperature"],
            "distill_alpha": config.optim.distill_alpha,
        }
    scratch = (
        f"ResNet-{model.resnet_depth} ({model.width_multiplier:g}x) "
        "from random weights"
    )
    return write(
        path,
        config=config,
        protocol="probe" if frozen else protocol,
        choices=choices,
        encoder=start["checkpoint"] or scratch,
        encoder_frozen=frozen,
        encoder_sha256=(start["encoder_sha256"], encoder_sha256),
        splits=splits,
        label_subset=label_subset,
        scores={"": logits.values},
        metric="top_1" if logits.labels.ndim == 1 else "voc_map",
        test=logits,
        num_unreadable=num_unreadable,
        overlap=overlap,
    )


def copy(record: Record, source: str, path: str) -> None:
    """Writes a record with the predictions of another.

    Args:
        record: to write.
        source, path: of the other, and where to, without a suffix.
    """
    records.write(path, record, **files.read_npz(f"{source}.npz"))
    print(_report(record))
    print(f"Record: {path}.json")


def _kind(config: Config) -> str:
    scratch = config.job.train_mode == "supervised" or (
        config.job.train_mode == "distill" and not config.job.student_checkpoint
    )
    return "random" if scratch else config.eval.encoder


def _prefixed(prefix: str, name: str) -> str:
    return f"{prefix}/{name}" if prefix else name


def _predictions(scores: np.ndarray, labels: np.ndarray) -> np.ndarray:
    if labels.ndim == 1:
        return scores.argmax(axis=1)
    return (scores > 0).astype(np.int64)  # one classifier for each class


def _report(record: Record) -> str:
    """A record in words, for a terminal."""
    test = record.splits["test"]
    lines = [
        f"{record.scored}, on {test['num_examples']} images of "
        f"{record.dataset} {test['split']}, 95 % intervals:"
    ]
    lines += [
        f"  {name:<20}{one.value:>7.1%}  [{one.low:.1%}, {one.high:.1%}]"
        for name, one in record.metrics.items()
    ]
    return "\n".join(lines)


def say_unreadable(
    path: str, found: Iterable[str], sources: Iterable[Source]
) -> None:
    """Writes what a job on features left out, and says how much it was.

    Args:
        path: of the table.
        found: lines of `CorruptLog.lines`, of all splits.
        sources: the splits, which know what they passed over.
    """
    found = list(found)
    left_out = [line for source in sources for line in source.left_out]
    unreadable_images.write(path, [*found, *left_out])
    if found:
        print(in_words(found, done="left out", path=path))
