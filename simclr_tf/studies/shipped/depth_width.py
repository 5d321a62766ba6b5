"""Figure 7: how deep and wide the encoder is, with and without labels.

The paper prints no numbers.
"""

from simclr_tf.studies import sizes
from simclr_tf.studies.study import Curves, Setting, Study

_DEPTHS = {"quick": (10, 18), "paper": (18, 34, 50, 101, 152)}
_WIDTHS = {"quick": (0.25, 0.5, 1.0), "paper": (1.0, 2.0, 4.0)}
_SUPERVISED = {"quick": {}, "paper": {"train_epochs": 90.0}}


def _settings(size):
    for objective in ("SimCLR", "supervised"):
        for depth in _DEPTHS[size]:
            for width in _WIDTHS[size]:
                supervised = objective == "supervised"
                yield Setting(
                    {"objective": objective, "depth": depth, "width": width},
                    flags={
                        **({"train_mode": "supervised"} if supervised else {}),
                        "resnet_depth": depth,
                        "width_multiplier": width,
                    },
                    base=_SUPERVISED[size] if supervised else {},
                    evaluations={"linear": None} if supervised else {},
                )


STUDY = {
    size: Study(
        title="Figure 7: depth and width of the encoder",
        settings=list(_settings(size)),
        figure=Curves(x="width", lines=("objective", "depth")),
        **{**common, "seeds": {"quick": 3, "paper": 1}[size]},
    )
    for size, common in sizes.SIZES.items()
}
