"""Table 1: how strong the colour distortion is, with and without labels."""

from simclr_tf.studies import sizes
from simclr_tf.studies.study import Curves, Setting, Study

_PLAIN = {"use_blur": False}
STRENGTHS = {
    "1/8": {"color_jitter_strength": 0.125, **_PLAIN},
    "1/4": {"color_jitter_strength": 0.25, **_PLAIN},
    "1/2": {"color_jitter_strength": 0.5, **_PLAIN},
    "1": {"color_jitter_strength": 1.0, **_PLAIN},
    "1 + blur": {"color_jitter_strength": 1.0, "use_blur": True},
    "AutoAugment": {},
}
# At 16 px the paper's kernel is one pixel wide; a list of operators has three.
_QUICK_BLUR = {
    "color_jitter_strength": 1.0,
    "operators": "crop,color,blur",
}
_PAPER = {
    "SimCLR": (59.6, 61.0, 62.6, 63.2, 64.5, 61.1),
    "supervised": (77.0, 76.7, 76.5, 75.7, 75.4, 77.1),
}
# A mirrored digit is another one.
_AUTO_AUGMENT = {"quick": "crop,autoaugment", "paper": "crop,flip,autoaugment"}


def _settings(size):
    for objective, own in sizes.objectives(size).items():
        for (strength, flags), number in zip(
            STRENGTHS.items(), _PAPER[objective], strict=True
        ):
            flags = flags or {"operators": _AUTO_AUGMENT[size]}
            if size == "quick" and flags.get("use_blur"):
                flags = _QUICK_BLUR
            yield Setting(
                {"objective": objective, "strength": strength},
                **{**own, "flags": {**own.get("flags", {}), **flags}},
                paper=sizes.paper(number),
            )


STUDY = {
    size: Study(
        title="Table 1: strength of the colour distortion",
        settings=list(_settings(size)),
        figure=Curves(x="strength", lines=("objective",)),
        **common,
    )
    for size, common in sizes.SIZES.items()
}
