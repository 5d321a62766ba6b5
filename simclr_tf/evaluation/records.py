"""The record of an evaluation: a number with everything that it depends on.

<name>.json holds the record, <name>.npz the predictions beside it (ids,
labels, predictions), from which two models can be compared example by
example. A record that lacks something cannot be made, and a frozen encoder
that changed is an error, not a record.

Long because what a record must hold, how it is written, and how older records
are read, are one contract.
"""

import dataclasses
import datetime
import importlib.metadata
import json
import math
import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

import simclr_tf
from simclr_tf import files
from simclr_tf.errors import UserError
from simclr_tf.evaluation import metrics, statistics
from simclr_tf.evaluation.scoring import PROTOCOLS
from simclr_tf.evaluation.statistics import Comparison, Estimate

ENCODERS = ("checkpoint", "random", "pixels")
_TEXTS = ("scored", "encoder", "dataset", "encoder_sha256_before", "created")
_SPLIT_FIELDS = {"split", "num_examples", "fingerprint"}
# Fields that records of before November 2026 lack, and what is read for them.
_LACKING = {
    "class_names": lambda content: [],
    "overlap": lambda content: None,
    "scored": lambda content: PROTOCOLS.get(content.get("protocol"), ""),
}
_PACKAGES = ("tensorflow", "numpy", "scipy", "scikit-learn")


def split_facts(
    split: str, num_examples: int, fingerprint: str
) -> dict[str, Any]:
    """What `Record.splits` holds of each split."""
    return {
        "split": split,
        "num_examples": num_examples,
        "fingerprint": fingerprint,
    }


def versions() -> dict[str, str]:
    """Of this library, and of what computes."""
    return {
        "simclr_tf": simclr_tf.__version__,
        **{name: importlib.metadata.version(name) for name in _PACKAGES},
    }


@dataclasses.dataclass(frozen=True)
class Record:
    """An evaluation. Every field must be given; most are checked.

    Attributes:
        protocol: one of PROTOCOLS.
        scored: what was scored, in words: "linear probe".
        choices: what the protocol leaves open, and what was chosen.
        encoder: where it came from, in words.
        encoder_kind: one of ENCODERS; "random" for a network from scratch.
        encoder_frozen: whether the protocol leaves the encoder alone.
        encoder_sha256_before, encoder_sha256_after: of all its variables;
            the same where it is frozen.
        dataset: its name.
        splits: {"train": `split_facts`, ..., "test": ...}.
        class_names: in the order of the labels: class_names[1] is class 1;
            empty where nobody knows (an old record).
        overlap: test examples that are in the training split, too; None where
            nobody has counted (a stream, or an old record).
        label_subset: `LabelSubset.to_record()`, None where all labels count.
        num_unreadable: images that could not be read and were left out.
        config: the whole configuration, as a dict.
        seed: of the evaluation.
        metric: the name in metrics that the protocol is about.
        metrics: {name: Estimate}; several scorings of one protocol have a
            prefix: "k20/top_1".
        versions: `versions()`.
        created: ISO 8601, UTC.
    """

    protocol: str
    scored: str
    choices: Mapping[str, Any]
    encoder: str
    encoder_kind: str
    encoder_frozen: bool
    encoder_sha256_before: str
    encoder_sha256_after: str
    dataset: str
    splits: Mapping[str, Mapping[str, Any]]
    class_names: Sequence[str]
    overlap: int | None
    label_subset: Mapping[str, Any] | None
    num_unreadable: int
    config: Mapping[str, Any]
    seed: int
    metric: str
    metrics: Mapping[str, Estimate]
    versions: Mapping[str, str] = dataclasses.field(default_factory=versions)
    created: str = dataclasses.field(
        default_factory=lambda: (
            datetime.datetime.now(datetime.timezone.utc)
            .replace(microsecond=0)
            .isoformat()
        )
    )

    def __post_init__(self):
        _require(self.protocol in PROTOCOLS, "protocol", self.protocol)
        _require(
            self.encoder_kind in ENCODERS, "encoder_kind", self.encoder_kind
        )
        for name in _TEXTS:
            text = getattr(self, name)
            _require(isinstance(text, str) and text, name, text)
        _require(_are_texts(self.class_names), "class_names", self.class_names)
        _require(self.overlap is None or _is_count(self.overlap), "overlap",
                 self.overlap)  # fmt: skip
        for name in ("choices", "splits", "config", "metrics", "versions"):
            mapping = getattr(self, name)
            _require(isinstance(mapping, Mapping), name, mapping)
        read = {"test"} if self.protocol == "own_head" else {"train", "test"}
        _require(read <= set(self.splits), "splits", self.splits)
        for name, facts in self.splits.items():
            fine = isinstance(facts, Mapping) and set(facts) == _SPLIT_FIELDS
            _require(fine, f"splits[{name}]", facts)
            number = facts["num_examples"]
            _require(_is_count(number), f"splits[{name}]", facts)
        _check_label_subset(self.label_subset)
        _require(self.metric in self.metrics, "metric", self.metric)
        for name, estimate in self.metrics.items():
            fine = len(estimate) == 3 and all(map(math.isfinite, estimate))
            _require(fine, f"metrics[{name}]", estimate)
        if self.encoder_frozen and (
            self.encoder_sha256_before != self.encoder_sha256_after
        ):
            raise ValueError(
                f"The encoder of protocol {self.protocol} is frozen, and its "
                "variables changed: sha256 "
                f"{self.encoder_sha256_before[:12]} before, "
                f"{self.encoder_sha256_after[:12]} after. This is a bug; the "
                "result is void."
            )

    @property
    def estimate(self) -> Estimate:
        """Of the metric that the protocol is about."""
        return self.metrics[self.metric]

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        record = {
            field.name: getattr(self, field.name)
            for field in dataclasses.fields(self)
        }
        return {
            **record,
            "class_names": list(self.class_names),
            "metrics": {
                name: Estimate(*estimate)._asdict()
                for name, estimate in self.metrics.items()
            },
        }


def write(
    path: str,
    record: Record,
    *,
    ids: np.ndarray,
    labels: np.ndarray,
    predictions: np.ndarray,
) -> None:
    """Writes <path>.npz, and then <path>.json.

    Args:
        path: without a suffix; any file system.
        record: the record.
        ids: int64[M], of the test examples.
        labels: int64[M], or int64[M, K] for several labels.
        predictions: of the same shape: classes, or 0 and 1.

    Raises:
        UserError: arrays that do not fit each other or the record.
    """
    if labels.shape != predictions.shape or len(ids) != len(labels):
        raise ValueError(
            "Ids, labels and predictions must be of the same examples. "
            f"Received: {ids.shape}, {labels.shape}, {predictions.shape}."
        )
    text = json.dumps(record.to_dict(), allow_nan=False)
    files.write_npz(
        f"{path}.npz",
        {"ids": ids, "labels": labels, "predictions": predictions},
    )
    files.write_json(f"{path}.json", json.loads(text))


def read(path: str) -> Record:
    """Reads <path>.json, with or without its suffix.

    A record of before November 2026 has no class names, no overlap and no
    words for what was scored: it is read with none, None, and the words of its
    protocol.

    Raises:
        UserError: it is damaged, or not a record; the message names the file.
    """
    path = _without_suffix(path) + ".json"
    if not files.gfile.exists(path):
        raise UserError(f"{path} does not exist.")
    found = files.read_json(path)
    names = {field.name for field in dataclasses.fields(Record)}
    added = {
        name: value(found)
        for name, value in _LACKING.items()
        if name not in found
    }
    lacking, foreign = names - set(found) - set(added), set(found) - names
    if lacking or foreign:
        raise UserError(
            f"{path} is not the record of an evaluation: it lacks "
            f"{', '.join(sorted(lacking)) or 'nothing'}, and has "
            f"{', '.join(sorted(foreign)) or 'nothing'} too many."
        )
    try:
        estimates = {
            name: Estimate(**estimate)
            for name, estimate in found["metrics"].items()
        }
        return Record(**{**found, **added, "metrics": estimates})
    except (ValueError, TypeError, AttributeError) as error:
        raise UserError(
            f"{path} is not the record of an evaluation ({error}). Restore it, "
            "or remove it."
        ) from error


def read_all(paths: list[str]) -> dict[str, Record]:
    """{path: record} of files, and of every record in folders, sorted.

    Raises:
        UserError: there is none, or one is damaged.
    """
    found = {}
    for path in paths:
        expanded = os.path.expanduser(path)
        if files.gfile.isdir(expanded):
            inside = sorted(files.gfile.listdir(expanded))
            expanded = [
                os.path.join(expanded, name)
                for name in inside
                if name.endswith(".json")
                and name.removesuffix(".json") + ".npz" in inside
            ]
        else:
            expanded = [expanded]
        if not expanded:
            raise UserError(f"{path} holds no record of an evaluation.")
        found |= {one: read(one) for one in expanded}
    return found


def compare(first: str, second: str, *, seed: int = 0) -> Comparison:
    """The permutation test between the predictions of two records.

    Args:
        first, second: paths of records on the same test examples.
        seed: of the permutations.

    Raises:
        UserError: they are not on the same examples, or of other metrics.
    """
    records = [read(path) for path in (first, second)]
    names = [record.metric.split("/")[-1] for record in records]
    if names[0] != names[1]:
        raise UserError(
            f"{first} is about {names[0]} and {second} about {names[1]}."
        )
    sides = []
    for path in (first, second):
        arrays = read_predictions(path)
        order = np.argsort(arrays["ids"], kind="stable")
        sides.append({name: array[order] for name, array in arrays.items()})
    for name in ("ids", "labels"):
        if not np.array_equal(sides[0][name], sides[1][name]):
            raise UserError(
                f"{first} and {second} are not of the same test examples: "
                f"their {name} differ."
            )
    return statistics.compare(
        *(
            metrics.outcomes(names[0], s["predictions"], s["labels"])
            for s in sides
        ),
        seed=seed,
    )


def read_predictions(path: str) -> dict[str, np.ndarray]:
    """What `write` was given beside the record.

    Args:
        path: of the record.

    Returns:
        ids int64[M], labels and predictions of equal shape [M] or [M, K].

    Raises:
        UserError: they are damaged, or not there; the message names the file.
    """
    path = _without_suffix(path) + ".npz"
    if not files.gfile.exists(path):
        raise UserError(f"{path}, the predictions of a record, does not exist.")
    arrays = files.read_npz(path)
    if lacking := {"ids", "labels", "predictions"} - set(arrays):
        raise UserError(
            f"{path} holds no predictions of a record: it lacks "
            f"{', '.join(sorted(lacking))}."
        )
    labels = arrays["labels"]
    if labels.shape != arrays["predictions"].shape or (
        arrays["ids"].shape != labels.shape[:1]
    ):
        raise files.damaged(path, "its columns differ in length")
    return arrays


def _check_label_subset(subset: Any) -> None:
    if subset is None:
        return
    fine = isinstance(subset, Mapping) and {"kind", "asked", "ids"} <= set(
        subset
    )
    _require(fine, "label_subset", "no kind, asked or ids")
    fine = isinstance(subset["kind"], str) and isinstance(subset["ids"], list)
    fine = fine and isinstance(subset["asked"], (int, float))
    _require(fine, "label_subset", subset["kind"])


def _are_texts(names: Any) -> bool:
    return isinstance(names, (list, tuple)) and all(
        isinstance(name, str) for name in names
    )


def _is_count(number: Any) -> bool:
    return isinstance(number, int) and number >= 0


def _without_suffix(path: str) -> str:
    return os.path.expanduser(path).removesuffix(".json").removesuffix(".npz")


def _require(condition: Any, name: str, received: Any) -> None:
    if not condition:
        raise ValueError(
            f"A record cannot be made without a valid {name}. Received: "
            f"{received!r}."
        )
