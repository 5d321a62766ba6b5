"""What the variables of an official checkpoint are, told by their names.

Convolutions and batch normalisations are counted in the order in which the
official code makes them, each on its own: conv2d, conv2d_1, ... The number says
which is which; nothing else does in all formats alike.
"""

import dataclasses
import re
from collections.abc import Collection, Iterator, Mapping

from simclr_tf.errors import UserError

AVERAGES = "ema_model/"
COUNTER = "global_step"
# Why a variable is left out.
MOMENTUM = "the momentum of its optimizer"
OPTIMIZER = "of its optimizer"

_ENCODER = re.compile(
    r"(?P<scope>base_model|resnet(?:_\d+)?)/(?:.*/)?"
    r"(?P<kind>conv2d|(?:sync_)?batch_normalization)(?:_(?P<number>\d{1,6}))?/"
    r"(?P<part>kernel|bias|gamma|beta|moving_mean|moving_variance)"
)
_PROJECTION = re.compile(
    r"(?:head_contrastive|projection_head)(?:_\d+)?/"
    r"(?P<mode>nl|l)_(?P<layer>\d{1,6})/(?:.*/)?"
    r"(?P<kind>dense|(?:sync_)?batch_normalization)(?:_\d+)?/"
    r"(?P<part>kernel|gamma|beta|moving_mean|moving_variance)"
)
_LINEAR = re.compile(
    r"(?:head_supervised|supervised_head)(?:_\d+)?/linear_layer/(?:.*/)?"
    r"dense(?:_\d+)?/(?P<part>kernel|bias)"
)
_LEFT_OUT = (
    (re.compile(r".*/(Momentum|Adam)(_\d+)?"), MOMENTUM),
    (re.compile(r"LARSOptimizer/.*|beta[12]_power"), OPTIMIZER),
    (re.compile(r"global_step|save_counter"), "a counter"),
)
_SHOWN, _LETTERS = 3, 100  # names, in a message, and their letters


@dataclasses.dataclass(frozen=True)
class Sorted:
    """The variables of a network, in the order in which it was made.

    Attributes:
        convolutions, norms: of the encoder: part -> name, each.
        projection: of the projection head, layer by layer: "dense.kernel",
            "norm.gamma", ... -> name.
        mode: of the projection head: "none", "linear" or "nonlinear".
        linear: of the linear head: part -> name; empty without one.
        left_out: name -> why.
    """

    convolutions: tuple[Mapping[str, str], ...]
    norms: tuple[Mapping[str, str], ...]
    projection: tuple[Mapping[str, str], ...]
    mode: str
    linear: Mapping[str, str]
    left_out: Mapping[str, str]


def sort_out(names: Collection[str], *, averages: bool, what: str) -> Sorted:
    """Tells what every variable is.

    Args:
        names: all of a checkpoint.
        averages: whether to take the moving averages of the weights, which
            the released SimCLRv2 checkpoints hold beside them.
        what: the checkpoint, for messages.

    Raises:
        UserError: there is one that the official code doesn't make, there are
            no averages, or none of an encoder.
    """
    taken, left_out = _split(names, averages=averages, what=what)
    convolutions, norms, projection, linear = {}, {}, {}, {}
    modes, scopes, unknown, twice = set(), set(), [], []
    for short, name in sorted(taken.items()):
        if match := _ENCODER.fullmatch(short):
            found = convolutions if match["kind"] == "conv2d" else norms
            number = int(match["number"] or 0)
            layer, part = found.setdefault(number, {}), match["part"]
            scopes.add(match["scope"])
        elif match := _PROJECTION.fullmatch(short):
            kind = "dense" if match["kind"] == "dense" else "norm"
            layer = projection.setdefault(int(match["layer"]), {})
            part = f"{kind}.{match['part']}"
            modes.add({"nl": "nonlinear", "l": "linear"}[match["mode"]])
        elif match := _LINEAR.fullmatch(short):
            layer, part = linear, match["part"]
        else:
            unknown.append(name)
            continue
        if part in layer:
            twice.append(f"{layer[part]} and {name}")
        layer[part] = name
    if unknown or not scopes:
        raise foreign(what, unknown)
    if twice or len(scopes) > 1 or len(modes) > 1:
        raise _of_several(what, twice or sorted(scopes | modes))
    return Sorted(
        tuple(_in_order(convolutions)),
        tuple(_in_order(norms)),
        tuple(_in_order(projection)),
        modes.pop() if modes else "none",
        linear,
        left_out,
    )


def foreign(what: str, names: Collection[str]) -> UserError:
    """The error about a checkpoint of another program."""
    reason = "it has no encoder of google-research/simclr"
    if names:
        more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
        shown = ", ".join(n[:_LETTERS] for n in sorted(names)[:_SHOWN])
        reason = f"google-research/simclr has no variable {shown}{more}"
    return UserError(
        f"--checkpoint={what} is neither of a run of ours (there is no "
        f"config.json or simclr_tf.json beside it) nor official: {reason}. "
        "Name another one."
    )


def _of_several(what: str, told: Collection[str]) -> UserError:
    return UserError(
        f"--checkpoint={what} has the names of google-research/simclr, and "
        f"those of several networks: {', '.join([*told][:_SHOWN])}. Name "
        "another one."
    )


def _split(
    names: Collection[str], *, averages: bool, what: str
) -> tuple[dict[str, str], dict[str, str]]:
    """What is taken, by its name without the averages' prefix; and the rest,
    with the reason."""
    taken, left_out = {}, {}
    for name in names:
        reason = next((r for p, r in _LEFT_OUT if p.fullmatch(name)), None)
        is_average = name.startswith(AVERAGES)
        if reason is None and is_average is not averages:
            reason = (
                "moving averages of its weights, which --ema_weights takes"
                if is_average
                else "weights whose moving averages are taken"
            )
        if reason is None:
            taken[name.removeprefix(AVERAGES)] = name
        else:
            left_out[name] = reason
    if averages and not taken:
        raise UserError(
            f"--ema_weights: --checkpoint={what} holds no moving averages of "
            "its weights. Leave it out."
        )
    return taken, left_out


def _in_order(found: Mapping[int, Mapping[str, str]]) -> Iterator:
    """By number: as text, conv2d_10 would come before conv2d_2."""
    return (found[number] for number in sorted(found))
