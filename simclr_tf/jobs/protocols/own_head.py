"""--mode=evaluate --protocol=own_head: the checkpoint's linear head, as it is.

Reads    labelled images, --checkpoint
Writes   a record and its predictions, in --model_dir or RUN/evaluations
Ends     with 0

Nothing is fitted: this is how a classifier scores on images that it was or
was not trained for, and how what Google released as one does.
"""

from simclr_tf import files, hashing
from simclr_tf.build import account, batches, network, splits
from simclr_tf.config import roles
from simclr_tf.data.corrupt import CorruptLog
from simclr_tf.errors import UserError
from simclr_tf.evaluation import features
from simclr_tf.jobs import recording
from simclr_tf.jobs.requests import Accepts, Request
from simclr_tf.run_files import loading, unreadable_images
from simclr_tf.run_files.room import require_writable
from simclr_tf.train import precision

_KERNEL = "linear_head:kernel"


def make(request: Request, accepts: Accepts) -> "OwnHead":
    """The job of a command."""
    return OwnHead(request, accepts)


class OwnHead:
    """A checkpoint's encoder and linear head, on a split.

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
        self._weights = weights = loading.open_configured(config)
        _require_own_layer(config, weights)
        self._test = test = splits.require_evaluation(
            config, asker="--protocol=own_head"
        )
        job = roles.job(config).words
        accepts.require_labels(test, flag="eval_split", job=job)
        _require_classes(weights, test)
        with self._strategy.scope():
            self._model = network.build_model(
                config,
                num_classes=test.num_classes,
                dtype=precision.dtype_policy(
                    config.model.mixed_precision, placement.device_type
                ),
                train_mode="finetune",
            )
        self._loaded = loading.load(weights, self._model, with_linear_head=True)
        self._sha256 = self._encoder_sha256()
        self._path = recording.path_of(
            config,
            # Two heads may stand on one encoder.
            encoder_sha256=hashing.variables_sha256(self._model.variables),
            splits={"test": test},
        )
        folder = recording.folder_of(config)
        require_writable(folder)
        files.sweep_asides(folder)

    def describe(self) -> str:
        """What will be done."""
        return (
            f"{self._loaded.describe()}\n"
            f"Evaluation: the linear head of {self._name}, as it is\n"
            f"Tested on {account.of(self._test)}"
        )

    def run(self) -> int:
        """Classifies, scores, and writes the record."""
        self._stop.outcome = (
            "before the record was written. The same command starts again."
        )
        source, config = self._test, self._config
        log = CorruptLog(source.examples.reason_of)
        found = features.extract(
            features.logits_of(self._model),
            batches.evaluation_dataset(
                config, source, strategy=self._strategy, corrupt=log
            ),
            strategy=self._strategy,
        )
        lines = tuple(log.lines())
        log.check(
            config.data.max_corrupt_fraction, source.num_examples, lines=lines
        )
        logits = features.labelled(found)
        recording.write(
            self._path,
            config=config,
            protocol=config.eval.protocol,
            choices={"ft_proj_selector": config.model.ft_proj_selector},
            encoder=self._name,
            encoder_frozen=True,
            encoder_sha256=(self._sha256, self._encoder_sha256()),
            splits={"test": source},
            label_subset=None,
            scores={"": logits.values},
            metric="top_1" if logits.labels.ndim == 1 else "voc_map",
            test=logits,
            num_unreadable=len(lines),
        )
        recording.say_unreadable(
            f"{self._path}_{unreadable_images.FILE}", lines, [source]
        )
        return 0

    @property
    def _name(self) -> str:
        return f"{self._weights.path}, step {self._weights.step}"

    def _encoder_sha256(self) -> str:
        """As other protocols have it, without the head."""
        model = self._model
        return hashing.variables_sha256(
            [*model.encoder.variables, *model.projection_head.variables]
        )


def _require_own_layer(config, weights: loading.Weights) -> None:
    """The head reads what it was trained on.

    Raises:
        UserError: there is none, or another layer was asked for.
    """
    if _KERNEL not in weights.values:
        raise UserError(
            f"--protocol=own_head: --checkpoint={weights.path} has no linear "
            "head. --protocol=probe or logistic fits one."
        )
    asked = config.model.ft_proj_selector
    if weights.official is None and (
        asked != weights.config.model.ft_proj_selector
    ):
        raise UserError(
            f"--ft_proj_selector={asked}: the linear head of --checkpoint="
            f"{weights.path} reads layer "
            f"{weights.config.model.ft_proj_selector}. Leave it out."
        )


def _require_classes(weights: loading.Weights, test) -> None:
    """Raises UserError where the head tells other classes apart."""
    count = weights.values[_KERNEL].shape[-1]
    if count != test.num_classes:
        raise UserError(
            f"--protocol=own_head: the linear head of --checkpoint="
            f"{weights.path} tells {count} classes apart, and "
            f"--dataset={test.name} has {test.num_classes}. Name its own data "
            "set."
        )
    loading.require_classes(weights, test.class_names)
