"""--mode=import: what google-research/simclr left, as a run of ours.

Reads    --checkpoint in one of the official formats
Writes   --model_dir: config.json, a checkpoint, and, last, import.json, which
         says what came from where and how it was checked
Ends     with 0, also where all was there before; 3 where what was written says
         something else than what was read

Every other job then takes the folder as it takes a run that was trained here.
"""

import os
from typing import Any

import numpy as np
import tensorflow as tf

import simclr_tf
from simclr_tf import files, hashing
from simclr_tf.build import network as networks
from simclr_tf.config import resolve
from simclr_tf.convert.network import errors, fixed_images
from simclr_tf.errors import Halted, UserError
from simclr_tf.jobs.requests import Accepts, Request
from simclr_tf.models.simclr import SimClr
from simclr_tf.official import layout, options
from simclr_tf.run_files import checkpoints, loading, room, weights_location
from simclr_tf.run_files.folder import RunFolder

RECORD = "import.json"
_LINEAR_KERNEL = "linear_head:kernel"
_HEAD_LEFT = "the linear head, which --restore_linear_head takes"


def make(request: Request, accepts: Accepts) -> "Import":
    """The job of a command."""
    del accepts
    return Import(request)


class Import:
    """Official weights, written as a run, read again and compared.

    Args:
        request: the command.

    Raises:
        UserError: something the user can mend.
    """

    def __init__(self, request: Request):
        config, self._stop = request.config, request.stop
        _require_official(config.job.checkpoint)
        if not config.job.model_dir:
            raise UserError(
                "--mode=import needs --model_dir, the folder of the new run. "
                "Received: none."
            )
        self._folder = RunFolder(config.model_dir)
        if weights_location.is_official(self._folder.path):
            raise UserError(
                f"--model_dir={self._folder.path} holds official weights as "
                "they are. Name a new folder."
            )
        self._with_head = config.model.restore_linear_head
        self._config = resolve.overlay(
            config,
            {
                "mode": "train",
                "train_mode": "finetune" if self._with_head else "pretrain",
            },
        )
        self._weights = loading.open_configured(config)
        request.place(config)
        with tf.device("CPU:0"):
            self._model, self._loaded = self._build(self._weights)
        named = checkpoints.named_variables(self._model.variables)
        self._values = {name: v.numpy() for name, v in named.items()}
        self._sha256 = hashing.values_sha256(self._values)
        self._checkpoints = checkpoints.Checkpoints(
            self._folder.path, named, max_to_keep=1
        )
        self._claim(request)

    def describe(self) -> str:
        """What was read, and where it goes."""
        return (
            f"{self._loaded.describe()}\n"
            f"Writing them as a run: {self._folder.path}"
        )

    def run(self) -> int:
        """Writes the checkpoint and the record, unless they are there."""
        self._stop.outcome = (
            "before all was written. The same command starts again."
        )
        folder = self._folder
        try:
            if self._is_done():
                print(f"Imported before, and whole: {folder.path}")
                return 0
            room.require(
                folder.path,
                model=self._model.variables,
                optimizer=(),
                saves=1,
                keep_checkpoints=1,
                keep_saved_models=0,
            )
            path = self._checkpoints.save(self._weights.step)
            with tf.device("CPU:0"):
                check = self._check(path)
            files.write_json(folder.file(RECORD), self._record(check))
        finally:
            folder.release()
        print(
            f"Read again, {check['images']}: largest error, as a share of the "
            f"largest value, {max(check['errors'].values()):.1e}."
        )
        print(f"Run: {folder.path}; {RECORD} says what came from where.")
        return 0

    def _build(self, weights) -> tuple[SimClr, loading.Loaded]:
        """All that the weights hold, in float32: a pretraining run's model,
        which has both heads."""
        kernel = weights.values.get(_LINEAR_KERNEL)
        has_head = self._with_head and kernel is not None
        model = networks.build_model(
            self._config,
            num_classes=kernel.shape[-1] if has_head else None,
            dtype="float32",
            train_mode="pretrain",
        )
        loaded = loading.load(weights, model, with_linear_head=has_head)
        return model, loaded

    def _claim(self, request: Request) -> None:
        """Makes the folder ours; it may be by now."""
        folder, head = self._folder, self._model.linear_head
        saved = None
        if checkpoints.checkpoint_paths(folder.path):
            saved = folder.saved()
        if saved and saved.data.get("imported") != self._sha256:
            raise UserError(
                f"--model_dir={folder.path} holds another run, or other "
                "imported weights. Choose another --model_dir."
            )
        folder.claim(
            self._config,
            origins=request.resolved.origins,
            given=request.resolved.given,
            facts={
                "imported": self._sha256,
                "num_classes": head.num_classes if head else None,
                "class_names": [],
            },
            dtype_policy="float32",
        )

    def _is_done(self) -> bool:
        """Whether the folder holds all that this command writes."""
        path = self._folder.file(RECORD)
        if not files.gfile.exists(path):
            return False
        try:
            record = files.read_json(path)
            there = loading.open_weights(self._folder.path).values
        except UserError as error:
            print(f"{error} It is written anew.", flush=True)
            return False
        return record.get("weights_sha256") == self._sha256 and (
            hashing.values_sha256(there) == self._sha256
        )

    def _check(self, path: str) -> dict[str, Any]:
        """Opens the run as any job does, and compares its outputs.

        Raises:
            Halted: one differs by a bit.
        """
        again, _ = self._build(loading.open_weights(path))
        images = fixed_images(self._config.data.image_size)
        want, got = (_outputs(model, images) for model in (self._model, again))
        found = errors(want, got)
        if any(found.values()):
            raise Halted(
                f"{path} does not say what was read from "
                f"--checkpoint={self._weights.path}: {found}. Is the disk "
                "sound? The same command writes it again."
            )
        return {
            "images": f"{len(images)} fixed ones of {images.shape[1]} px",
            "precision": "float32",
            "errors": found,
        }

    def _record(self, check: dict[str, Any]) -> dict[str, Any]:
        """For import.json. Nothing in it is of this machine."""
        official = self._weights.official
        sources = official.network.sources
        left_out = {
            sources.get(name, name): _HEAD_LEFT
            if name.startswith("linear_head:")
            else why
            for name, why in self._loaded.left_out.items()
        }
        return {
            "source": layout.public_name(official.prefix),
            "format": layout.form_of(official.prefix, official.kind),
            "global_step": official.step,
            "moving_averages": self._config.job.ema_weights,
            "recognised": options.describe(official),
            "used": {name: sources[name] for name in self._loaded.matched},
            "left_out": left_out,
            "weights_sha256": self._sha256,
            "encoder_sha256": hashing.variables_sha256(
                self._model.encoder.variables
            ),
            "check": check,
            "simclr_tf": simclr_tf.__version__,
        }


def origin_of(weights: loading.Weights, folder: str) -> str | None:
    """Where official weights came from, for anyone to read; None where they
    were trained here.

    Args:
        weights: official ones, or those of a run.
        folder: of the run.

    Raises:
        files.DamagedFile: import.json is not what was written.
    """
    if found := weights.official:
        form = layout.form_of(found.prefix, found.kind)
        return f"{form}, {layout.public_name(found.prefix)}"
    path = os.path.join(folder, RECORD)
    if not files.gfile.exists(path):
        return None
    record = files.read_json(path)
    if not {"format", "source"} <= set(record):
        raise files.damaged(path, "it lacks format and source")
    return f"{record['format']}, {record['source']}"


def _require_official(path: str) -> None:
    if weights_location.locate(path).official is None:
        raise UserError(
            f"--checkpoint={path} is of ours, and every job takes it as it is: "
            "--mode=import is for what google-research/simclr left."
        )


def _outputs(model: SimClr, images: np.ndarray) -> dict[str, np.ndarray]:
    """Of everything that the weights make."""
    made = model(images, training=False)
    named = {
        "features": made.features,
        "projections": made.projections,
        "logits": made.logits,
    }
    return {n: v.numpy() for n, v in named.items() if v is not None}
