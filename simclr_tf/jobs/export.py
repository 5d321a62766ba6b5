"""--mode=export: an encoder in a format of others, in a folder to publish.

Reads    --checkpoint, and the records and results of its run
Writes   a folder: weights, configuration, preprocess.py, README.md (a model
         card) and export.json, what was written and how it was checked
Ends     with 0; 3 where what was written says something else than the model

What a training run leaves at its end, a SavedModel, is written here, too.
"""

import json
import os
import pathlib
import tempfile
from typing import Any

import tensorflow as tf

import simclr_tf
from simclr_tf import hashing
from simclr_tf.build import network as networks
from simclr_tf.config import roles
from simclr_tf.convert import folder as folders
from simclr_tf.convert import formats, preprocessing, saved_model
from simclr_tf.convert.network import Architecture, Network
from simclr_tf.data import decoding
from simclr_tf.errors import Halted, UserError
from simclr_tf.jobs import importing
from simclr_tf.jobs.requests import Accepts, Request
from simclr_tf.jobs.training_run import TrainingRun
from simclr_tf.reports import model_card
from simclr_tf.run_files import loading, owner, weights_location

_LINEAR_KERNEL = "linear_head:kernel"


def export(run: TrainingRun) -> None:
    """Writes saved_model/<step>/, from a copy outside the strategy."""
    keep = run.config.output.keep_hub_module_max
    folder = run.folder.file("saved_model")
    there = run.step in saved_model.steps(folder)
    if not keep or there or not run.hosts.is_chief:
        return
    copy = run.build_model(dtype_policy="float32")
    for mine, trained in zip(copy.variables, run.model.variables, strict=True):
        mine.assign(trained.numpy())
    path = saved_model.export(
        copy,
        folder,
        step=run.step,
        image_size=run.config.data.image_size,
        num_channels=run.config.model.num_channels,
        keep=keep,
        class_names=run.classes.names,
        metadata={
            "config": roles.of_export(run.config),
            "global_step": run.step,
        },
    )
    print(f"SavedModel: {path}")


def make(request: Request, accepts: Accepts) -> "Export":
    """The job of a command."""
    del accepts
    return Export(request)


class Export:
    """An encoder, rebuilt in float32, written, read again and compared.

    Args:
        request: the command.

    Raises:
        UserError: something the user can mend.
    """

    def __init__(self, request: Request):
        self._config = config = request.config
        self._stop = request.stop
        self._name = config.export.format
        self._form = formats.FORMATS[self._name]
        if lacking := self._form.lacks():
            raise UserError(
                f"--format={self._name} is written by {' and '.join(lacking)}, "
                "which this Python has not: pip install "
                f"'simclr_tf[{self._name}]'."
            )
        self._weights = loading.open_configured(config)
        self._source = weights_location.locate(config.job.checkpoint).folder
        _require_selector(request, self._weights.config)
        request.place(config)
        with tf.device("CPU:0"):
            self._network, self._said = self._build()
        _require_holds(self._name, self._network.architecture)
        self._folder = self._choose_folder()
        self._owner = owner.take(
            self._folder, name=owner.OF_RESULTS, check=folders.require_free
        )

    def describe(self) -> str:
        """What will be written, from what, to where."""
        shape = self._network.architecture
        head = f", {shape.num_classes} classes" if shape.num_classes else ""
        return (
            f"{self._said}\n"
            f"Exporting {shape.words}, {shape.num_features} features{head}, "
            f"for {self._form.words}, to {self._folder}"
        )

    def run(self) -> int:
        """Writes the folder, whole or not at all."""
        self._stop.outcome = (
            "before all was written. The same command starts again."
        )
        # Where numbers are compared: GPUs round to 10 bits on their way.
        with (
            self._owner,
            tempfile.TemporaryDirectory() as aside,
            tf.device("CPU:0"),
        ):
            self._form.code.write(
                self._network,
                aside,
                class_names=self._class_names,
                crop=self._crop,
                metadata={
                    "config": roles.of_export(self._weights.config),
                    "global_step": self._weights.step,
                },
            )
            try:
                checked = formats.check(self._form, aside, self._network)
            except formats.Disagreement as error:
                raise Halted(
                    f"{error} Nothing was written to {self._folder}."
                ) from error
            record = self._record(checked)
            self._describe(aside, record)
            folders.publish(aside, self._folder, record)
        print(_in_words(checked))
        print(f"Export: {self._folder}; README.md says what it is.")
        return 0

    @property
    def _class_names(self) -> tuple[str, ...]:
        """Of the exported classifier; none without one."""
        has_head = self._network.architecture.num_classes
        return self._weights.class_names if has_head else ()

    @property
    def _crop(self) -> float:
        """Of an image's shorter side, what evaluation keeps."""
        small = self._network.architecture.has_small_stem
        return 1.0 if small else self._weights.config.augment.eval_crop

    def _build(self) -> tuple[Network, str]:
        """The checkpoint's model in float32, and what is said of it."""
        config, weights = self._config, self._weights
        train_mode = weights.config.job.train_mode
        kernel = weights.values.get(_LINEAR_KERNEL)
        model = networks.build_model(
            config,
            num_classes=None if kernel is None else kernel.shape[-1],
            dtype="float32",
            train_mode=train_mode,
        )
        loaded = loading.load(
            weights, model, with_linear_head=model.linear_head is not None
        )
        options = config.model
        shape = Architecture(
            depth=options.resnet_depth,
            width=options.width_multiplier,
            image_size=config.data.image_size,
            num_channels=options.num_channels,
            sk_ratio=options.sk_ratio,
            se_ratio=options.se_ratio,
            bn_momentum=options.batch_norm_decay,
        )
        # A probe beside pretraining has seen labels, and is no part of it.
        classifies = train_mode != "pretrain" and kernel is not None
        return Network(model, shape, classifies=classifies), loaded.describe()

    def _choose_folder(self) -> str:
        if self._config.job.model_dir:
            return os.path.expanduser(self._config.job.model_dir)
        folder = loading.results_folder(self._config, "exports")
        return os.path.join(folder, f"{self._name}_{self._weights.step}")

    def _record(self, checked: dict[str, Any]) -> dict[str, Any]:
        """For export.json. Nothing in it is of this machine."""
        shape = self._network.architecture
        return {
            "format": self._name,
            "origin": importing.origin_of(self._weights, self._source),
            "architecture": shape.words,
            "num_features": shape.num_features,
            "image_size": shape.image_size,
            "num_channels": shape.num_channels,
            "crop": self._crop,
            "class_names": list(self._class_names),
            "num_classes": shape.num_classes,
            "licence": self._config.export.licence,
            "global_step": self._weights.step,
            "weights_sha256": hashing.values_sha256(self._network.weights),
            "check": checked,
            "config": roles.of_export(self._weights.config),
            "simclr_tf": simclr_tf.__version__,
        }

    def _describe(self, folder: str, record: dict[str, Any]) -> None:
        """preprocess.py, class_names.json and README.md."""
        data = self._weights.config.data
        text = preprocessing.program(
            size=record["image_size"],
            crop=self._crop,
            antialias=self._config.augment.antialias,
            num_channels=record["num_channels"],
            background=decoding.background_of(data.alpha_background),
            own_range=data.intensity_range == "own",
        )
        pathlib.Path(folder, "preprocess.py").write_text(text, "utf-8")
        if self._class_names:
            pathlib.Path(folder, "class_names.json").write_text(
                json.dumps(list(self._class_names), indent=2) + "\n"
            )
        found = model_card.results_of(
            self._source,
            encoder_sha256=self._encoder_sha256(),
            step=self._weights.step,
        )
        names = sorted({*os.listdir(folder), "README.md", folders.RECORD})
        code = self._form.code
        form = model_card.Form(
            self._form.hub_library, code.FILES, code.USE, code.USE_LOGITS
        )
        card = model_card.text(record, form=form, names=names, results=found)
        pathlib.Path(folder, "README.md").write_text(card, "utf-8")

    def _encoder_sha256(self) -> set[str]:
        """As records have it: of h, and of features behind layers."""
        model = self._network.model
        head = model.projection_head.variables
        return {
            hashing.variables_sha256(model.encoder.variables),
            hashing.variables_sha256([*model.encoder.variables, *head]),
        }


def _require_selector(request: Request, of_weights) -> None:
    mine, theirs = (
        c.model.ft_proj_selector for c in (request.config, of_weights)
    )
    if mine != theirs:
        raise UserError(
            f"--ft_proj_selector={mine} is not for --mode=export, which writes "
            f"features h and the linear head as it is; --checkpoint="
            f"{request.config.job.checkpoint} has it on layer {theirs}. Leave "
            "it out."
        )


def _require_holds(name: str, shape: Architecture) -> None:
    why = formats.FORMATS[name].code.refusal(shape)
    if why is not None:
        others = " or ".join(f"--format={o}" for o in formats.that_hold(shape))
        raise UserError(
            f"--format={name} cannot hold this {shape.words}: {why}. Take "
            f"{others}."
        )


def _in_words(checked) -> str:
    """What came of the check, for the reader of the log."""
    if not checked["made"]:
        return f"Not checked: {checked['reason']}."
    versions = ", ".join(f"{k} {v}" for k, v in checked["with"].items())
    lines = [
        f"  {file}: "
        + ", ".join(f"{name} {error:.1e}" for name, error in errors.items())
        for file, errors in checked["errors"].items()
    ]
    head = (
        f"Read again by {versions}; largest error on {checked['images']}, as "
        "a share of the largest value:"
    )
    return "\n".join([head, *lines])
