"""The weights in a SavedModel, read as names and numbers.

A SavedModel is a program: whoever loads it runs what its author wrote, such
as an initializer that writes files. Its weights lie beside the program in a
checkpoint, which is data. Only that is read here, so that a SavedModel from
anywhere can be given as --checkpoint.
"""

import os
import re

import numpy as np
import tensorflow as tf
from google.protobuf.message import DecodeError
from tensorflow.core.protobuf import trackable_object_graph_pb2

from simclr_tf.errors import UserError

# `convert.saved_model` lists the variables as an attribute of its root.
_LISTED = re.compile(r"variables/\d+/\.ATTRIBUTES/VARIABLE_VALUE")
_GRAPH = "_CHECKPOINTABLE_OBJECT_GRAPH"


def read(path: str) -> dict[str, np.ndarray]:
    """Every variable of a SavedModel of ours, without loading its program.

    Args:
        path: of the SavedModel.

    Returns:
        Variable name, as in `checkpoints.named_variables` -> value.

    Raises:
        UserError: it is damaged, or none of ours.
    """
    try:
        # Not tf.train.load_checkpoint; see `checkpoints.read`.
        reader = tf.compat.v1.train.NewCheckpointReader(
            os.path.join(path, "variables", "variables")
        )
        graph = trackable_object_graph_pb2.TrackableObjectGraph.FromString(
            reader.get_tensor(_GRAPH)
        )
        named = [
            (value.full_name.replace("/", ":"), value.checkpoint_key)
            for node in graph.nodes
            for value in node.attributes
            if _LISTED.fullmatch(value.checkpoint_key)
        ]
        values = {name: reader.get_tensor(key) for name, key in named}
    except (
        tf.errors.OpError,
        DecodeError,
        ValueError,
        RuntimeError,
        IndexError,
        TypeError,
    ) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise UserError(
            f"--checkpoint={path} cannot be read: {reason} Name another one."
        ) from error
    if not values or len(values) < len(named):
        raise UserError(
            f"--checkpoint={path} is no SavedModel of ours: its variables "
            "have no names of their own. Name another one."
        )
    return values
