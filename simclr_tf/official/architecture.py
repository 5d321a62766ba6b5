"""Which network a list of shapes is of.

The first kernels tell the stem, the last convolution of the stem the width, the
first shortcut the kind of block, convolutions without a BN the selective
kernels, biases the squeeze-and-excitation, and the count the depth. Then the
whole list is compared with what such a network has, number by number.
"""

import dataclasses
from collections.abc import Mapping, Sequence

Shape = tuple[int, ...]
Layer = tuple[str, dict[str, Shape]]

_BASIC = {10: (1, 1, 1, 1), 18: (2, 2, 2, 2), 34: (3, 4, 6, 3)}
_BOTTLENECK = {
    50: (3, 4, 6, 3),
    101: (3, 4, 23, 3),
    152: (3, 8, 36, 3),
    200: (3, 24, 36, 3),
}
_BASE = 64  # channels of the stem at width 1
_EXPANSION = 4  # of a bottleneck
_LEAST_GATE = 32  # channels of a selective kernel's gate
_SK_RATIO = 0.0625  # of every released checkpoint with selective kernels


class Unrecognised(Exception):
    """The shapes are of no ResNet of the official code; says why."""


@dataclasses.dataclass(frozen=True)
class Architecture:
    """An encoder.

    Attributes:
        depth, width, sk_ratio, se_ratio: as of `models.resnet.resnet`.
        small: whether it has the stem for images of up to 32 px.
    """

    depth: int
    width: float
    sk_ratio: float
    se_ratio: float
    small: bool

    @property
    def features(self) -> int:
        """D, the size of h."""
        wide = 8 * _scaled(_BASE, self.width)
        return wide if self.depth in _BASIC else wide * _EXPANSION


def of_shapes(
    convolutions: Sequence[Mapping[str, Shape]],
    norms: Sequence[Mapping[str, Shape]],
) -> Architecture:
    """Reads the architecture out of shapes in the order of creation.

    Args:
        convolutions: "kernel" and, of gates, "bias" -> shape, each.
        norms: "gamma", "beta", "moving_mean", "moving_variance" -> shape.

    Raises:
        Unrecognised: they are of none.
    """
    kernels = [c.get("kernel", ()) for c in convolutions]
    if len(kernels) < 4 or any(len(k) != 4 or 0 in k for k in kernels):
        raise Unrecognised("it has too few convolutions, or others")
    stem, small, has_sk_stem = _stem_of(kernels)
    width = kernels[stem - 1][3] / _BASE
    shortcut = kernels[stem][3]
    bottleneck = shortcut != kernels[stem - 1][3]
    num_gates = sum("bias" in c for c in convolutions)
    plain = len(convolutions) - num_gates
    has_sk = plain > len(norms)
    depth = _depth(plain - stem, bottleneck, has_sk)
    return Architecture(
        depth,
        width,
        _sk_ratio(convolutions, bottleneck, has_sk, has_sk_stem, num_gates),
        _se_ratio(kernels, bottleneck, num_gates),
        small,
    )


def layers(of: Architecture) -> tuple[list[Layer], list[Layer]]:
    """Names and shapes of what an encoder has, in the order of creation.

    Returns:
        Convolutions and BNs: our layer's name, and part -> shape.
    """
    made = _Layers(of)
    made.stem()
    channels = _scaled(_BASE, of.width)
    counts = (_BASIC | _BOTTLENECK)[of.depth]
    for group, num_blocks in enumerate(counts):
        filters = _scaled(_BASE * 2**group, of.width)
        for block in range(num_blocks):
            channels = made.block(
                f"group{group + 1}_block{block}",
                channels,
                filters,
                projects=block == 0,
            )
    return made.convolutions, made.norms


class _Layers:
    """Lists of layers, block by block, as the official code makes them."""

    def __init__(self, of: Architecture):
        self.convolutions: list[Layer] = []
        self.norms: list[Layer] = []
        self._of = of

    def stem(self) -> None:
        of = self._of
        channels = _scaled(_BASE, of.width)
        if of.small or not of.sk_ratio:
            self._conv("stem_conv", 3 if of.small else 7, 3, channels)
            self._norm("stem_norm", channels)
            return
        half = _scaled(_BASE // 2, of.width)
        sides = ((3, half), (half, half), (half, channels))
        for i, (before, after) in enumerate(sides, 1):
            self._conv(f"stem_conv{i}", 3, before, after)
            self._norm(f"stem_norm{i}", after)

    def block(self, name, channels, filters, *, projects) -> int:
        """Lists a block; returns the channels of its result."""
        of, basic = self._of, self._of.depth in _BASIC
        wide = filters if basic else filters * _EXPANSION
        if projects:
            self._conv(f"{name}_shortcut_conv", 1, channels, wide)
            self._norm(f"{name}_shortcut_norm", wide)
        self._conv(f"{name}_conv1", 3 if basic else 1, channels, filters)
        self._norm(f"{name}_norm1", filters)
        if of.sk_ratio and not basic:
            gate = max(int(filters * of.sk_ratio), _LEAST_GATE)
            self._conv(f"{name}_sk_conv", 3, filters, 2 * filters)
            self._norm(f"{name}_sk_norm", 2 * filters)
            self._conv(f"{name}_sk_gate_conv1", 1, filters, gate)
            self._norm(f"{name}_sk_gate_norm", gate)
            self._conv(f"{name}_sk_gate_conv2", 1, gate, 2 * filters)
        else:
            self._conv(f"{name}_conv2", 3, filters, filters)
            self._norm(f"{name}_norm2", filters)
        if not basic:
            self._conv(f"{name}_conv3", 1, filters, wide)
            self._norm(f"{name}_norm3", wide)
        if of.se_ratio:
            hidden = max(1, int(filters * of.se_ratio))
            self._conv(f"{name}_se_reduce", 1, wide, hidden, bias=True)
            self._conv(f"{name}_se_expand", 1, hidden, wide, bias=True)
        return wide

    def _conv(self, name, side, before, after, *, bias=False) -> None:
        shapes = {"kernel": (side, side, before, after)}
        if bias:
            shapes["bias"] = (after,)
        self.convolutions.append((name, shapes))

    def _norm(self, name, channels) -> None:
        parts = ("gamma", "beta", "moving_mean", "moving_variance")
        self.norms.append((name, dict.fromkeys(parts, (channels,))))


def _stem_of(kernels: Sequence[Shape]) -> tuple[int, bool, bool]:
    """Convolutions of the stem, whether it is for small images, and whether
    it is that of selective kernels."""
    sides = [kernel[0] for kernel in kernels[:3]]
    if kernels[0][2] != 3:
        raise Unrecognised("its first convolution doesn't read RGB images")
    if sides[0] == 7:
        return 1, False, False
    if sides[:2] == [3, 1]:
        return 1, True, False
    if sides == [3, 3, 3]:
        return 3, False, True
    raise Unrecognised("its first convolutions are of no stem")


def _depth(plain: int, bottleneck: bool, has_sk: bool) -> int:
    """By the number of convolutions after the stem, without SE's."""
    per_block = (5 if has_sk else 3) if bottleneck else 2
    for depth, counts in (_BOTTLENECK if bottleneck else _BASIC).items():
        if plain == len(counts) + per_block * sum(counts):
            return depth
    raise Unrecognised(f"no depth has {plain} convolutions in its blocks")


def _sk_ratio(
    convolutions, bottleneck: bool, has_sk: bool, has_stem: bool, gates: int
) -> float:
    """Of selective kernels; the hidden layer is never smaller than 32, so
    that below, the ratio is that of the released checkpoints."""
    if not has_sk:
        return _SK_RATIO if has_stem else 0.0
    if not bottleneck:
        raise Unrecognised("basic blocks have no selective kernels")
    # The last block: ..., sk_conv, gate_conv1, gate_conv2, conv3 (, SE).
    hidden = convolutions[-3 - (2 if gates else 0)]["kernel"]
    ratio = hidden[3] / hidden[2]
    return ratio if hidden[3] > _LEAST_GATE else _SK_RATIO


def _se_ratio(
    kernels: Sequence[Shape], bottleneck: bool, num_gates: int
) -> float:
    if not num_gates:
        return 0.0
    wide, hidden = kernels[-2][2:]
    return hidden * (_EXPANSION if bottleneck else 1) / wide


def _scaled(channels: int, width: float) -> int:
    return max(1, round(channels * width))
