"""--mode=evaluate --protocol=knowledge: what h and g(h) know of an image.

Reads    images, --checkpoint; no labels
Writes   a record and its predictions, in --model_dir or RUN/evaluations
Ends     with 0

Paper: Table 3. Images are turned, made grey, noisy or filtered; an MLP on
their features says which was done. What g(h) has thrown away, it cannot say.
"""

import functools
import itertools
from collections.abc import Mapping

import numpy as np

from simclr_tf import files
from simclr_tf.augment.transformations import TRANSFORMATIONS, Transformation
from simclr_tf.build import account, batches, encoder, splits
from simclr_tf.config import operator_list
from simclr_tf.data import subset
from simclr_tf.data.corrupt import CorruptLog
from simclr_tf.errors import UserError
from simclr_tf.evaluation import features, scoring
from simclr_tf.evaluation.features import Features
from simclr_tf.evaluation.fitted import mlp
from simclr_tf.jobs import recording
from simclr_tf.jobs.requests import Accepts, Request
from simclr_tf.reports import knowledge_table
from simclr_tf.run_files import unreadable_images
from simclr_tf.run_files.room import require_writable
from simclr_tf.train import precision

_METRIC = "top_1"
_PARTS = ("train", "test")


def make(request: Request, accepts: Accepts) -> "Knowledge":
    """The job of a command."""
    del accepts  # whatever labels there are, nobody asks for them
    return Knowledge(request)


class Knowledge:
    """MLPs on the features of transformed images.

    Args:
        request: the command.

    Raises:
        UserError: something the user can mend.
    """

    def __init__(self, request: Request):
        self._config = config = request.config
        self._stop = request.stop
        placement = request.place(config)
        self._strategy = placement.strategy
        train = splits.open_split(config, config.data.train_split)
        test = splits.open_evaluation(
            config,
            required=config.data.eval_split is not None,
            labelled=False,
        )
        if test is None:
            raise UserError(
                f"--protocol=knowledge needs a split of {train.name} to test "
                f"on. Received: --eval_split={config.data.eval_split}."
            )
        self._splits = dict(zip(_PARTS, (train, test), strict=True))
        self._unreadable = dict.fromkeys(_PARTS, ())
        self._tasks = [
            task
            for task in TRANSFORMATIONS
            if config.model.num_channels == 3
            or task.operator[0] not in operator_list.IN_RGB
        ]
        self._encoder, self._widths = encoder.open_with_projection(
            config,
            strategy=self._strategy,
            dtype=precision.dtype_policy(
                config.model.mixed_precision, placement.device_type
            ),
        )
        self._sha256 = self._encoder.sha256()
        self._path = recording.path_of(
            config, encoder_sha256=self._sha256, splits=self._splits
        )
        folder = recording.folder_of(config)
        require_writable(folder)
        files.sweep_asides(folder)

    def describe(self) -> str:
        """What will be done."""
        train, test = (self._splits[part] for part in _PARTS)
        return "\n".join(
            [
                *self._encoder.said,
                f"Evaluation: what {self._encoder.description} knows",
                f"Data: {account.of(train)}",
                f"Tested on {account.of(test)}",
            ]
        )

    def run(self) -> int:
        """Extracts, fits, scores, and writes the record."""
        self._stop.outcome = (
            "before the record was written. The same command starts again."
        )
        extract = features.extractor(
            self._encoder.encode, strategy=self._strategy
        )
        scores, tests, epochs = {}, {}, {}
        for task in self._tasks:
            found = {part: self._features(extract, task, part)
                     for part in _PARTS}  # fmt: skip
            tests[task.name] = found["test"]
            scores[task.name], epochs[task.name] = self._fitted(task, found)
        first, *others = self._tasks
        recording.write(
            self._path,
            config=self._config,
            protocol="knowledge",
            choices={
                **mlp.choices(),
                "epochs": epochs,
                "classes": {t.name: list(t.classes) for t in self._tasks},
                "operators": {t.name: t.operator for t in self._tasks},
            },
            encoder=self._encoder.description,
            encoder_frozen=True,
            encoder_sha256=(self._sha256, self._encoder.sha256()),
            splits=self._splits,
            label_subset=None,
            scores=_named(first, scores[first.name]),
            metric=_METRIC,
            names=(_METRIC,),
            further={
                name: estimate
                for task in others
                for name, estimate in self._estimates(
                    task, scores[task.name], tests[task.name]
                ).items()
            },
            class_names=first.classes,
            test=tests[first.name],
            overlap=subset.overlap(*self._splits.values()),
            num_unreadable=sum(map(len, self._unreadable.values())),
            told=knowledge_table.table,
        )
        recording.say_unreadable(
            f"{self._path}_{unreadable_images.FILE}",
            itertools.chain(*self._unreadable.values()),
            self._splits.values(),
        )
        return 0

    def _features(self, extract, task: Transformation, part: str) -> Features:
        """Of transformed images, with what was done to them as labels."""
        source, config = self._splits[part], self._config
        log = CorruptLog(source.examples.reason_of)
        dataset = batches.evaluation_dataset(
            config,
            source,
            strategy=self._strategy,
            corrupt=log,
            on_batch=functools.partial(
                _transformed,
                task=task,
                seed=config.job.seed,
                part=_PARTS.index(part),
            ),
        )
        found = extract(dataset)
        self._unreadable[part] = lines = tuple(log.lines())
        log.check(
            config.data.max_corrupt_fraction, source.num_examples, lines=lines
        )
        return found

    def _fitted(self, task: Transformation, found: Mapping[str, Features]):
        """Scores of chance and of each of the features, and the epochs."""
        train, test = found["train"], found["test"]
        classes = {"num_classes": len(task.classes)}
        scores, epochs = {}, {}
        for name, columns in self._widths.items():
            scores[name], epochs[name] = mlp.scores(
                (train.values[:, columns], train.labels),
                test.values[:, columns],
                seed=self._config.job.seed,
                **classes,
            )
        scores["chance"] = mlp.majority(
            train.labels, len(test.labels), **classes
        )
        return scores, epochs

    def _estimates(
        self,
        task: Transformation,
        scores: Mapping[str, np.ndarray],
        test: Features,
    ):
        return {
            f"{prefix}/{_METRIC}": scoring.score(
                each,
                test.labels,
                what=scoring.PROTOCOLS["knowledge"],
                seed=self._config.job.seed,
                names=(_METRIC,),
            ).metrics[_METRIC]
            for prefix, each in _named(task, scores).items()
        }


def _transformed(batch, *, task: Transformation, seed: int, part: int):
    images, label = task.apply(
        batch["images"], batch["id"], seed=seed, part=part
    )
    return {**batch, "images": images, "label": label}


def _named(task: Transformation, scores: Mapping[str, np.ndarray]):
    return {f"{task.name}/{name}": each for name, each in scores.items()}
