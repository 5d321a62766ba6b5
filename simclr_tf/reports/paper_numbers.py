"""The paper's numbers, to stand beside ours in a table.

Chen et al. 2020 (v1): ResNet-50 of width 1, 2 and 4, pretrained on ImageNet
for 1000 epochs; CIFAR-10 from appendix B.9. Percent.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from simclr_tf.evaluation import transfer


class Number(NamedTuple):
    """A number of the paper.

    Attributes:
        percent: the metric.
        source: table or section.
    """

    percent: float
    source: str


# B.8's order of columns.
TRANSFER_SETS = (
    "food101", "cifar10", "cifar100", "birdsnap", "sun397", "cars196",
    "fgvc_aircraft", "voc", "dtd", "oxford_iiit_pet", "caltech101",
    "oxford_flowers102",
)  # fmt: skip
_TRANSFER = {
    # (protocol, width): percent, in the order of TRANSFER_SETS.
    ("transfer_linear", 1): (
        68.4, 90.6, 71.6, 37.4, 58.8, 50.3, 50.3, 80.5, 74.5, 83.6, 90.3, 91.2,
    ),
    ("transfer_linear", 4): (
        76.9, 95.3, 80.2, 48.4, 65.9, 60.0, 61.2, 84.2, 78.9, 89.2, 93.9, 95.0,
    ),
    ("transfer_finetune", 1): (
        88.2, 97.7, 85.9, 75.9, 63.5, 91.3, 88.1, 84.1, 73.2, 89.2, 92.1, 97.0,
    ),
    ("transfer_finetune", 4): (
        89.4, 98.6, 89.0, 78.2, 68.1, 92.1, 87.0, 86.6, 77.8, 92.1, 94.1, 97.6,
    ),
}  # fmt: skip
_TRANSFER_FROM_SCRATCH = {
    1: (86.9, 95.9, 80.2, 76.1, 53.6, 91.4, 85.9, 67.3, 64.8, 81.5, 72.6, 92.0),
    4: (88.3, 96.0, 81.9, 77.0, 53.7, 91.3, 84.8, 69.4, 64.1, 82.7, 72.5, 92.5),
}
_IMAGENET_LINEAR = {
    (1, "top_1"): 69.3, (1, "top_5"): 89.0,
    (2, "top_1"): 74.2, (2, "top_5"): 92.0,
    (4, "top_1"): 76.5, (4, "top_5"): 93.2,
}  # fmt: skip
# (width, percent of labels): top-1 (Table B.4), top-5 (Table 7).
_FEW_LABELS = {
    (1, 1): (48.3, 75.5), (1, 10): (65.6, 87.8),
    (2, 1): (58.5, 83.0), (2, 10): (71.7, 91.2),
    (4, 1): (63.0, 85.8), (4, 10): (74.4, 92.6),
}  # fmt: skip
_FEW_LABELS_FROM_SCRATCH = {1: (25.4, 48.4), 10: (56.4, 80.4)}


def transfer_number(
    dataset: str, *, protocol: str, width: int, from_scratch: bool = False
) -> Number | None:
    """ResNet-50 on one of the twelve data sets of B.8, or None.

    Args:
        dataset: of TRANSFER_SETS.
        protocol: "transfer_linear" or "transfer_finetune".
        width: 1 or 4.
        from_scratch: whether the network was not pretrained.
    """
    table = _TRANSFER.get((protocol, width))
    if from_scratch:
        finetuned = protocol == "transfer_finetune"
        table = _TRANSFER_FROM_SCRATCH.get(width) if finetuned else None
    if table is None or dataset not in TRANSFER_SETS:
        return None
    return Number(table[TRANSFER_SETS.index(dataset)], "Section 4.3, B.8")


def find(
    *,
    dataset: str,
    protocol: str,
    metric: str,
    encoder_kind: str,
    model: Mapping[str, Any],
    percent_of_labels: float | None = None,
    test_split: str = "test",
) -> Number | None:
    """The paper's number for the same encoder, data and protocol, or None.

    Only what is exactly the same has one: imagenet2012 and, for few labels,
    imagenet2012_subset/1pct and /10pct, but not imagenet2012_real; voc/2007,
    but not voc/2012. A version may follow a name. What nothing is known of
    has none, too: this never fails.

    Args:
        dataset: TFDS's name, with or without configuration.
        protocol, metric, encoder_kind: as in a record; a prefix of the metric
            is ignored.
        model: of the configuration: resnet_depth, width_multiplier, sk_ratio.
        percent_of_labels: where not all are used.
        test_split: a part of a split, "test[:10%]", is other data.
    """
    name = dataset.split(":")[0]
    metric = metric.split("/")[-1]
    width = model.get("width_multiplier")
    ordinary = not model.get("sk_ratio") and not model.get("se_ratio")
    if model.get("resnet_depth") != 50 or not ordinary or "[" in test_split:
        return None
    if encoder_kind == "pixels":
        return None
    scratch = encoder_kind == "random"
    if protocol.startswith("transfer_"):
        found = transfer.transfer_set(dataset)
        if found is None or metric != found.metric or percent_of_labels:
            return None
        return transfer_number(
            found.name, protocol=protocol, width=width, from_scratch=scratch
        )
    if name in _IMAGENET and metric in ("top_1", "top_5"):
        percent = _IMAGENET[name] or percent_of_labels
        return _imagenet(protocol, width, metric, scratch, percent)
    if (name, width, metric) == ("cifar10", 1, "top_1") and (
        percent_of_labels is None
    ):
        if protocol == "probe" and not scratch:
            return Number(94.0, "B.9")
        if protocol == "supervised":
            return Number(95.1, "B.9")
    return None


# Percent of the labels that the data set itself keeps; None: all.
_IMAGENET = {
    "imagenet2012": None,
    "imagenet2012_subset/1pct": 1.0,
    "imagenet2012_subset/10pct": 10.0,
}


def _imagenet(protocol, width, metric, scratch, percent) -> Number | None:
    which = ("top_1", "top_5").index(metric)
    source = ("Table B.4", "Table 7")[which]
    if percent is None:
        number = _IMAGENET_LINEAR.get((width, metric))
        if protocol == "probe" and not scratch and number:
            return Number(number, "Table 6")
        return None
    if protocol == "finetune" and not scratch:
        pair = _FEW_LABELS.get((width, percent))
        return Number(pair[which], source) if pair else None
    if protocol == "supervised" and width == 1:
        pair = _FEW_LABELS_FROM_SCRATCH.get(percent)
        return Number(pair[which], source) if pair else None
    return None
