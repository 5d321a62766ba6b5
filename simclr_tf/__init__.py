"""SimCLR (Chen et al. 2020, arXiv:2002.05709) in TensorFlow, TPU first.

The library behind ``run.py``. It knows nothing of command-line flags, so
everything here can be used from a notebook:

    config         every option: frozen, checked dataclasses (`options`)
    resolve        what is left unset, from recipes and defaults (`recipes`)
    distributed    everything that crosses replicas
    losses         NT-Xent over the embeddings of all replicas
    schedules      learning-rate scaling, warm-up and cosine decay
    metrics        top-k, means over a masked split
    files          written whole or not at all, on any file system
    counter_hash   random numbers as a function of integers
    data           sources (TFDS, folders, embedded digits), order, batches
    augment        the paper's operators: what is drawn, what is applied
    models         ResNet, batch normalisation, heads, SimCLR
    optim          LARS, and which variables adapt and decay
    train          pretraining, checkpoints, the experiment
    evaluation     what the encoder is for: protocols, metrics, records
    export         SavedModels
"""

import os

# Keras 3 supports neither TPUStrategy nor MultiWorkerMirroredStrategy, and
# tf-models-official is built on tf_keras: `tf.keras` must mean tf_keras in
# every dependency, which TensorFlow decides when it is first imported.
os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")

__version__ = "0.1.0"
