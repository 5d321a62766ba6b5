"""--mode=evaluate on frozen features: one encoder, one protocol, one record.

Protocols that train the network itself, probe and transfer_finetune, are
runs of `experiment`.
"""

import os
import time
from collections.abc import Mapping

import numpy as np
import tensorflow as tf
from sklearn.model_selection import train_test_split

from simclr_tf.build import batches, encoder, splits
from simclr_tf.config import Config, resolve
from simclr_tf.data import sources, subset
from simclr_tf.data.corrupt import CorruptLog
from simclr_tf.data.sources import Source
from simclr_tf.errors import UserError
from simclr_tf.evaluation import cache, features, knn, logistic, transfer
from simclr_tf.evaluation.features import Features
from simclr_tf.evaluation.transfer import TransferSet
from simclr_tf.jobs import recording
from simclr_tf.run_files import artifacts, loading
from simclr_tf.train import precision

_KNN_KS = (20, 200)
_KNN_TEMPERATURE = 0.07
_PROGRESS_SECONDS = 5.0


class Evaluation:
    """The job, checked; `run` does it.

    Args:
        config: what to score, on what, by which protocol.
        strategy: where the replicas run.
        device_type: "TPU", "GPU" or "CPU".

    Raises:
        UserError: something the user can mend; the message names the flag.
    """

    def __init__(
        self,
        config: Config,
        *,
        strategy: tf.distribute.Strategy,
        device_type: str,
    ):
        self._config = config
        self._strategy = strategy
        self._corrupt = CorruptLog()
        self._name = recording.name_of(config)
        if config.eval.protocol == "transfer_linear":
            self._set = transfer_set(config)
            self._config = on_parts(config, self._set, "train", "test")
            self._splits, self._chosen = self._open_transfer(), None
        else:
            self._splits, self._chosen = self._open_splits()
        train = self._splits["train"]
        if config.eval.protocol == "logistic" and train.random_access:
            self._hold_out(subset.labels_of(train))
        self._dtype = precision.policy_name(
            config.model.mixed_precision, device_type
        )
        self._encoder = encoder.open_encoder(
            config, strategy=strategy, dtype=self._dtype
        )
        self.folder = folder_of(config)
        artifacts.require_writable(self.folder)

    def describe(self) -> str:
        """What will be done."""
        train, test = self._splits["train"], self._splits["test"]
        return (
            f"Evaluation: {self._config.eval.protocol} of "
            f"{self._encoder.description}, {train.num_examples} labelled "
            f"images of {train.name} {train.split}, tested on "
            f"{test.num_examples} of {test.split}"
        )

    def run(self) -> None:
        """Fits, scores, and writes the record."""
        before = self._encoder.sha256()
        extract = features.extractor(
            self._encoder.encode, strategy=self._strategy
        )
        found = {
            name: features.labelled(self._features(extract, source, before))
            for name, source in self._splits.items()
        }
        protocol = {
            "knn": self._knn,
            "logistic": self._logistic,
            "transfer_linear": self._transfer_linear,
        }
        scores, choices, metric = protocol[self._config.eval.protocol](found)
        recording.write(
            os.path.join(self.folder, self._name),
            config=self._config,
            protocol=self._config.eval.protocol,
            choices=choices,
            encoder=self._encoder.description,
            encoder_frozen=True,
            encoder_sha256=(before, self._encoder.sha256()),
            splits=self._splits,
            label_subset=self._chosen,
            scores=scores,
            metric=metric,
            test=found["test"],
            num_unreadable=self._corrupt.count(),
        )

    def _open_splits(self):
        config = self._config
        train, chosen = splits.open_training(config)
        test = splits.open_evaluation(config, required=False)
        if test is None:
            raise UserError(
                f"--mode=evaluate needs a labelled split of {train.name} to "
                f"test on. Received: --eval_split={config.data.eval_split}."
            )
        return {"train": train, "test": test}, chosen

    def _open_transfer(self):
        return {
            part: splits.open_split(self._config, getattr(self._set, part))
            for part in ("train", "validation", "test")
        }

    def _features(self, extract, source: Source, sha256: str) -> Features:
        """Computed once for an encoder, a split and what is done to images."""
        config = self._config
        key = cache.features_key(
            encoder_sha256=sha256,
            fingerprint=source.fingerprint,
            split=source.split,
            preprocessing={
                "encoder": config.eval.encoder,
                "image_size": config.data.image_size,
                "crop": self._crop(),
                "ft_proj_selector": config.model.ft_proj_selector,
                "dtype": self._dtype,
                "several_labels": config.data.several_labels,
            },
        )
        return cache.cached(
            lambda: extract(self._dataset(source)),
            folder=os.path.join(self.folder, "features"),
            key=key,
        )

    def _knn(self, found: Mapping[str, Features]):
        train = found["train"]
        ks = [k for k in _KNN_KS if k <= len(train.labels)] or [
            len(train.labels)
        ]
        scores = knn.knn_scores(
            train,
            found["test"],
            num_classes=self._num_classes,
            ks=ks,
            temperature=_KNN_TEMPERATURE,
        )
        choices = {"k": ks, "temperature": _KNN_TEMPERATURE}
        return {f"k{k}": scores[k] for k in ks}, choices, "top_1"

    def _logistic(self, found: Mapping[str, Features]):
        train = found["train"]
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
        return self._regress(parts, found["test"], "top_1", choices)

    def _transfer_linear(self, found: Mapping[str, Features]):
        parts = [
            (found[part].values, found[part].labels)
            for part in ("train", "validation")
        ]
        choices = {**self._set.to_record(), "eval_crop": self._crop()}
        return self._regress(parts, found["test"], self._set.metric, choices)

    def _regress(self, parts, test: Features, metric: str, choices):
        outcome = logistic.linear_transfer(
            *parts,
            test.values,
            num_classes=self._num_classes,
            metric=metric,
            progress=_Progress(),
        )
        choices = {**choices, **outcome.to_record()}
        return {"": outcome.scores}, choices, metric

    @property
    def _num_classes(self) -> int:
        return self._splits["train"].num_classes

    def _crop(self) -> float:
        if self._config.eval.protocol == "transfer_linear":
            return transfer.LINEAR_CROP_PROPORTION
        return self._config.augment.eval_crop

    def _hold_out(self, labels: np.ndarray):
        """Indices to fit on, and to choose the l2 by."""
        fraction = self._config.eval.holdout_fraction
        try:
            return train_test_split(
                np.arange(len(labels)),
                test_size=fraction,
                stratify=labels,
                random_state=self._config.job.seed,
            )
        except ValueError as error:
            raise UserError(
                f"--holdout_fraction={fraction:g} of {len(labels)} labels "
                f"cannot be held out class by class: {error}."
            ) from error

    def _dataset(self, source: Source):
        config = resolve.overlay(self._config, {"eval_crop": self._crop()})
        return batches.evaluation_dataset(
            config, source, strategy=self._strategy, corrupt=self._corrupt
        )


def folder_of(config: Config) -> str:
    """Where records of evaluations go."""
    return loading.results_folder(config, "evaluations")


def transfer_set(config: Config) -> TransferSet:
    """The data set of --dataset: of the paper's twelve, or by their rules."""
    dataset = config.data.dataset
    found = transfer.transfer_set(dataset)
    if found is None:
        splits = sources.split_names(
            dataset=dataset, data_dir=config.data.data_dir
        )
        found = transfer.other_set(dataset, splits)
    return found


def on_parts(
    config: Config, chosen: TransferSet, train: str, test: str
) -> Config:
    """`config` reading two parts of a transfer set.

    Args:
        config: of the job.
        chosen: the set.
        train, test: "train", "validation", "train_and_validation" or "test".
    """
    options = chosen.source(train, data_dir=config.data.data_dir)
    options["train_split"] = options.pop("split")
    options["eval_split"] = getattr(chosen, test)
    return resolve.overlay(config, options)


def as_training(config: Config) -> Config:
    """The probe is a run, in a folder beside the records."""
    folder = os.path.join(folder_of(config), recording.name_of(config))
    return resolve.overlay(config, {"model_dir": folder})


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
