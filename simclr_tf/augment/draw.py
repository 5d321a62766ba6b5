"""What is drawn: crop boxes, coins and colour parameters, all from a seed.

Every draw is a function of (run seed, epoch, sample id, view) and of nothing
else: not of the order of samples, the batch, the replica or a global seed.
What a draw is for is folded into its seed, so that the crop, the flip and the
colours of a view are independent. Applying what is drawn is the work of
``geometry``, ``color`` and ``blur``. Paper: Appendix A.

All but the crop's box are drawn for many samples at once: "..." stands for no
dimension or several.
"""

import enum
import itertools

import tensorflow as tf

from simclr_tf.augment import philox

JITTER_IMPLS = ("simclrv1", "simclrv2")
JITTER_ORDERS = ("random", "fixed")
MAX_STRENGTH = 1.25

_CROP, _FLIP, _COLOR = range(3)  # what a draw is for


class Column(enum.IntEnum):
    """The columns of a row of colour parameters, float32[NUM_PARAMETERS].

    Attributes:
        BRIGHTNESS: summand (simclrv1) or factor (simclrv2).
        CONTRAST: factor of the distance to the channel's mean.
        SATURATION: factor of the saturation.
        HUE: summand of the hue, in turns of the colour wheel.
        SIGMA: standard deviation of the blur in pixels.
        BLUR: 1 where the view is blurred, else 0.
        JITTER: 1 where the four operators above HUE apply, else 0.
        DROP: 1 where the colour is dropped (grayscale), else 0.
        ORDER: whole number 0..23, the operators' order: ``ORDERS[ORDER]``.
    """

    BRIGHTNESS = 0
    CONTRAST = 1
    SATURATION = 2
    HUE = 3
    SIGMA = 4
    BLUR = 5
    JITTER = 6
    DROP = 7
    ORDER = 8


NUM_PARAMETERS = len(Column)

# ORDERS[0], the fixed order, is the one the paper lists.
ORDERS = tuple(
    itertools.permutations(
        (Column.BRIGHTNESS, Column.CONTRAST, Column.SATURATION, Column.HUE)
    )
)


def check_strength(strength: float):
    """Raises ValueError unless a strength's ranges are ones the ops accept."""
    if not 0 <= strength <= MAX_STRENGTH:
        raise ValueError(
            f"--color_jitter_strength must be in [0, {MAX_STRENGTH}] (above, "
            "the least contrast factor 1 - 0.8 * strength is negative), got "
            f"{strength}"
        )


def check_choice(flag: str, value: str, choices: tuple[str, ...]):
    """Raises ValueError, naming the flag, unless value is a choice."""
    if value not in choices:
        raise ValueError(
            f"--{flag} must be one of {', '.join(choices)}, got {value!r}"
        )


def sample_seed(seed, epoch, sample_id, view) -> tf.Tensor:
    """The seed of everything drawn for one view of one sample in one epoch.

    Args:
        seed: int64[], the run's seed.
        epoch: int64[...].
        sample_id: int64[...], any value: the source's own name of the sample.
        view: int32[], which of the sample's views.

    Returns:
        int32[..., 2], for the functions below.
    """
    key = tf.stack([tf.cast(seed, tf.int64), 0])
    key = philox.fold_in(key, tf.cast(epoch, tf.int64))
    key = philox.fold_in(key, tf.cast(sample_id, tf.int64))
    return philox.fold_in(key, tf.cast(view, tf.int32))


def crop_seed(seed) -> tf.Tensor:
    """int32[..., 2], for ``crop_box``, from a ``sample_seed``."""
    return _seed_for(seed, _CROP)


def crop_box(
    image_shape,
    seed,
    *,
    min_area: float = 0.08,
    max_area: float = 1.0,
    min_aspect: float = 3 / 4,
    max_aspect: float = 4 / 3,
    min_object_covered: float = 0.0,
) -> tf.Tensor:
    """Random crop of random area and aspect ratio (the paper's Inception crop).

    Tries 100 times to place such a box in the image, then takes the whole
    image. Paper: Appendix A, area 0.08 to 1.0.

    Ref: tf2/data_util.py, distorted_bounding_box_crop; the aspect ratio is the
    crop's own width / height in pixels.
    Differs: the official min_object_covered is 0.1, and as its object is the
    whole image, no crop of less than a tenth of the area survives there. Pass
    0.1 for that.

    Args:
        image_shape: int32[3], (height, width, channels); any size from 1 px.
        seed: int32[2], from ``crop_seed``.
        min_area, max_area: fractions of the image's area.
        min_aspect, max_aspect: of width / height.
        min_object_covered: least fraction of the image inside the crop.

    Returns:
        int32[4], (y, x, height, width), as tf.image.decode_and_crop_jpeg
        takes it.
    """
    begin, size, _ = tf.image.stateless_sample_distorted_bounding_box(
        tf.cast(image_shape, tf.int32),
        tf.constant([[[0.0, 0.0, 1.0, 1.0]]]),
        seed,
        min_object_covered=min_object_covered,
        aspect_ratio_range=(min_aspect, max_aspect),
        area_range=(min_area, max_area),
        max_attempts=100,
    )
    return tf.concat([begin[:2], size[:2]], axis=0)


def flip_coin(seed, probability: float = 0.5) -> tf.Tensor:
    """Whether a view is mirrored left to right: bool[...]; int32[..., 2]."""
    return _uniform(seed, _FLIP, 1)[..., 0] < probability


def color_parameters(
    seed,
    *,
    strength: float,
    jitter_impl: str,
    jitter_order: str,
    jitter_probability: float = 0.8,
    drop_probability: float = 0.2,
    blur_probability: float = 0.5,
    sigma_min: float = 0.1,
    sigma_max: float = 2.0,
    use_blur: bool = True,
) -> tf.Tensor:
    """Draws one view's colour distortion and blur.

    With strength s: brightness U[-0.8s, 0.8s] (simclrv1, added) or
    U[max(1-0.8s, 0), 1+0.8s] (simclrv2, multiplied), contrast and saturation
    U[1-0.8s, 1+0.8s], hue U[-0.2s, 0.2s], sigma U[sigma_min, sigma_max].
    Paper: Appendix A.

    Args:
        seed: int32[..., 2], from ``sample_seed``.
        strength: s in [0, 1.25]. Ref: 0 turns off the colour drop too.
        jitter_impl: one of JITTER_IMPLS, the paper's brightness or v2's.
        jitter_order: 'random' over the 24 ORDERS, or 'fixed', the first.
        jitter_probability, drop_probability, blur_probability: of the coins.
        sigma_min, sigma_max: of the blur, in pixels.
        use_blur: False leaves BLUR at 0.

    Returns:
        float32[..., NUM_PARAMETERS], by ``Column``.

    Raises:
        ValueError: strength, jitter_impl or jitter_order is not one of those.
    """
    check_strength(strength)
    check_choice("color_jitter_impl", jitter_impl, JITTER_IMPLS)
    check_choice("color_jitter_order", jitter_order, JITTER_ORDERS)
    centers = [0.0 if jitter_impl == "simclrv1" else 1.0, 1.0, 1.0, 0.0]
    widths = [0.8 * strength] * 3 + [0.2 * strength]
    low = [c - w for c, w in zip(centers, widths, strict=True)] + [sigma_min]
    high = [c + w for c, w in zip(centers, widths, strict=True)] + [sigma_max]
    probabilities = [
        blur_probability if use_blur else 0.0,
        jitter_probability if strength > 0 else 0.0,
        drop_probability if strength > 0 else 0.0,
    ]
    num_orders = len(ORDERS) if jitter_order == "random" else 1

    uniform = _uniform(seed, _COLOR, 9)
    values = _between(uniform[..., :5], low, high)
    coins = tf.cast(uniform[..., 5:8] < tf.constant(probabilities), tf.float32)
    order = tf.floor(uniform[..., 8:] * num_orders)
    return tf.concat([values, coins, order], axis=-1)


def _seed_for(seed, purpose: int) -> tf.Tensor:
    return philox.fold_in(tf.cast(seed, tf.int32), purpose)


def _uniform(seed, purpose: int, count: int) -> tf.Tensor:
    return philox.uniform(_seed_for(seed, purpose), count)


def _between(uniform, low: list[float], high: list[float]) -> tf.Tensor:
    low, high = tf.constant(low), tf.constant(high)
    return low + uniform * (high - low)
