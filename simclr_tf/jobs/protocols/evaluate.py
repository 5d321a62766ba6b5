"""--mode=evaluate on frozen features: one encoder, one protocol, one record.

Reads    labelled images, --checkpoint
Writes   a record and its predictions, and a cache of features, in --model_dir
         or RUN/evaluations
Ends     with 0

Protocols that train the network itself are `probe` and `transfer_finetune`.
"""

import itertools
import os
import time
from collections.abc import Mapping

import numpy as np

from simclr_tf import files
from simclr_tf.build import account, batches, encoder, splits, transfer_sets
from simclr_tf.config import roles
from simclr_tf.data import subset
from simclr_tf.data.corrupt import CorruptLog
from simclr_tf.evaluation import (
    cache,
    features,
    knn,
    label_subsets,
    metrics,
    transfer,
)
from simclr_tf.evaluation.features import Features
from simclr_tf.evaluation.fitted import l2_selection
from simclr_tf.jobs import recording
from simclr_tf.jobs.requests import Accepts, Request
from simclr_tf.reports import words
from simclr_tf.run_files import unreadable_images
from simclr_tf.run_files.room import require_writable
from simclr_tf.train import precision

_PROGRESS_SECONDS = 5.0


def make(request: Request, accepts: Accepts) -> "Evaluation":
    """The job of a command."""
    return Evaluation(request, accepts)


class Evaluation:
    """An encoder's features, and what a protocol makes of them.

    Args:
        request: the command.
        accepts: what the job accepts.

    Raises:
        UserError: something the user can mend.
    """

    def __init__(self, request: Request, accepts: Accepts):
        self._config = config = request.config
        self._stop = request.stop
        placement = request.place(config)
        self._strategy = placement.strategy
        self._unreadable = {}
        if config.eval.protocol == "transfer_linear":
            self._set = transfer_sets.find(config)
            self._config = transfer_sets.on_parts(
                config, self._set, "train", "test"
            )
            self._splits, self._chosen = self._open_transfer(), None
        else:
            self._splits, self._chosen = self._open_splits()
        for source in self._splits.values():
            accepts.require_labels(
                source,
                flag="train_split"
                if source is self._splits["train"]
                else "eval_split",
                job=roles.job(config).words,
            )
        train = self._splits["train"]
        self._overlap = subset.overlap(train, self._splits["test"])
        if self._chooses_l2 and train.random_access:
            self._hold_out(subset.labels_of(train))
        self._dtype = precision.dtype_policy(
            config.model.mixed_precision, placement.device_type
        )
        self._encoder = encoder.open_encoder(
            config, strategy=self._strategy, dtype=self._dtype
        )
        self._sha256 = self._encoder.sha256()
        self._folder = recording.folder_of(config)
        self._path = recording.path_of(
            config, encoder_sha256=self._sha256, splits=self._splits
        )
        require_writable(self._folder)
        files.sweep_asides(self._folder)

    def describe(self) -> str:
        """What will be done."""
        train, test = self._splits["train"], self._splits["test"]
        lines = [
            *self._encoder.said,
            f"Evaluation: {self._config.eval.protocol} of "
            f"{self._encoder.description}",
            f"Data: {account.of(train)}",
            f"Tested on {account.of(test)}",
        ]
        lines += words.of_overlap(self._overlap, test.num_examples)
        return "\n".join(lines)

    def run(self) -> int:
        """Fits, scores, and writes the record."""
        self._stop.outcome = (
            "before the record was written. The same command does the rest; "
            "features of whole splits are kept."
        )
        extract = features.extractor(
            self._encoder.encode, strategy=self._strategy
        )
        found = {
            name: features.labelled(self._features(extract, name))
            for name in self._splits
        }
        protocol = {
            "knn": self._knn,
            "logistic": self._logistic,
            "transfer_linear": self._transfer_linear,
        }
        scores, choices, metric = protocol[self._config.eval.protocol](found)
        recording.write(
            self._path,
            config=self._config,
            protocol=self._config.eval.protocol,
            choices=choices,
            encoder=self._encoder.description,
            encoder_frozen=True,
            encoder_sha256=(self._sha256, self._encoder.sha256()),
            splits=self._splits,
            label_subset=self._chosen,
            scores=scores,
            metric=metric,
            test=found["test"],
            overlap=self._overlap,
            num_unreadable=sum(map(len, self._unreadable.values())),
        )
        recording.say_unreadable(
            f"{self._path}_{unreadable_images.FILE}",
            itertools.chain(*self._unreadable.values()),
            self._splits.values(),
        )
        return 0

    def _open_splits(self):
        config = self._config
        train, chosen = splits.open_training(config)
        test = splits.require_evaluation(config, asker="--mode=evaluate")
        return {"train": train, "test": test}, chosen

    def _open_transfer(self):
        return {
            part: splits.open_split(self._config, getattr(self._set, part))
            for part in ("train", "validation", "test")
        }

    def _features(self, extract, name: str) -> Features:
        """Computed once for an encoder, a split and what is done to images."""
        source, config = self._splits[name], self._config
        options = {"mixed_precision": self._dtype, "eval_crop": self._crop()}
        images, labels_of = source.fingerprint, None
        if source.random_access:
            images = source.image_fingerprint
            ids, labels = subset.ids_of(source), subset.labels_of(source)
            labels_of = cache.lookup(ids, labels)
        found = cache.cached(
            lambda: self._extracted(extract, name),
            folder=os.path.join(self._folder, "features"),
            key=cache.features_key(
                image_fingerprint=images,
                encoder_sha256=self._sha256,
                options={**roles.of_features(config), **options},
            ),
            labels_of=labels_of,
        )
        self._unreadable[name] = found.unreadable
        CorruptLog().check(
            config.data.max_corrupt_fraction,
            source.num_examples,
            lines=found.unreadable,
        )
        return found.features

    def _extracted(self, extract, name: str) -> cache.Extracted:
        log = CorruptLog(self._splits[name].examples.reason_of)
        dataset = batches.evaluation_dataset(
            self._config,
            self._splits[name],
            strategy=self._strategy,
            crop_proportion=self._crop(),
            corrupt=log,
        )
        return cache.Extracted(extract(dataset), tuple(log.lines()))

    def _knn(self, found: Mapping[str, Features]):
        scores = knn.knn_scores(
            found["train"], found["test"], num_classes=self._num_classes
        )
        choices = {"k": list(scores), "temperature": knn.TEMPERATURE}
        return {f"k{k}": s for k, s in scores.items()}, choices, "top_1"

    def _logistic(self, found: Mapping[str, Features]):
        train = found["train"]
        metric = metrics.fitting(train.labels)[0]
        if not self._chooses_l2:
            scores, choices = l2_selection.with_given(
                (train.values, train.labels),
                found["test"].values,
                l2=self._config.eval.l2,
                num_classes=self._num_classes,
            )
            return {"": scores}, choices, metric
        fitted, held_out = self._hold_out(train.labels)
        parts = [
            (train.values[chosen], train.labels[chosen])
            for chosen in (fitted, held_out)
        ]
        choices = {
            "validation": (
                f"{self._config.eval.holdout_fraction:g} of the training "
                "labels, by class"
            ),
            "num_validation": len(held_out),
        }
        return self._regress(parts, found["test"], metric, choices)

    def _transfer_linear(self, found: Mapping[str, Features]):
        parts = [
            (found[part].values, found[part].labels)
            for part in ("train", "validation")
        ]
        choices = {**self._set.to_record(), "eval_crop": self._crop()}
        return self._regress(parts, found["test"], self._set.metric, choices)

    def _regress(self, parts, test: Features, metric: str, choices):
        outcome = l2_selection.linear_transfer(
            *parts,
            test.values,
            num_classes=self._num_classes,
            metric=metric,
            progress=_Progress(),
        )
        return {"": outcome.scores}, {**choices, **outcome.to_record()}, metric

    @property
    def _chooses_l2(self) -> bool:
        asked = self._config.eval
        return asked.protocol == "logistic" and asked.l2 is None

    @property
    def _num_classes(self) -> int:
        return self._splits["train"].num_classes

    def _crop(self) -> float:
        if self._config.eval.protocol == "transfer_linear":
            return transfer.LINEAR_CROP_PROPORTION
        return self._config.augment.eval_crop

    def _hold_out(self, labels: np.ndarray):
        """Indices to fit on, and to choose the l2 by."""
        share, seed = self._config.eval.holdout_fraction, self._config.job.seed
        return label_subsets.hold_out(labels, share=share, seed=seed)


class _Progress:
    """A line every few seconds of a long regression."""

    def __init__(self):
        self._said = time.monotonic()

    def __call__(self, done, total, point) -> None:
        if time.monotonic() - self._said < _PROGRESS_SECONDS:
            return
        self._said = time.monotonic()
        print(
            f"  {done} of {total} regressions; l2 {point['l2']:.2g}, "
            f"{point['iterations']} iterations",
            flush=True,
        )
