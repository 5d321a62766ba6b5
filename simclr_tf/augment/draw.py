"""What is drawn: crop boxes, coins and colour parameters, all from a seed.

Each random number is a function of (run seed, epoch, sample id, view, purpose)
and of nothing else: not of the order of samples, the batch, the replica or a
global seed. Numbers of different purposes are independent of each other, so a
new purpose leaves the numbers of all others as they are. ``geometry``,
``color`` and ``blur`` apply what is drawn here. Paper: Appendix A.

All functions but ``crop_box`` draw for many samples at once. In their shapes,
"..." stands for the samples' dimensions: none, for one sample, or several.
"""

import enum
import itertools

import tensorflow as tf

from simclr_tf import counter_hash

JITTER_IMPLS = ("simclrv1", "simclrv2")
JITTER_ORDERS = ("random", "fixed")

# Says to the hash that the number is for a view: see `counter_hash`.
_VIEW = 1000


class Purpose(enum.IntEnum):
    """What a random number of a view is for.

    A purpose keeps its number for ever, and nothing else ever takes it: the
    draws of all runs depend on it. An operator with a file of its own
    declares its purposes there, in another enum called Purpose; a test holds
    that no two purposes in this folder have the same number.

    Attributes:
        CROP: seeds the sampler that draws a box's area, aspect and position.
        FLIP: the coin of mirroring.
        BRIGHTNESS ... ORDER: the ``Column`` of that name.
    """

    CROP = 0
    FLIP = 1
    BRIGHTNESS = 2
    CONTRAST = 3
    SATURATION = 4
    HUE = 5
    SIGMA = 6
    BLUR = 7
    JITTER = 8
    DROP = 9
    ORDER = 10


class Column(enum.IntEnum):
    """The columns of a row of colour parameters, float32[NUM_PARAMETERS].

    Attributes:
        BRIGHTNESS: summand (simclrv1) or factor (simclrv2).
        CONTRAST: factor of the distance to the channel's mean.
        SATURATION: factor of the saturation.
        HUE: summand of the hue, in turns of the colour wheel.
        SIGMA: standard deviation of the blur in pixels.
        BLUR: 1 where the view is blurred, else 0.
        JITTER: 1 where the four operators from BRIGHTNESS to HUE apply, else
            0.
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


def sample_seed(seed, epoch, sample_id, view) -> tf.Tensor:
    """The seed of everything drawn for one view of one sample in one epoch.

    Args:
        seed: int or int64[], the run's seed.
        epoch: int64[...].
        sample_id: int64[...], any value: the source's own name of the sample.
        view: int or int32[], which of the sample's views.

    Returns:
        int64[...], for the functions below.
    """
    return counter_hash.mix(_VIEW, seed, epoch, sample_id, view)


def uniform(seed, *purposes: enum.IntEnum) -> tf.Tensor:
    """Draws a random number for each purpose.

    Args:
        seed: int64[...], from ``sample_seed``.
        *purposes: members of any enum called Purpose.

    Returns:
        float32[..., len(purposes)] in [0, 1), in the order of the purposes.
    """
    words = tf.constant(purposes, tf.int64)
    return counter_hash.uniform(tf.expand_dims(seed, -1), words)


def crop_seed(seed) -> tf.Tensor:
    """int32[..., 2], for ``crop_box``, from int64[...], a ``sample_seed``."""
    return tf.bitcast(counter_hash.mix(seed, Purpose.CROP), tf.int32)


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
    """Draws whether a view is mirrored left to right.

    Args:
        seed: int64[...], from ``sample_seed``.
        probability: of mirroring, in [0, 1].

    Returns:
        bool[...].
    """
    return uniform(seed, Purpose.FLIP)[..., 0] < probability


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
    """Draws the colour distortion and the blur of views.

    With strength s: brightness U[-0.8s, 0.8s] (simclrv1, added) or
    U[1-0.8s, 1+0.8s] (simclrv2, multiplied), contrast and saturation
    U[1-0.8s, 1+0.8s], hue U[-0.2s, 0.2s], sigma U[sigma_min, sigma_max].
    Paper: Appendix A.

    Args:
        seed: int64[...], from ``sample_seed``.
        strength: s in [0, 1.25]; above, factors would be negative. 0 turns
            the jitter off, and (Ref:) the colour drop too.
        jitter_impl: one of JITTER_IMPLS: whether brightness is added or
            multiplied.
        jitter_order: one of JITTER_ORDERS: one of the 24 ORDERS at random, or
            always the first.
        jitter_probability: that the four colour operators apply, in [0, 1].
        drop_probability: that the colour is dropped, in [0, 1].
        blur_probability: that the view is blurred, in [0, 1].
        sigma_min, sigma_max: of the blur, in pixels.
        use_blur: False blurs no view.

    Returns:
        float32[..., NUM_PARAMETERS], by ``Column``.
    """
    brightness = {"simclrv1": 0.0, "simclrv2": 1.0}[jitter_impl]
    centers = [brightness, 1.0, 1.0, 0.0]
    widths = [0.8 * strength] * 3 + [0.2 * strength]
    low = [c - w for c, w in zip(centers, widths, strict=True)] + [sigma_min]
    high = [c + w for c, w in zip(centers, widths, strict=True)] + [sigma_max]
    probabilities = [
        blur_probability if use_blur else 0.0,
        jitter_probability if strength > 0 else 0.0,
        drop_probability if strength > 0 else 0.0,
    ]
    num_orders = {"random": len(ORDERS), "fixed": 1}[jitter_order]

    numbers = uniform(seed, *(Purpose[column.name] for column in Column))
    values = _between(numbers[..., : Column.BLUR], low, high)
    coins = numbers[..., Column.BLUR : Column.ORDER] < probabilities
    order = tf.floor(numbers[..., Column.ORDER :] * num_orders)
    return tf.concat([values, tf.cast(coins, tf.float32), order], axis=-1)


def _between(numbers, low: list[float], high: list[float]) -> tf.Tensor:
    low, high = tf.constant(low), tf.constant(high)
    return low + numbers * (high - low)
