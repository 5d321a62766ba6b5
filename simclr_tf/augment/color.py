"""Colour jitter and colour drop: pure functions of a batch and its parameters.

Each image of a batch has its own parameters and its own order of operators, in
one static graph that the host and the accelerator can both run: no branches,
no loops over images. Paper: Appendix A, "Color distortion".

Legend: N images, H x W pixels; "planes" are float32[3, N, H, W], the channels
first of all, in which elementwise work on a channel is contiguous.
"""

import tensorflow as tf

from simclr_tf.augment import draw
from simclr_tf.augment.draw import ORDERS, Column


def adjust_brightness(images, amount, *, impl: str) -> tf.Tensor:
    """Adds to (simclrv1) or multiplies (simclrv2) the images' values.

    Args:
        images: float32[N, H, W, 3].
        amount: float32[N], summand or factor.
        impl: 'simclrv1' or 'simclrv2'.

    Returns:
        float32[N, H, W, 3], not clipped.

    Raises:
        ValueError: unknown impl.
    """
    draw.check_choice("color_jitter_impl", impl, draw.JITTER_IMPLS)
    amount = _per_pixel(amount)[..., None]
    return images + amount if impl == "simclrv1" else images * amount


def adjust_contrast(images, factor) -> tf.Tensor:
    """Scales distances to the mean of each image's channel, as tf.image does.

    Args:
        images: float32[N, H, W, 3].
        factor: float32[N].

    Returns:
        float32[N, H, W, 3], not clipped.
    """
    means = tf.reduce_mean(images, axis=[1, 2], keepdims=True)
    return (images - means) * _per_pixel(factor)[..., None] + means


def adjust_saturation(images, factor) -> tf.Tensor:
    """Scales the saturation of HSV, at most to 1.

    Args:
        images: float32[N, H, W, 3] in [0, 1].
        factor: float32[N], at least 0.

    Returns:
        float32[N, H, W, 3] in [0, 1].
    """
    planes = _to_planes(images)
    return _to_images(_adjust_hsv(planes, tf.zeros_like(factor), factor))


def adjust_hue(images, delta) -> tf.Tensor:
    """Turns the hue of HSV.

    Args:
        images: float32[N, H, W, 3] in [0, 1].
        delta: float32[N], in turns of the colour wheel.

    Returns:
        float32[N, H, W, 3] in [0, 1].
    """
    planes = _to_planes(images)
    return _to_images(_adjust_hsv(planes, delta, tf.ones_like(delta)))


def to_grayscale(images) -> tf.Tensor:
    """Luma in all three channels: float32[N, H, W, 3], the same out."""
    planes = _luma(_to_planes(images))
    return _to_images(tf.repeat(planes[None], 3, axis=0))


def distort(images, parameters, *, jitter_impl: str) -> tf.Tensor:
    """Colour distortion: jitter in each image's own order, then colour drop.

    The four operators run in the order ``ORDERS[parameters[:, ORDER]]``, the
    result clipped to [0, 1] after each, where JITTER is 1; then grayscale where
    DROP is 1.

    Saturation and hue commute, keep a pixel's largest channel and stay in
    [0, 1]. So every order is one of: an operator of {brightness, contrast},
    then the other, with saturation and hue each before, between or after
    them. That is two affine stages and three of HSV, instead of four stages
    of everything: half the time.

    Args:
        images: float32[N, H, W, 3] in [0, 1].
        parameters: float32[N, NUM_PARAMETERS], by ``Column``.
        jitter_impl: 'simclrv1' or 'simclrv2', what BRIGHTNESS means.

    Returns:
        float32[N, H, W, 3] in [0, 1]; bit for bit the input where both coins
        are 0.

    Raises:
        ValueError: unknown jitter_impl.
    """
    draw.check_choice("color_jitter_impl", jitter_impl, draw.JITTER_IMPLS)
    columns = {c: parameters[:, c] for c in Column}
    order = tf.cast(columns[Column.ORDER], tf.int32)
    brightness_first = tf.gather(_BRIGHTNESS_FIRST, order)
    hue_slot = tf.gather(_HUE_SLOT, order)
    saturation_slot = tf.gather(_SATURATION_SLOT, order)

    planes = original = _to_planes(images)
    for slot in range(3):
        planes = _adjust_hsv(
            planes,
            tf.where(hue_slot == slot, columns[Column.HUE], 0.0),
            tf.where(saturation_slot == slot, columns[Column.SATURATION], 1.0),
        )
        if slot < 2:
            planes = _adjust_brightness_or_contrast(
                planes,
                columns,
                is_brightness=brightness_first == (slot == 0),
                impl=jitter_impl,
            )
    planes = tf.where(_per_pixel(columns[Column.JITTER]) > 0, planes, original)
    drop = _per_pixel(columns[Column.DROP]) > 0
    return _to_images(tf.where(drop, _luma(planes), planes))


def _slots(operator: Column) -> list[int]:
    """By order, how many of brightness and contrast precede the operator."""
    return [
        (o.index(Column.BRIGHTNESS) < o.index(operator))
        + (o.index(Column.CONTRAST) < o.index(operator))
        for o in ORDERS
    ]


_HUE_SLOT = _slots(Column.HUE)
_SATURATION_SLOT = _slots(Column.SATURATION)
_BRIGHTNESS_FIRST = [
    o.index(Column.BRIGHTNESS) < o.index(Column.CONTRAST) for o in ORDERS
]


def _to_planes(images) -> tf.Tensor:
    return tf.transpose(images, [3, 0, 1, 2])


def _to_images(planes) -> tf.Tensor:
    return tf.transpose(planes, [1, 2, 3, 0])


def _per_pixel(per_image) -> tf.Tensor:
    return per_image[..., None, None]  # [N, 1, 1]


def _luma(planes) -> tf.Tensor:
    """float32[N, H, W] of planes. Ref: tf.image.rgb_to_grayscale's weights."""
    red, green, blue = tf.unstack(planes)
    return 0.2989 * red + 0.587 * green + 0.114 * blue


def _adjust_brightness_or_contrast(
    planes, columns, *, is_brightness, impl: str
) -> tf.Tensor:
    """Either operator is x * scale + shift; then the clip to [0, 1]."""
    brightness = columns[Column.BRIGHTNESS]
    contrast = columns[Column.CONTRAST]
    added = impl == "simclrv1"
    scale = tf.where(is_brightness, 1.0 if added else brightness, contrast)
    means = tf.reduce_mean(planes, axis=[2, 3])  # [3, N]
    shift = tf.where(
        is_brightness, brightness if added else 0.0, means * (1.0 - contrast)
    )
    planes = planes * _per_pixel(scale) + _per_pixel(shift)
    return tf.clip_by_value(planes, 0.0, 1.0)


def _adjust_hsv(planes, hue_delta, saturation_factor) -> tf.Tensor:
    """Turns the hue and scales the saturation, without going through HSV.

    With V and m a pixel's largest and smallest channel, its chroma is
    C = V - m and its saturation C / V: scaling that by f, at most to 1, makes
    the chroma min(f * C, V) and leaves V. At hue h in turns, red is
    m + C * clip(6 |h - 1/2| - 1, 0, 1) and green and blue are
    m + C * clip(2 - 6 |h - 1/3|, 0, 1) and the same with 2/3.

    Args:
        planes: float32[3, N, H, W] in [0, 1].
        hue_delta: float32[N], in turns.
        saturation_factor: float32[N], at least 0.

    Returns:
        float32[3, N, H, W], within [0, V] pixel by pixel.
    """
    hue_delta = _per_pixel(hue_delta)
    red, green, blue = tf.unstack(planes)
    largest = tf.maximum(tf.maximum(red, green), blue)
    smallest = tf.minimum(tf.minimum(red, green), blue)
    chroma = largest - smallest
    is_red, is_green = red >= largest, green >= largest

    difference = tf.where(
        is_red, green - blue, tf.where(is_green, blue - red, red - green)
    )
    sector = tf.where(
        is_red,
        hue_delta,
        tf.where(is_green, hue_delta + 1 / 3, hue_delta + 2 / 3),
    )
    hue = tf.math.divide_no_nan(difference, 6.0 * chroma) + sector
    hue -= tf.floor(hue)

    chroma = tf.minimum(chroma * _per_pixel(saturation_factor), largest)
    smallest = largest - chroma
    slope = 6.0 * chroma
    peak = smallest + 2.0 * chroma
    ramps = (
        slope * tf.abs(hue - 1 / 2) + (smallest - chroma),
        peak - slope * tf.abs(hue - 1 / 3),
        peak - slope * tf.abs(hue - 2 / 3),
    )
    return tf.stack(
        [tf.maximum(tf.minimum(r, largest), smallest) for r in ramps]
    )
