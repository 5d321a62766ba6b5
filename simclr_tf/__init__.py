"""SimCLR (Chen et al. 2020, arXiv:2002.05709) in TensorFlow, TPU first.

The library behind ``run.py``. It knows nothing of command-line flags. For
notebooks:

    import simclr_tf

    encoder = simclr_tf.load("runs/first")    a run, a checkpoint, a SavedModel
    source = simclr_tf.data.from_arrays(images, labels)
    simclr_tf.views(source, image_size=32)    what training sees of them
    simclr_tf.features.of(encoder, images)    float32[n, D]
    simclr_tf.knn_accuracy(...)               how good the features are

The folders, each reachable as an attribute of this package:

    data         sources (TFDS, folders, arrays, digits), order, batches
    augment      the paper's operators: what is drawn, what is applied
    models       ResNet, batch normalisation, heads, SimCLR
    losses       NT-Xent over the embeddings of all replicas
    optim        LARS, and which variables adapt and decay
    evaluation   features, nearest neighbours, regressions, metrics, records
    train        how weights move: steps, the loop, hosts
    config       every option: declared, checked, resolved
    build        from a configuration to the parts of a job
    run_files    what lies in a model_dir
    jobs         what run.py does, a file a job
    reports      pictures and tables
    convert      SavedModels

and the files distributed (everything that crosses replicas), schedules, files,
hashing and errors. Nothing of it is imported, nor is TensorFlow, before it is
used.
"""

import importlib
import os
import sys
import types

__version__ = "0.1.0"

# Attribute -> where it is: a module, or a function of one.
_SHORTCUTS = {
    "load": ("simclr_tf.notebook", "load"),
    "views": ("simclr_tf.notebook", "views"),
    "features": ("simclr_tf.evaluation.features", None),
    "knn_accuracy": ("simclr_tf.evaluation.knn", "knn_accuracy"),
}
_PARTS = (
    "augment",
    "build",
    "config",
    "convert",
    "data",
    "distributed",
    "errors",
    "evaluation",
    "files",
    "hashing",
    "jobs",
    "losses",
    "models",
    "notebook",
    "optim",
    "reports",
    "run_files",
    "schedules",
    "train",
)


def __getattr__(name: str):
    """Imports what is asked for, when it is asked for."""
    if name in _SHORTCUTS:
        module, attribute = _SHORTCUTS[name]
        found = importlib.import_module(module)
        return getattr(found, attribute) if attribute else found
    if name in _PARTS:
        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__():
    return sorted({*globals(), *_SHORTCUTS, *_PARTS})


def _choose_tf_keras() -> None:
    """Makes `tf.keras` mean tf_keras, in this process.

    Keras 3 supports neither TPUStrategy nor MultiWorkerMirroredStrategy, and
    tf-models-official is built on tf_keras. TensorFlow decides which of the
    two `tf.keras` is when it is first used, not when TensorFlow is imported.
    With Keras 3 there, our models would be strangers to `tf.keras`: "Only
    instances of `keras.Layer` can be added to a Sequential model".

    Raises:
        ImportError: `tf.keras` is Keras 3 already, or is made to be.
    """
    chosen = os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")
    tensorflow = sys.modules.get("tensorflow")
    used = vars(tensorflow).get("keras") if tensorflow else None
    if chosen not in ("1", "true", "True"):
        raise ImportError(
            f"simclr_tf needs tf_keras, and TF_USE_LEGACY_KERAS={chosen} makes "
            "`tf.keras` Keras 3. Set TF_USE_LEGACY_KERAS=1, or do not set it."
        )
    # Until its first use it is a lazy loader, a subclass of a module.
    in_use = type(used) is types.ModuleType
    if in_use and used.Model.__module__.startswith("keras."):
        raise ImportError(
            "simclr_tf needs tf_keras, and `tf.keras` was used before, as "
            "Keras 3. Restart, and import simclr_tf before `tf.keras` is used, "
            "or set TF_USE_LEGACY_KERAS=1."
        )


_choose_tf_keras()
