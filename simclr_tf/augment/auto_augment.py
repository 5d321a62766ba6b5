"""AutoAugment (Cubuk et al. 2019), which the paper's Table 1 compares with.

Its policy for ImageNet and its operators are those of tf-models-official. They
draw from a global generator there; here everything is drawn from a seed.
"""

import enum
import functools

import tensorflow as tf

from simclr_tf.augment import draw

# Of an image's side, the farthest translation: 150 of 331 px in their paper.
FARTHEST = 150 / 331
# What is seen beyond the border, in 0..255.
_GRAY = [128, 128, 128]
_MAX_LEVEL = 10.0
_WITHOUT_LEVEL = ("Equalize", "AutoContrast", "Invert")


class Purpose(enum.IntEnum):
    """See `draw.Purpose`."""

    SUBPOLICY = 80
    FIRST = 81
    SECOND = 82
    FIRST_SIGN = 83
    SECOND_SIGN = 84
    AUTO_COIN = 85


@functools.cache
def _official():
    # Slow to import, and needed by few.
    from official.vision.ops import augment

    return augment


@functools.cache
def policy() -> list:
    """25 sub-policies of two (operator, probability, level) each."""
    return _official().AutoAugment.policy_v0()


def draw_operators(seed) -> tf.Tensor:
    """Which sub-policy, and whether and in which direction its two apply.

    Args:
        seed: int64[...], from ``draw.sample_seed``.

    Returns:
        float32[..., 5]: the sub-policy's number, two coins, two signs.
    """
    numbers = draw.uniform(
        seed,
        Purpose.SUBPOLICY,
        Purpose.FIRST,
        Purpose.SECOND,
        Purpose.FIRST_SIGN,
        Purpose.SECOND_SIGN,
    )
    chosen = tf.floor(numbers[..., :1] * len(policy()))
    probabilities = tf.gather(
        tf.constant([[p for _, p, _ in pair] for pair in policy()]),
        tf.cast(chosen[..., 0], tf.int32),
    )
    coins = tf.cast(numbers[..., 1:3] < probabilities, tf.float32)
    signs = tf.where(numbers[..., 3:] < 0.5, -1.0, 1.0)
    return tf.concat([chosen, coins, signs], axis=-1)


# AutoGraph would have nothing to convert, and takes a minute to find out.
@tf.autograph.experimental.do_not_convert
def auto_augment(images, drawn) -> tf.Tensor:
    """Applies to each image its sub-policy, one operator after the other.

    Not for XLA: some of the operators have no kernel there.

    Args:
        images: float32[N, S, S, 3] in [0, 1]; rounded to 1/255.
        drawn: float32[N, 5], from ``draw_operators``.

    Returns:
        float32[N, S, S, 3], multiples of 1/255 in [0, 1].
    """
    levels = tf.cast(tf.round(images * 255.0), tf.uint8)

    def one(view):
        image, drawn = view
        for place in range(2):
            image = _apply(image, drawn, place)
        return image

    levels = tf.map_fn(
        one,
        (levels, drawn),
        fn_output_signature=tf.TensorSpec(images.shape[1:], tf.uint8),
    )
    return tf.cast(levels, tf.float32) / 255.0


def _apply(image, drawn, place: int) -> tf.Tensor:
    """One of the two operators of the image's sub-policy."""
    operators = [
        (name, level) for name, _, level in (pair[place] for pair in policy())
    ]
    # Branches that differ by their argument only are one: there are 50 else,
    # and some are large.
    farthest = _farthest(image.shape[0])
    kinds = [(n, None if n in farthest else lvl) for n, lvl in operators]
    kinds = [(n, None if n in _WITHOUT_LEVEL else lvl) for n, lvl in kinds]
    different = list(dict.fromkeys(kinds))
    arguments = tf.constant(
        [farthest.get(n, 0.0) * (lvl / _MAX_LEVEL) for n, lvl in operators]
    )
    chosen, coin, sign = drawn[0], drawn[1 + place], drawn[3 + place]
    chosen = tf.cast(chosen, tf.int32)
    argument = sign * tf.gather(arguments, chosen)

    def branch(name, level):
        def changed():
            changed = _operate(name, image, level, argument)
            return tf.ensure_shape(changed, image.shape)

        return lambda: tf.cond(coin > 0, changed, lambda: image)

    return tf.switch_case(
        tf.gather([different.index(kind) for kind in kinds], chosen),
        [branch(*kind) for kind in different],
    )


def _farthest(side: int) -> dict[str, float]:
    """Operators that have a direction, with their argument at the highest
    level."""
    return {
        "Rotate": 30.0,  # degrees
        "ShearX": 0.3,
        "ShearY": 0.3,
        "TranslateY": FARTHEST * side,
    }


def _operate(name: str, image, level: float | None, argument) -> tf.Tensor:
    """An operator of tf-models-official, on uint8[S, S, 3].

    Args:
        level: in 0..10; None where it has none, or the argument says it.
        argument: float32[], of those of ``_farthest``.
    """
    official = _official()
    if name in _WITHOUT_LEVEL:
        arguments = []
    elif level is None:
        arguments = [argument]
    else:
        of_level = official.level_to_arg(cutout_const=0.0, translate_const=0.0)
        arguments = list(of_level[name](level))
    if name in official.REPLACE_FUNCS:
        arguments.append(_GRAY)
    return official.NAME_TO_FUNC[name](image, *arguments)
