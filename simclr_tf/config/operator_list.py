"""Lists of augmentation operators, as they are typed: crop,color,sobel:0.5."""

from simclr_tf.errors import UserError

NAMES = (
    "crop",
    "flip",
    "color",
    "color_jitter",
    "color_drop",
    "blur",
    "rotate",
    "cutout",
    "noise",
    "sobel",
    "equalize",
    "solarize",
    "motion_blur",
    "autoaugment",
)
# These run in the tf.data graph only: XLA cannot compile them.
ON_HOST = ("autoaugment",)
# These are defined in RGB.
IN_RGB = ("color", "color_jitter", "color_drop", "autoaugment")
NOTHING = "none"

# Option -> the operators that it is for.
USERS = {
    "random_flip": (),
    "use_blur": (),
    "color_jitter_strength": ("color", "color_jitter"),
    "color_jitter_impl": ("color", "color_jitter"),
    "color_jitter_order": ("color", "color_jitter"),
    "blur_sigma_per": ("blur",),
    "min_crop_area": ("crop",),
    "min_object_covered": ("crop",),
}


def parsed(
    flag: str, text: str | None
) -> tuple[tuple[str, float | None], ...] | None:
    """(name, probability or None) of each operator; None of an unset list.

    Args:
        flag: the option's name.
        text: names with commas, each with :probability if it has one; or
            "none", no operator.

    Raises:
        UserError: an unknown name, or a probability outside of [0, 1].
    """
    if text is None:
        return None
    return (
        ()
        if text == NOTHING
        else tuple(_operator(flag, one.strip()) for one in text.split(","))
    )


def _operator(flag: str, text: str) -> tuple[str, float | None]:
    name, colon, number = text.partition(":")
    if name not in NAMES:
        raise UserError(
            f"--{flag} must be a list, with commas, of {', '.join(NAMES)}; or "
            f"{NOTHING}. Received: {text!r}."
        )
    if not colon:
        return name, None
    try:
        probability = float(number)
    except ValueError:
        probability = -1.0
    if not 0 <= probability <= 1:
        raise UserError(
            f"--{flag} must have probabilities of 0 to 1 behind colons, as in "
            f"{name}:0.5. Received: {text!r}."
        )
    return name, probability
