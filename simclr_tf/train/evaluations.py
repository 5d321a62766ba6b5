"""--mode=evaluate on frozen features: one encoder, one protocol, one record.

Protocols that train the network itself, probe and transfer_finetune, are
runs of `experiment`.
"""

import os
import time

import numpy as np
import tensorflow as tf
from sklearn.model_selection import train_test_split

from simclr_tf import resolve
from simclr_tf.config import Config
from simclr_tf.data import subset
from simclr_tf.data.corrupt import CorruptLog
from simclr_tf.data.sources import Source
from simclr_tf.evaluation import features, knn, logistic
from simclr_tf.evaluation.features import Features
from simclr_tf.train import (
    artifacts,
    encoders,
    inputs,
    loading,
    precision,
    recording,
)

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
        ValueError: something the user can mend; the message names the flag.
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
        self._train, self._chosen = inputs.open_training(config)
        self._test = inputs.open_evaluation(config, required=False)
        if self._test is None:
            raise ValueError(
                f"--mode=evaluate needs a labelled split of {self._train.name} "
                f"to test on. Received: --eval_split={config.data.eval_split}."
            )
        if config.eval.protocol == "logistic" and self._train.random_access:
            self._hold_out(subset.labels_of(self._train))
        dtype = precision.policy_name(config.model.mixed_precision, device_type)
        self._encoder = encoders.open_encoder(
            config, strategy=strategy, dtype=dtype
        )
        self.folder = folder_of(config)
        artifacts.require_writable(self.folder)

    def describe(self) -> str:
        """What will be done."""
        return (
            f"Evaluation: {self._config.eval.protocol} of "
            f"{self._encoder.description}, {self._train.num_examples} labelled "
            f"images of {self._train.name} {self._train.split}, tested on "
            f"{self._test.num_examples} of {self._test.split}"
        )

    def run(self) -> None:
        """Fits, scores, and writes the record."""
        before = self._encoder.sha256()
        extract = features.extractor(
            self._encoder.encode, strategy=self._strategy
        )
        train, test = (
            features.labelled(extract(self._dataset(source)))
            for source in (self._train, self._test)
        )
        protocol = {"knn": self._knn, "logistic": self._logistic}
        scores, choices = protocol[self._config.eval.protocol](train, test)
        recording.write(
            os.path.join(self.folder, recording.name_of(self._config)),
            config=self._config,
            protocol=self._config.eval.protocol,
            choices=choices,
            encoder=self._encoder.description,
            encoder_frozen=True,
            encoder_sha256=(before, self._encoder.sha256()),
            splits={"train": self._train, "test": self._test},
            label_subset=self._chosen,
            scores=scores,
            metric="top_1",
            test=test,
            num_unreadable=self._corrupt.count(),
        )

    def _knn(self, train: Features, test: Features):
        ks = [k for k in _KNN_KS if k <= len(train.labels)] or [
            len(train.labels)
        ]
        scores = knn.knn_scores(
            train,
            test,
            num_classes=self._train.num_classes,
            ks=ks,
            temperature=_KNN_TEMPERATURE,
        )
        choices = {"k": ks, "temperature": _KNN_TEMPERATURE}
        return {f"k{k}": scores[k] for k in ks}, choices

    def _logistic(self, train: Features, test: Features):
        fitted, held_out = self._hold_out(train.labels)
        outcome = logistic.linear_transfer(
            (train.values[fitted], train.labels[fitted]),
            (train.values[held_out], train.labels[held_out]),
            test.values,
            num_classes=self._train.num_classes,
            metric="top_1",
            progress=_Progress(),
        )
        choices = {
            "validation": (
                f"{self._config.eval.holdout_fraction:g} of the training "
                "labels, by class"
            ),
            "num_validation": len(held_out),
            **outcome.to_record(),
        }
        return {"": outcome.scores}, choices

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
            raise ValueError(
                f"--holdout_fraction={fraction:g} of {len(labels)} labels "
                f"cannot be held out class by class: {error}."
            ) from error

    def _dataset(self, source: Source):
        return inputs.evaluation_dataset(
            self._config, source, strategy=self._strategy, corrupt=self._corrupt
        )


def folder_of(config: Config) -> str:
    """--model_dir, or the folder of evaluations in the checkpoint's run."""
    if config.job.model_dir:
        return os.path.expanduser(config.job.model_dir)
    run = loading.run_folder_of(config.job.checkpoint)
    return os.path.join(run, "evaluations")


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
