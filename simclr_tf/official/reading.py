"""The variables of an official checkpoint, under our names.

The files hold names and numbers. A SavedModel's program, which lies beside
them, is not looked at.
"""

import dataclasses
from collections.abc import Mapping

import numpy as np
import tensorflow as tf
from google.protobuf.message import DecodeError
from tensorflow.core.protobuf import trackable_object_graph_pb2

from simclr_tf.errors import UserError
from simclr_tf.official import architecture, layout, names, values
from simclr_tf.official.architecture import Architecture, Unrecognised

_GRAPH = "_CHECKPOINTABLE_OBJECT_GRAPH"
_SUFFIX = "/.ATTRIBUTES/VARIABLE_VALUE"
_OURS = "state/"  # how the keys of our own checkpoints begin
_UNREADABLE = (
    tf.errors.OpError,
    DecodeError,
    ValueError,
    RuntimeError,
    IndexError,
    TypeError,
)


@dataclasses.dataclass(frozen=True)
class Network:
    """What the variables of a checkpoint are of.

    Attributes:
        encoder: what it is.
        proj_head_mode, num_proj_layers, proj_out_dim: of its projection head,
            as of `models.heads.ProjectionHead`.
        selectors: which outputs of the projection head (0 is h) its linear
            head may read, by their size; empty without a linear head.
        shapes: our name -> shape.
        sources: our name -> theirs.
        left_out: their name -> why.
    """

    encoder: Architecture
    proj_head_mode: str
    num_proj_layers: int
    proj_out_dim: int
    selectors: tuple[int, ...]
    shapes: Mapping[str, tuple[int, ...]]
    sources: Mapping[str, str]
    left_out: Mapping[str, str]


@dataclasses.dataclass(frozen=True)
class Contents:
    """What a checkpoint holds; its numbers are still in the file.

    Attributes:
        prefix: of the variables' files.
        kind: "TF1" or "TF2".
        step: its global step; 0 where it doesn't say.
        network: what its variables are of.
        left_out: their name -> why.
        keys: their name -> key in the file.
    """

    prefix: str
    kind: str
    step: int
    network: Network
    left_out: Mapping[str, str]
    keys: Mapping[str, str]

    def read(self) -> dict[str, np.ndarray]:
        """Our name -> value.

        Raises:
            UserError: the files are truncated or corrupt, or hold what is no
                weight.
        """
        try:
            reader = _reader(self.prefix)
            return {
                ours: values.weight(
                    theirs, reader.get_tensor(self.keys[theirs])
                )
                for ours, theirs in self.network.sources.items()
            }
        except _UNREADABLE as error:
            raise _cannot_be_read(self.prefix, error) from error


def is_ours(prefix: str) -> bool | None:
    """Whether a checkpoint has the keys of ours; None where it cannot be
    read, which whoever reads it says."""
    try:
        keys = _reader(prefix).get_variable_to_shape_map()
    except _UNREADABLE:
        return None
    return any(key.startswith(_OURS) for key in keys)


def contents(prefix: str, *, averages: bool = False) -> Contents:
    """What an official checkpoint holds.

    Args:
        prefix: of the variables' files; see `layout`.
        averages: whether to take the moving averages of the weights.

    Raises:
        UserError: it cannot be read, or is none.
    """
    try:
        reader = _reader(prefix)
        shapes = {
            key: tuple(shape)
            for key, shape in reader.get_variable_to_shape_map().items()
        }
        values.require_data(prefix, reader, shapes)
        keys, left_out, step = _named(reader, shapes)
    except _UNREADABLE as error:
        raise _cannot_be_read(prefix, error) from error
    network = identify(
        {name: shapes[key] for name, key in keys.items()},
        averages=averages,
        what=prefix,
    )
    return Contents(
        prefix=prefix,
        kind="TF2" if _GRAPH in shapes else "TF1",
        step=layout.step_in(prefix) if step is None else step,
        network=network,
        left_out={**left_out, **network.left_out},
        keys=keys,
    )


def identify(
    shapes: Mapping[str, tuple[int, ...]],
    *,
    averages: bool = False,
    what: str = "",
) -> Network:
    """Which network variables are of.

    Args:
        shapes: of all variables, by the official code's names.
        averages: as of `contents`.
        what: the checkpoint, for messages.

    Raises:
        UserError: they are of none.
    """
    found = names.sort_out(shapes, averages=averages, what=what)
    try:
        encoder, sources = _encoder(found, shapes)
        head = _projection(found, shapes, encoder.features)
        linear, selectors = _linear(found, shapes, encoder.features)
    except Unrecognised as error:
        raise UserError(
            f"--checkpoint={what} has the names of google-research/simclr, "
            f"and another network: {error}. Name another one."
        ) from error
    sources |= head | linear
    widths = [shapes[d["dense.kernel"]][1] for d in found.projection]
    return Network(
        encoder=encoder,
        proj_head_mode=found.mode,
        num_proj_layers=len(widths),
        proj_out_dim=widths[-1] if widths else 0,
        selectors=selectors,
        shapes={ours: shapes[theirs] for ours, theirs in sources.items()},
        sources=sources,
        left_out=found.left_out,
    )


def _reader(prefix: str):
    # Not tf.train.load_checkpoint; see `run_files.checkpoints.read`.
    return tf.compat.v1.train.NewCheckpointReader(prefix)


def _named(
    reader, shapes: Mapping[str, tuple[int, ...]]
) -> tuple[dict[str, str], dict[str, str], int | None]:
    """Name -> key of the variables of a network; name -> why of an optimizer's
    own; and the step, or None."""
    if _GRAPH not in shapes:
        step = None
        if shapes.get(names.COUNTER) == ():
            step = int(reader.get_tensor(names.COUNTER))
        return {key: key for key in shapes}, {}, step
    keys, left_out, step = {}, {}, None
    graph = trackable_object_graph_pb2.TrackableObjectGraph.FromString(
        reader.get_tensor(_GRAPH)
    )
    for node in graph.nodes:
        for value in node.attributes:
            key = value.checkpoint_key
            name = value.full_name or key.removesuffix(_SUFFIX)
            if key == names.COUNTER + _SUFFIX:
                step = int(reader.get_tensor(key))
                left_out[name] = "a counter"
            elif "/.OPTIMIZER_SLOT/" in key:
                left_out[name] = names.MOMENTUM
            elif key.startswith("optimizer/"):
                left_out[name] = names.OPTIMIZER
            elif keys.get(name, key) != key:
                keys[f"{name} ({key})"] = key  # which is nobody's name
            else:
                keys[name] = key
    return keys, left_out, step


def _encoder(found, of) -> tuple[Architecture, dict[str, str]]:
    """What the encoder is, and our name -> theirs of its variables."""
    theirs = (found.convolutions, found.norms)
    seen = [[_shapes(one, of) for one in each] for each in theirs]
    encoder = architecture.of_shapes(*seen)
    sources = {}
    for layers, variables, shapes in zip(
        architecture.layers(encoder), theirs, seen, strict=True
    ):
        if len(layers) != len(variables):
            raise Unrecognised(
                f"it has {len(variables)} layers where a ResNet-"
                f"{encoder.depth} has {len(layers)}"
            )
        for (layer, expected), names_of, shape in zip(
            layers, variables, shapes, strict=True
        ):
            if shape != expected:
                raise Unrecognised(
                    f"{', '.join(names_of.values())}: {shape}, where {layer} "
                    f"of a ResNet-{encoder.depth} has {expected}"
                )
            sources |= {f"{layer}:{p}": n for p, n in names_of.items()}
    return encoder, sources


def _projection(found, of, features: int) -> dict[str, str]:
    sources, before = {}, features
    for j, layer in enumerate(found.projection, 1):
        last = j == len(found.projection)
        shapes = _shapes(layer, of)
        after = (shapes.get("dense.kernel") or (0,))[-1]
        if shapes != _projection_shapes(before, after, last=last) or (
            not last and after != features
        ):
            raise Unrecognised(f"layer {j} of its projection head is another")
        for part, name in layer.items():
            kind, _, variable = part.partition(".")
            sources[f"projection_head:{kind}{j}:{variable}"] = name
        before = after
    return sources


def _projection_shapes(before: int, after: int, *, last: bool):
    """Of a layer: a dense one, and its BN, of which the last has no beta."""
    parts = ["gamma", "moving_mean", "moving_variance"]
    if not last:
        parts.append("beta")
    shapes = {f"norm.{part}": (after,) for part in parts}
    return {"dense.kernel": (before, after), **shapes}


def _linear(found, of, features: int) -> tuple[dict[str, str], tuple[int, ...]]:
    """Our name -> theirs of the linear head, and what it may read."""
    if not found.linear:
        return {}, ()
    shapes = _shapes(found.linear, of)
    kernel = shapes.get("kernel", ())
    if len(kernel) != 2 or shapes.get("bias") != kernel[1:]:
        raise Unrecognised("its linear head is another")
    widths = [features] + [
        of[layer["dense.kernel"]][1] for layer in found.projection
    ]
    selectors = tuple(i for i, w in enumerate(widths) if w == kernel[0])
    if not selectors:
        raise Unrecognised(
            f"its linear head reads {kernel[0]} numbers, and its other layers "
            f"give {', '.join(map(str, widths))}"
        )
    sources = {f"linear_head:{part}": n for part, n in found.linear.items()}
    return sources, selectors


def _shapes(parts: Mapping[str, str], of) -> dict[str, tuple[int, ...]]:
    return {part: of[name] for part, name in parts.items()}


def _cannot_be_read(prefix: str, error: Exception) -> UserError:
    reason = (str(error).splitlines() or [type(error).__name__])[0]
    return UserError(
        f"--checkpoint={prefix} cannot be read: {reason} Name another one."
    )
