"""SavedModels: features, projections and logits, to call and to train on.

A model is exported from a float32 copy on one device, so that the graph holds
nothing of the run's strategy and precision, and every consumer can read it. The
form is that of a "Reusable SavedModel": the loaded object can be called with
and without training, and lists its variables.

Beside the SavedModel lies simclr_tf.json, which says what the weights are:

    config, global_step  of the run
    images               what the model takes
    class_names          class_names[k] is the class of logits[:, k]; null
                         where there are no logits or the names are not known

An export is there once its saved_model.pb is: written and synced aside, it gets
its name when it is whole; one that goes loses saved_model.pb first.
"""

import json
import os
from collections.abc import Mapping, Sequence
from typing import Any

import tensorflow as tf

from simclr_tf import files
from simclr_tf.models.simclr import SimClr

gfile = tf.io.gfile

_PROGRAM = "saved_model.pb"


def reusable(model: SimClr, *, image_size: int, num_channels: int = 3):
    """What `tf.saved_model.load` gives back, and its serving signature.

        loaded = tf.saved_model.load(path)
        out = loaded(images)                   # inference
        out = loaded(images, training=True)    # BN on batch statistics
        out["features"], out["projections"], out["logits"]
        loaded.trainable_variables

    Args:
        model: built outside any strategy, in float32.
        image_size: S of the images it takes, float32[N, S, S, C] in [0, 1].
        num_channels: C of these.

    Raises:
        ValueError: a layer of the model does not compute in float32.
    """
    _require_float32(model)

    @tf.function
    def call(images, training=False):
        out = model(images, training=training)
        named = {"features": out.features, "projections": out.projections}
        if out.logits is not None:
            named["logits"] = out.logits
        return named

    images = tf.TensorSpec(
        [None, image_size, image_size, num_channels],
        tf.float32,
        name="images",
    )
    inference = call.get_concrete_function(images)
    call.get_concrete_function(images, training=True)
    # Plain attributes, not a Keras model: that would be revived as one.
    saved = tf.train.Checkpoint()
    saved.__call__ = call
    saved.variables = model.variables
    saved.trainable_variables = model.trainable_variables
    saved.regularization_losses = []
    return saved, inference


def export(
    model: SimClr,
    folder: str,
    *,
    step: int,
    image_size: int,
    keep: int,
    metadata: Mapping[str, Any],
    class_names: Sequence[str] = (),
    num_channels: int = 3,
) -> str:
    """Writes folder/<step>, whole or not at all, and prunes older ones.

    Args:
        model: built outside any strategy, in float32, whatever the run
            computed in.
        folder: model_dir/saved_model.
        step: global step, the export's name.
        image_size: side of the images that the model takes.
        keep: how many exports stay, at least 1.
        metadata: what else a user of the weights needs to know, for
            simclr_tf.json.
        class_names: of the linear head's classes, in their order; empty
            where they are not known.
        num_channels: of the images that the model takes; 3 is RGB.

    Returns:
        The path written.

    Raises:
        ValueError: a layer of the model does not compute in float32, or
            there are not as many class names as the linear head has classes.
    """
    described = {
        **metadata,
        "images": f"float32[N, {image_size}, {image_size}, {num_channels}],"
        f"{' RGB,' if num_channels == 3 else ''} in [0, 1]; no normalisation",
        "class_names": _names_of_logits(model, class_names),
    }
    path = os.path.join(folder, str(step))
    # Not a longer form of the path: ram:// takes one for the other.
    aside = os.path.join(folder, f".{step}.tmp")
    files.make_folders(folder)
    if gfile.exists(aside):
        gfile.rmtree(aside)  # its tensors would stay inside the new one
    saved, inference = reusable(
        model, image_size=image_size, num_channels=num_channels
    )
    tf.saved_model.save(saved, aside, signatures=inference)
    with gfile.GFile(os.path.join(aside, "simclr_tf.json"), "w") as file:
        file.write(json.dumps(described, indent=2) + "\n")
    files.sync_tree(aside)
    replaced = os.path.join(folder, f".{step}.old.tmp")
    if gfile.exists(path):
        _move(path, replaced)
    _move(aside, path)
    files.sync_folder(folder)
    if gfile.exists(replaced):
        gfile.rmtree(replaced)
    for old in steps(folder)[:-keep]:
        _remove(os.path.join(folder, str(old)))
    return path


def steps(folder: str) -> list[int]:
    """Of the exports in model_dir/saved_model, in their order."""
    if not gfile.isdir(folder):
        return []
    names = [name.rstrip("/") for name in gfile.listdir(folder)]
    return sorted(
        int(name)
        for name in names
        if name.isdigit() and gfile.exists(os.path.join(folder, name, _PROGRAM))
    )


def _require_float32(model: SimClr) -> None:
    for layer in model.submodules:
        dtype = getattr(layer, "compute_dtype", "float32")
        if dtype != "float32":
            raise ValueError(
                "model must compute in float32 to be exported; received one "
                f"whose layer {layer.name} computes in {dtype}."
            )


def _names_of_logits(
    model: SimClr, class_names: Sequence[str]
) -> list[str] | None:
    if model.linear_head is None or not class_names:
        return None
    if len(class_names) != model.linear_head.num_classes:
        raise ValueError(
            f"class_names must be {model.linear_head.num_classes}, one for "
            f"each class of the linear head; received {len(class_names)}."
        )
    return list(class_names)


def _move(source: str, target: str) -> None:
    """Renames a folder; where it is none, but objects with a common prefix,
    each of them, the program last."""
    if "://" not in target:
        gfile.rename(source, target)
        return
    inside = [
        os.path.join(folder, name)
        for folder, _, names in list(gfile.walk(source))
        for name in names
    ]
    for path in sorted(inside, key=lambda p: p.endswith(f"/{_PROGRAM}")):
        there = path.replace(source, target, 1)
        gfile.makedirs(os.path.dirname(there))
        gfile.rename(path, there, overwrite=True)
    gfile.rmtree(source)


def _remove(path: str) -> None:
    gfile.remove(os.path.join(path, _PROGRAM))
    gfile.rmtree(path)
