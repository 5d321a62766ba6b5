"""Do R replicas compute what one device computes? By the names of quantities.

Pure functions of what two runs of the same steps left in variables.
"""

import dataclasses
import math
from collections.abc import Mapping, Sequence

import numpy as np

# Of a float32 run, over a few steps: what reduction order leaves. Of losses,
# relative; of what moves, relative to how far it moved.
_LOSS_TOLERANCE = 1e-5
_MOVED_TOLERANCE = 1e-3
# So many times what one device differs from itself in another order of sums.
_ROUNDINGS = 8.0
# Whatever the rounding: half a gradient is off by 0.5.
_MOST = 0.25
# In a dtype of few digits, where one of the other roundings is float32's: both
# runs are about as far from that. A few steps may part them altogether, but
# not make them go backwards.
_COARSE_ROUNDINGS = 4.0
_COARSE_MOST = 1.0
# Scalars that count images, and jump where one changes sides.
_SHARES = ("_acc", "_active")


@dataclasses.dataclass(frozen=True)
class Trace:
    """What some steps left behind.

    Attributes:
        scalars: name -> its value at every step.
        after: name of a variable -> its value after the last step.
        differing: variables that are not the same on all replicas.
    """

    scalars: Mapping[str, Sequence[float]]
    after: Mapping[str, np.ndarray]
    differing: Sequence[str] = ()


@dataclasses.dataclass(frozen=True)
class Quantity:
    """One thing that was compared.

    Attributes:
        name: in words.
        error: relative; NaN where a value is.
        allowed: the most that agrees.
        note: where it is off, how.
    """

    name: str
    error: float
    allowed: float
    note: str = ""

    @property
    def agrees(self) -> bool:
        return self.error <= self.allowed  # a NaN does not

    def describe(self) -> str:
        note = f" ({self.note})" if self.note else ""
        return (
            f"{self.name} by {self.error:.1e}{note}, allowed {self.allowed:.1e}"
        )


def orders(num_images: int, groups: int = 1) -> list[np.ndarray]:
    """Other orders of a batch: of what it gives, only roundings change.

    Where rounding decides, one order says little of what another one does.
    If replicas are right, they are but one rounding more, and as likely as
    each of the others to be the one that is farthest off.

    Args:
        num_images: of the batch.
        groups: so many runs of neighbours, each of which is normalised by
            itself, stay together.

    Returns:
        Places of images, int[num_images] each.
    """
    rng = np.random.default_rng(0)
    places = np.arange(num_images).reshape(groups, -1)
    drawn = [rng.permutation(rng.permuted(places, axis=1)) for _ in range(3)]
    return [each.reshape(-1) for each in (places[::-1, ::-1], *drawn)]


def counts_images(name: str) -> bool:
    """Whether a scalar is a share of images, and not a loss."""
    return name.endswith(_SHARES)


def compare(
    groups: Mapping[str, Sequence[str]],
    start: Mapping[str, np.ndarray],
    found: Trace,
    expected: Trace,
    rounded: Sequence[Trace],
    *,
    num_images: int,
    coarse: bool = False,
) -> list[Quantity]:
    """Every quantity that two runs of the same steps have in common.

    Args:
        groups: words -> names of variables that are compared together.
        start: name -> value before the first step.
        found: of the replicas.
        expected: of one device.
        rounded: of one device under other roundings: what this job makes of
            a last bit.
        num_images: of a step, which says how much an accuracy weighs one.
        coarse: whether the runs' dtype has few digits.

    Raises:
        ValueError: the runs report different scalars.

    Returns:
        Scalars first, then what moved, then the replicas among themselves.
    """
    if set(found.scalars) != set(expected.scalars):
        raise ValueError(
            f"The replicas report {', '.join(sorted(found.scalars))}; one "
            f"device reports {', '.join(sorted(expected.scalars))}."
        )
    limits = (_ROUNDINGS, _MOST)
    if coarse:
        limits = (_COARSE_ROUNDINGS, _COARSE_MOST)
    quantities = [
        _scalar(name, found, expected, rounded, num_images, limits)
        for name in expected.scalars
    ]
    quantities += [
        _moved(words, names, start, found, expected, rounded, limits)
        for words, names in groups.items()
        if names
    ]
    differing = found.differing
    share = len(differing) / max(1, len(found.after))
    note = f"{len(differing)} variables differ" if differing else ""
    return [
        *quantities,
        Quantity("the replicas among themselves", share, 0.0, note),
    ]


def _scalar(name, found, expected, rounded, num_images, limits):
    """A loss or an accuracy, at its worst step."""
    values, right, *others = (
        np.asarray(trace.scalars[name], np.float64)
        for trace in (found, expected, *rounded)
    )
    roundings, most = limits
    if counts_images(name):
        # Two images may fall on the other side.
        scale, tolerance, most = 1.0, 2.0 / num_images, 1.0
    else:
        scale = float(np.max(np.abs(right))) or 1.0
        tolerance = _LOSS_TOLERANCE
    errors = np.abs(values - right) / scale
    own = max(float(np.max(np.abs(each - right))) for each in others) / scale
    allowed = min(max(tolerance, roundings * own), most)
    off = np.flatnonzero(~(errors <= allowed))
    note = ""
    if off.size:
        first = int(off[0])
        note = (
            f"at step {first + 1}: {values[first]:.6g} for {right[first]:.6g}"
        )
    worst = float(np.max(errors)) if np.all(np.isfinite(errors)) else math.nan
    return Quantity(name, worst, allowed, note)


def _moved(words, names, start, found, expected, rounded, limits):
    """Variables together: how far apart, by how far they moved."""
    far = _norm(_difference(names, expected.after, start))
    apart = _difference(names, found.after, expected.after)
    error = _relative(_norm(apart), far)
    own = max(
        _relative(_norm(_difference(names, each.after, expected.after)), far)
        for each in rounded
    )
    roundings, most = limits
    allowed = min(max(_MOVED_TOLERANCE, roundings * own), most)
    quantity = Quantity(words, error, allowed)
    if quantity.agrees or not far:
        return quantity
    wanted = _difference(names, expected.after, start)
    went = _difference(names, found.after, start)
    along = sum(float(np.vdot(a, b)) for a, b in zip(went, wanted, strict=True))
    return dataclasses.replace(
        quantity, note=f"moved {along / far**2:.3g} times as far"
    )


def _difference(names, values, others):
    return [
        np.asarray(values[n], np.float64) - np.asarray(others[n], np.float64)
        for n in names
    ]


def _norm(parts) -> float:
    return math.sqrt(sum(float(np.vdot(part, part)) for part in parts))


def _relative(size, far) -> float:
    """To how far it moved; what should not move may not differ."""
    if far:
        return size / far
    return size and math.inf
