"""Colour jitter and colour drop: a pure function of a batch and its parameters.

Each image of a batch has its own parameters and its own order of operators.
The graph has no branches and no loop over images, so the host and the
accelerator can both run it. Paper: Appendix A, "Color distortion".

Legend: N images, H x W pixels. "Planes" are float32[3, N, H, W]: with the
channels first, the pixels of a channel lie next to each other in memory, which
suits elementwise arithmetic.
"""

import tensorflow as tf

from simclr_tf.augment.draw import ORDERS, Column

# Whether brightness is added; else it is multiplied.
_IS_ADDED = {"simclrv1": True, "simclrv2": False}


def distort(images, parameters, *, jitter_impl: str) -> tf.Tensor:
    """Colour distortion: jitter in each image's own order, then colour drop.

    Where JITTER is 1, the four operators run in the order
    ``ORDERS[parameters[:, ORDER]]``, and the result is clipped to [0, 1] after
    each. Then the image becomes gray where DROP is 1.

    Brightness adds its parameter (simclrv1) or multiplies by it (simclrv2).
    Contrast multiplies the distance to the mean of the image's channel.
    Saturation multiplies that of HSV, up to 1. Hue turns that of HSV.

    The 24 orders share one graph, in five stages: HSV, affine, HSV, affine,
    HSV. Brightness and contrast are affine, and each takes one of the two
    affine stages. Saturation and hue each take the HSV stage that the order
    puts them in: before, between or after the affine ones. Both may share a
    stage, because they commute. Four stages that can each be any operator
    would take twice the time.

    Args:
        images: float32[N, H, W, 3] in [0, 1].
        parameters: float32[N, NUM_PARAMETERS], by ``Column``.
        jitter_impl: 'simclrv1' or 'simclrv2': what brightness does.

    Returns:
        float32[N, H, W, 3] in [0, 1]; bit for bit the input where JITTER and
        DROP are 0.
    """
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
                is_added=_IS_ADDED[jitter_impl],
            )
    planes = tf.where(_per_pixel(columns[Column.JITTER]) > 0, planes, original)
    drop = _per_pixel(columns[Column.DROP]) > 0
    return _to_images(tf.where(drop, _luma(planes), planes))


def gray(images) -> tf.Tensor:
    """Colour drop: float32[N, H, W, 3], the luma in all three channels."""
    luma = _luma(_to_planes(images))
    return tf.repeat(luma[..., None], 3, axis=-1)


def _slots(operator: Column) -> list[int]:
    """For each order, how many affine operators precede the operator."""
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
    if images.shape[-1] != 3:
        raise ValueError(
            "colours are distorted in RGB, got images of "
            f"{images.shape[-1]} channels"
        )
    return tf.transpose(images, [3, 0, 1, 2])


def _to_images(planes) -> tf.Tensor:
    return tf.transpose(planes, [1, 2, 3, 0])


def _per_pixel(per_image) -> tf.Tensor:
    return per_image[..., None, None]  # [N, 1, 1]


def _luma(planes) -> tf.Tensor:
    """Grayscale of planes, float32[N, H, W].

    Ref: the weights of tf.image.rgb_to_grayscale.
    """
    red, green, blue = tf.unstack(planes)
    return 0.2989 * red + 0.587 * green + 0.114 * blue


def _adjust_brightness_or_contrast(
    planes, columns, *, is_brightness, is_added: bool
) -> tf.Tensor:
    """Applies x * scale + shift, which either operator is, and clips.

    Args:
        planes: float32[3, N, H, W] in [0, 1].
        columns: ``Column`` -> float32[N].
        is_brightness: bool[N]: brightness, else contrast.
        is_added: whether brightness is added, else multiplied.

    Returns:
        float32[3, N, H, W] in [0, 1].
    """
    brightness = columns[Column.BRIGHTNESS]
    contrast = columns[Column.CONTRAST]
    scale = tf.where(is_brightness, 1.0 if is_added else brightness, contrast)
    means = tf.reduce_mean(planes, axis=[2, 3])  # [3, N]
    shift = tf.where(
        is_brightness,
        brightness if is_added else 0.0,
        means * (1.0 - contrast),
    )
    planes = planes * _per_pixel(scale) + _per_pixel(shift)
    return tf.clip_by_value(planes, 0.0, 1.0)


def _adjust_hsv(planes, hue_delta, saturation_factor) -> tf.Tensor:
    """Turns the hue and scales the saturation, without going through HSV.

    Let V and m be a pixel's largest and smallest channel, and C = V - m its
    chroma. Its saturation is C / V. Scaling that by f, up to 1, makes the
    chroma min(f * C, V) and leaves V as it is. At hue h, in turns:
        red = m + C * clip(6 |h - 1/2| - 1, 0, 1)
        green = m + C * clip(2 - 6 |h - 1/3|, 0, 1)
        blue = m + C * clip(2 - 6 |h - 2/3|, 0, 1)

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
