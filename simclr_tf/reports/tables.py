"""Records as a table for a terminal."""

import json
import os
from collections.abc import Mapping

import numpy as np

from simclr_tf.config import roles
from simclr_tf.evaluation.records import Record
from simclr_tf.reports import paper_numbers
from simclr_tf.terminal import printable

_HEAD = ("encoder", "scored", "tested on", "labels", "metric", "%", "paper")


def table(
    records: Mapping[str, Record],
    *,
    average: bool = False,
    all_metrics: bool = False,
) -> str:
    """Lines of columns: a record, or an average of several, each.

    Args:
        records: by path.
        average: whether records that differ only in their seed or draw of
            labels make one line, with mean and sample deviation.
        all_metrics: whether every metric has a line.
    """
    groups = {}
    for path, record in records.items():
        key = _apart_from_seeds(record) if average else path
        groups.setdefault(key, []).append(record)
    rows = [_HEAD]
    for group in groups.values():
        first = group[0]
        for metric in first.metrics if all_metrics else [first.metric]:
            rows.append(_row(group, metric))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True))
        for row in rows
    ]
    lines.insert(1, "  ".join("-" * width for width in widths))
    lines += _overlaps(records)
    return "\n".join(line.rstrip() for line in lines)


def details(records: Mapping[str, Record]) -> str:
    """What has no column in the table, a paragraph for each record.

    Args:
        records: by path.
    """
    return "\n\n".join(
        "\n".join(
            [
                printable(path),
                f"  scored: {printable(record.scored)}, protocol "
                f"{record.protocol}, of {printable(record.encoder)}",
                f"  test examples that were trained on, too: "
                f"{'not known' if record.overlap is None else record.overlap}",
                f"  unreadable images left out: {record.num_unreadable}",
                f"  classes: {_class_names(record)}",
            ]
        )
        for path, record in records.items()
    )


def _overlaps(records: Mapping[str, Record]) -> list[str]:
    return [
        f"NOTE: {printable(path)}: {record.overlap} of the "
        f"{record.splits['test']['num_examples']} test images were trained on."
        for path, record in records.items()
        if record.overlap
    ]


def _class_names(record: Record) -> str:
    named = [
        f"{number} {printable(name)}"
        for number, name in enumerate(record.class_names)
    ]
    return ", ".join(named) or "not known"


def _row(group: list[Record], metric: str) -> tuple[str, ...]:
    record = group[0]
    test, model = record.splits["test"], record.config.get("model")
    number = paper_numbers.find(
        dataset=record.dataset,
        protocol=record.protocol,
        metric=metric,
        encoder_kind=record.encoder_kind,
        model=model if isinstance(model, Mapping) else {},
        percent_of_labels=_percent_of_labels(record),
        test_split=str(test["split"]),
    )
    return (
        printable(_short(record.encoder)),
        printable(record.scored),
        printable(f"{record.dataset} {test['split']} ({test['num_examples']})"),
        _labels(record),
        metric,
        _score(group, metric),
        f"{number.percent} ({number.source})" if number else "",
    )


def _score(group: list[Record], metric: str) -> str:
    values = [100 * record.metrics[metric].value for record in group]
    if len(values) > 1:
        mean, deviation = np.mean(values), np.std(values, ddof=1)
        return f"{mean:.1f} +- {deviation:.1f} (of {len(values)})"
    _, low, high = (100 * x for x in group[0].metrics[metric])
    return f"{values[0]:.1f} [{low:.1f}, {high:.1f}]"


def _labels(record: Record) -> str:
    subset = record.label_subset
    if record.choices.get("distill_alpha") == 1:
        return "the teacher's"
    if subset is None:
        number = sum(
            record.splits[name]["num_examples"]
            for name in ("train", "validation")
            if name in record.splits
        )
        return f"all {number}" if number else "none"
    return str(len(subset["ids"]))


def _percent_of_labels(record: Record) -> float | None:
    subset = record.label_subset
    if subset is None or "fraction" not in subset["kind"]:
        return None if subset is None else -1
    return 100 * subset["asked"]


def _short(encoder: str) -> str:
    """The last two parts of a path."""
    first, *rest = encoder.split(",")
    parts = first.rstrip("/").split(os.sep)
    return ",".join(["/".join(parts[-2:]), *rest])


def _apart_from_seeds(record: Record) -> str:
    """What the records of an average have in common."""
    subset = record.label_subset

    may_differ = roles.of_average()

    def clean(value):
        if isinstance(value, Mapping):
            return {
                k: clean(v) for k, v in value.items() if k not in may_differ
            }
        return value

    return json.dumps(
        [
            record.protocol,
            record.encoder,
            record.encoder_sha256_before if record.encoder_frozen else "",
            record.dataset,
            record.splits["test"],
            subset and [subset["kind"], subset["asked"]],
            sorted(record.metrics),
            clean(record.config),
        ],
        sort_keys=True,
        default=str,
    )
