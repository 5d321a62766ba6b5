"""The operators that a list of `operator_lists` may name.

Each draws what it needs beside a coin, and is a pure function of images and
of what was drawn.
"""

import dataclasses
import enum
from collections.abc import Callable

import tensorflow as tf

from simclr_tf.augment import (
    auto_augment,
    blur,
    color,
    corruption,
    draw,
    motion_blur,
    resampling,
    tones,
)

# A blur of one tap would be none: below 20 px, lists of operators have three.
_LEAST_BLUR = 3


class Purpose(enum.IntEnum):
    """See `draw.Purpose`."""

    COLOR_COIN = 60


def _nothing(seed, how) -> tf.Tensor:
    del how
    return tf.cast(tf.expand_dims(seed, -1), tf.float32)[..., :0]


@dataclasses.dataclass(frozen=True)
class Operator:
    """An operator of a list.

    Attributes:
        coin: the purpose of its coin.
        probability: of the coin, where the list says no other.
        apply: (images float32[N, S, S, C] in [0, 1], values float32[N, c],
            policy) -> float32[N, S, S, C] in [0, 1].
        draw: (seed int64[...], policy) -> values, float32[..., c].
        width: c.
        compiles: whether XLA can compile it.
    """

    coin: enum.IntEnum
    probability: float
    apply: Callable
    draw: Callable = _nothing
    width: int = 0
    compiles: bool = True


def _draw_color(seed, how, **probabilities) -> tf.Tensor:
    return draw.color_parameters(
        seed,
        strength=how.color_jitter_strength,
        jitter_impl=how.color_jitter_impl,
        jitter_order=how.color_jitter_order,
        use_blur=False,
        **probabilities,
    )


def _draw_jitter(seed, how) -> tf.Tensor:
    """As for color; whether it applies is the coin's to say."""
    return _draw_color(seed, how, jitter_probability=1.0, drop_probability=0.0)


def _distort(images, values, how) -> tf.Tensor:
    if not how.color_jitter_strength:
        return images
    return color.distort(images, values, jitter_impl=how.color_jitter_impl)


def _draw_sigma(seed, how) -> tf.Tensor:
    parameters = _draw_color(seed, how)
    return parameters[..., draw.Column.SIGMA : draw.Column.SIGMA + 1]


def _blur(images, values, how) -> tf.Tensor:
    size = max(_LEAST_BLUR, blur.kernel_size(how.image_size))
    blurred = blur.gaussian_blur(images, values[:, 0], kernel_size=size)
    return tf.clip_by_value(blurred, 0.0, 1.0)


def _alone(function: Callable) -> Callable:
    """Of an operator that nothing but images is needed for."""
    return lambda images, values, how: function(images)


def _with_values(function: Callable) -> Callable:
    return lambda images, values, how: function(images, values)


def _drawn(function: Callable) -> Callable:
    return lambda seed, how: function(seed)


# Paper: of color, jitter, drop, blur and flip the probabilities are those of
# appendix A. Those of the others are ours: it says none.
OPERATORS = {
    "crop": Operator(
        resampling.Purpose.CROP_COIN,
        1.0,
        _with_values(resampling.crop),
        lambda seed, how: resampling.draw_boxes(
            seed, min_area=how.min_crop_area
        ),
        width=4,
    ),
    "flip": Operator(draw.Purpose.FLIP, 0.5, _alone(resampling.mirror)),
    "color": Operator(
        Purpose.COLOR_COIN,
        1.0,
        _distort,
        _draw_color,
        width=draw.NUM_PARAMETERS,
    ),
    "color_jitter": Operator(
        draw.Purpose.JITTER,
        0.8,
        _distort,
        _draw_jitter,
        width=draw.NUM_PARAMETERS,
    ),
    "color_drop": Operator(draw.Purpose.DROP, 0.2, _alone(color.gray)),
    "blur": Operator(draw.Purpose.BLUR, 0.5, _blur, _draw_sigma, width=1),
    "rotate": Operator(
        resampling.Purpose.ROTATE_COIN,
        1.0,
        _with_values(resampling.rotate),
        _drawn(resampling.draw_turns),
        width=1,
    ),
    "cutout": Operator(
        corruption.Purpose.CUTOUT_COIN,
        1.0,
        _with_values(corruption.cutout),
        _drawn(corruption.draw_centers),
        width=2,
    ),
    "noise": Operator(
        corruption.Purpose.NOISE_COIN,
        1.0,
        _with_values(corruption.gaussian_noise),
        _drawn(corruption.draw_noise),
        width=3,
    ),
    "sobel": Operator(
        corruption.Purpose.SOBEL_COIN, 1.0, _alone(corruption.sobel)
    ),
    "equalize": Operator(
        tones.Purpose.EQUALIZE_COIN, 0.2, _alone(tones.equalize)
    ),
    "solarize": Operator(
        tones.Purpose.SOLARIZE_COIN,
        0.2,
        _with_values(tones.solarize),
        _drawn(tones.draw_threshold),
        width=1,
    ),
    "motion_blur": Operator(
        motion_blur.Purpose.MOTION_COIN,
        0.2,
        lambda images, values, how: motion_blur.motion_blur(
            images, values, length=motion_blur.path_length(how.image_size)
        ),
        _drawn(motion_blur.draw_direction),
        width=1,
    ),
    "autoaugment": Operator(
        auto_augment.Purpose.AUTO_COIN,
        1.0,
        _with_values(auto_augment.auto_augment),
        _drawn(auto_augment.draw_operators),
        width=5,
        compiles=False,
    ),
}
