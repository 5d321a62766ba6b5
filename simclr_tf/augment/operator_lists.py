"""Ordered lists of operators: what they draw for a view, and do to it.

An operator draws, for each view, a coin and what it needs beside, and is
applied to a batch of views where their coins say so. All of it is in the row
of "parameters" of a view, so that a list is a pure function of images and
parameters, as the paper's pipeline in `policy` is.

An operator that only one of the two views has is computed for both, with a
coin of 0 for the other: the batches and programs of all views are the same.
"""

import dataclasses
import enum
from collections.abc import Sequence

import tensorflow as tf

from simclr_tf import counter_hash
from simclr_tf.augment import draw
from simclr_tf.augment.operators import OPERATORS


class Purpose(enum.IntEnum):
    """See `draw.Purpose`."""

    REPEATED = 70


@dataclasses.dataclass(frozen=True)
class Step:
    """An operator at its place in a list.

    Attributes:
        name: of OPERATORS.
        probability: of its coin.
        views: the numbers of the views that have it.
        repeated: how many steps of that name come before it in its list.
    """

    name: str
    probability: float
    views: tuple[int, ...]
    repeated: int

    @property
    def width(self) -> int:
        """Columns of its part of a row: the coin, and what is drawn."""
        return 1 + OPERATORS[self.name].width

    def draw(self, seed, view: int, how) -> tf.Tensor:
        """float32[..., width], of one view of each sample."""
        operator = OPERATORS[self.name]
        if self.repeated:  # numbers of its own
            seed = counter_hash.mix(seed, Purpose.REPEATED, self.repeated)
        coin = draw.uniform(seed, operator.coin) < self.probability
        coin &= view in self.views
        coin = tf.cast(coin, tf.float32)
        return tf.concat([coin, operator.draw(seed, how)], axis=-1)

    def apply(self, images, part, how) -> tf.Tensor:
        """The images, changed where the coins of float32[N, width] are 1."""
        changed = OPERATORS[self.name].apply(images, part[:, 1:], how)
        return tf.where(part[:, :1, None, None] > 0, changed, images)


@dataclasses.dataclass(frozen=True)
class _List:
    """One list: what of it is done image by image, first, and its steps.

    Attributes:
        crops: whether it begins with a random crop.
        flip: the probability of mirroring right after that.
        rest: (name, probability) of the other operators.
    """

    crops: bool
    flip: float
    rest: tuple[tuple[str, float], ...]

    @classmethod
    def of(cls, named: Sequence) -> "_List":
        rest = [_with_probability(one) for one in named]
        crops, flip = False, 0.0
        if rest and rest[0] == ("crop", 1.0):
            crops, rest = True, rest[1:]
            if rest and rest[0][0] == "flip":
                flip, rest = rest[0][1], rest[1:]
        return cls(crops, flip, tuple(rest))

    def steps(self, views: tuple[int, ...]) -> tuple[Step, ...]:
        names = [name for name, _ in self.rest]
        return tuple(
            Step(name, probability, views, names[:place].count(name))
            for place, (name, probability) in enumerate(self.rest)
        )


def _with_probability(one) -> tuple[str, float]:
    name, probability = (one, None) if isinstance(one, str) else one
    if name not in OPERATORS:
        raise ValueError(
            f"operators must be of {', '.join(OPERATORS)}, got {name!r}"
        )
    if probability is None:
        probability = OPERATORS[name].probability
    if not 0 <= probability <= 1:
        raise ValueError(
            f"the probability of {name} must be in [0, 1], got {probability}"
        )
    return name, float(probability)


class OperatorLists:
    """The operators of the first view, and of the second.

    "crop", and "flip" behind it, at the beginning of a list are done image by
    image, as the paper's pipeline does them; all else, in batches.

    Args:
        first: names, or (name, probability), in order; None for a
            probability is the operator's own.
        second: of all views but the first; None: as first.

    Attributes:
        crops: whether views are cropped at random first.
        flips: whether any view may be mirrored right after that.
        width: P, columns of a row of parameters.
        compiles: whether XLA can compile them.

    Raises:
        ValueError: an unknown operator, a probability outside of [0, 1], or
            only one of the lists begins with crop.
    """

    def __init__(self, first: Sequence, second: Sequence | None = None):
        lists = [_List.of(first)]
        lists.append(lists[0] if second is None else _List.of(second))
        if lists[0].crops != lists[1].crops:
            raise ValueError(
                "operators and second_operators must both begin with crop, or "
                f"neither, got {first} and {second}"
            )
        self.crops = lists[0].crops
        self.flips = any(one.flip for one in lists)
        self._flip = [one.flip for one in lists]
        if lists[0].rest == lists[1].rest:
            self._steps = lists[0].steps((0, 1))
        else:
            self._steps = lists[0].steps((0,)) + lists[1].steps((1,))
        self.compiles = all(OPERATORS[s.name].compiles for s in self._steps)
        self._widths = [step.width for step in self._steps]
        self.width = sum(self._widths)

    def flip_coin(self, seed, view: int) -> tf.Tensor:
        """bool[...], whether a view is mirrored right after the first crop."""
        return draw.flip_coin(seed, self._flip[view])

    def draw(self, seed, view: int, how) -> tf.Tensor:
        """Draws the parameters of all steps.

        Args:
            seed: int64[...], from ``draw.sample_seed``.
            view: which of the samples' views.
            how: the policy.

        Returns:
            float32[..., P].
        """
        none = tf.cast(tf.expand_dims(seed, -1), tf.float32)[..., :0]
        parts = [step.draw(seed, view, how) for step in self._steps]
        return tf.concat([none, *parts], axis=-1)

    def apply(self, images, parameters, how) -> tf.Tensor:
        """Applies all steps in order.

        Args:
            images: float32[N, S, S, C] in [0, 1].
            parameters: float32[N, P], from ``draw``.
            how: the policy.

        Returns:
            float32[N, S, S, C] in [0, 1].
        """
        for step, part in zip(
            self._steps, self._parts(parameters), strict=True
        ):
            images = step.apply(images, part, how)
        return images

    def one_sigma(self, parameters) -> tf.Tensor:
        """Parameters in which all views have the first one's sigma."""
        parts = self._parts(parameters)
        for place, step in enumerate(self._steps):
            if step.name == "blur":
                coins, sigmas = parts[place][:, :1], parts[place][:, 1:]
                sigmas = tf.zeros_like(sigmas) + sigmas[:1]
                parts[place] = tf.concat([coins, sigmas], axis=1)
        return tf.concat([*parts, parameters[:, :0]], axis=1)

    def _parts(self, parameters) -> list[tf.Tensor]:
        if not self._widths:
            return []
        return tf.split(parameters, self._widths, axis=1)
