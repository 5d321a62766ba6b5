"""Which data set a transfer job reads."""

import pytest

from simclr_tf.build import transfer_sets
from simclr_tf.config import resolve
from simclr_tf.errors import UserError


def found(dataset, **given):
    return transfer_sets.find(
        resolve.resolve(
            {
                "mode": "evaluate",
                "protocol": "transfer_linear",
                "checkpoint": "RUN",
                "dataset": dataset,
                **given,
            }
        ).config
    )


def test_the_papers_labels_are_read():
    assert found("cifar100").label_key == "label"
    assert found("cifar100", label_key="label").label_key == "label"
    assert found("voc", label_key="labels", several_labels=True).several_labels


@pytest.mark.parametrize(
    "asked",
    [
        {"label_key": "coarse_label"},
        {"image_key": "depth"},
        {"several_labels": True},
    ],
)
def test_other_labels_are_refused_not_passed_over(asked):
    [name] = asked
    with pytest.raises(UserError, match=f"--{name}="):
        found("cifar100", **asked)
