"""SavedModels: features, projections and logits, to call and to train on.

A model is exported from a one-device copy, so that nothing of the strategy is
left in the graph, as a "Reusable SavedModel" of TensorFlow Hub: callable with
and without training, with its variables named, so that
`hub.KerasLayer(path, trainable=True)` fine-tunes it, too.
"""

import json
import os
from collections.abc import Mapping
from typing import Any

import tensorflow as tf

from simclr_tf.models.simclr import SimClr

gfile = tf.io.gfile


def reusable(model: SimClr, *, image_size: int):
    """What `tf.saved_model.load` gives back, and its serving signature.

        loaded = tf.saved_model.load(path)
        out = loaded(images)                   # inference
        out = loaded(images, training=True)    # BN on batch statistics
        out["features"], out["projections"], out["logits"]
        loaded.trainable_variables

    Args:
        model: built outside any strategy.
        image_size: S of the images it takes, float32[N, S, S, 3] in [0, 1].
    """

    @tf.function
    def call(images, training=False):
        out = model(images, training=training)
        named = {"features": out.features, "projections": out.projections}
        if out.logits is not None:
            named["logits"] = out.logits
        return named

    images = tf.TensorSpec(
        [None, image_size, image_size, 3], tf.float32, name="images"
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
) -> str:
    """Writes folder/<step>, whole or not at all, and prunes older ones.

    Args:
        model: built outside any strategy.
        folder: model_dir/saved_model.
        step: global step, the export's name.
        image_size: side of the images that the model takes.
        keep: how many exports stay, at least 1.
        metadata: what a user of the weights needs to know; written beside
            them as simclr_tf.json.

    Returns:
        The path written.
    """
    path = os.path.join(folder, str(step))
    # Not a longer form of the path: ram:// takes one for the other.
    aside = os.path.join(folder, f".{step}.tmp")
    saved, inference = reusable(model, image_size=image_size)
    tf.saved_model.save(saved, aside, signatures=inference)
    with gfile.GFile(os.path.join(aside, "simclr_tf.json"), "w") as file:
        file.write(json.dumps(metadata, indent=2) + "\n")
    if gfile.exists(path):
        gfile.rmtree(path)
    _move(aside, path)
    done = sorted(
        int(name.rstrip("/"))
        for name in gfile.listdir(folder)
        if name.rstrip("/").isdigit()
    )
    for old in done[:-keep]:
        gfile.rmtree(os.path.join(folder, str(old)))
    return path


def _move(source: str, target: str) -> None:
    """Renames a folder; ram:// would rename it without what is in it."""
    if not target.startswith("ram://"):
        gfile.rename(source, target)
        return
    for folder, _, names in list(gfile.walk(source)):
        there = folder.replace(source, target, 1)
        gfile.makedirs(there)
        for name in names:
            gfile.rename(os.path.join(folder, name), os.path.join(there, name))
    gfile.rmtree(source)
