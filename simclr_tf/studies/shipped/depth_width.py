"""Figure 7: how deep and wide the encoder is, with and without labels.

The paper prints no numbers.
"""

from simclr_tf.studies import sizes
from simclr_tf.studies.study import Curves, Setting, Study

_DEPTHS = {"quick": (10, 18), "paper": (18, 34, 50, 101, 152)}
_WIDTHS = {"quick": (0.25, 0.5, 1.0), "paper": (1.0, 2.0, 4.0)}


def _settings(size):
    for objective, own in sizes.objectives(size).items():
        for depth in _DEPTHS[size]:
            for width in _WIDTHS[size]:
                flags = {"resnet_depth": depth, "width_multiplier": width}
                yield Setting(
                    {"objective": objective, "depth": depth, "width": width},
                    **{**own, "flags": {**own.get("flags", {}), **flags}},
                )


STUDY = {
    size: Study(
        title="Figure 7: depth and width of the encoder",
        settings=list(_settings(size)),
        figure=Curves(x="width", lines=("objective", "depth")),
        **common,
    )
    for size, common in sizes.SIZES.items()
}
