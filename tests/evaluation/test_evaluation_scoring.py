"""The one way to score, and what a result says of it."""

import json

import numpy as np
import pytest

from simclr_tf.errors import UserError
from simclr_tf.evaluation import metrics, scoring


def logits(rng, num_classes=7):
    labels = rng.integers(0, num_classes, 80)
    scores = rng.normal(size=(80, num_classes))
    return scores + 2 * np.eye(num_classes)[labels], labels


def test_it_says_what_was_scored_and_on_how_many(rng):
    scores, labels = logits(rng)
    labels[:30] = -1
    found = scoring.score(scores, labels, what="linear probe", seed=2)
    assert (found.what, found.num_examples, found.num_classes) == (
        "linear probe", 50, 7,
    )  # fmt: skip
    wanted = metrics.evaluate(scores[30:], labels[30:], seed=2)
    assert found.metrics == wanted
    assert found.num_predicted == len(set(scores[30:].argmax(1)))


def test_several_labels_are_scored_by_map(rng):
    labels = rng.integers(-1, 2, (40, 3))
    labels[:5] = -1
    found = scoring.score(rng.normal(size=(40, 3)), labels, what="probe")
    counted = (labels >= 0).any(axis=1).sum()
    assert list(found.metrics) == ["voc_map"]
    assert found.num_examples == counted and found.num_predicted is None


@pytest.mark.parametrize("shape", [(9,), (9, 4)], ids=["one", "several"])
def test_a_split_without_labels_has_no_score(rng, shape):
    with pytest.raises(UserError, match="none of the 9 images"):
        scoring.score(
            rng.normal(size=(9, 4)), np.full(shape, -1), what="linear probe"
        )


@pytest.mark.parametrize(
    ("train_mode", "after_block", "words"),
    [
        ("pretrain", -1, "linear probe trained along"),
        ("finetune", 4, "linear probe"),
        ("finetune", 3, "fine-tuned classifier"),
        ("finetune", -1, "fine-tuned classifier"),
        ("supervised", -1, "classifier from scratch"),
    ],
)
def test_a_linear_head_is_called_what_it_is(train_mode, after_block, words):
    assert scoring.what_is_scored(train_mode, after_block) == words


def test_a_result_has_the_official_keys_and_is_json(rng):
    found = scoring.score(*logits(rng), what="linear probe")
    result = json.loads(json.dumps(scoring.to_result(found)))
    assert result["eval/label_top_1_accuracy"] == found.metrics["top_1"].value
    assert result["eval/label_top_5_accuracy"] == found.metrics["top_5"].value
    low, high = result["eval/intervals"]["label_top_1_accuracy"]
    assert low <= result["eval/label_top_1_accuracy"] <= high
    assert result["eval/num_examples"] == 80
    assert result["eval/scored"] == "linear probe"


def test_a_result_without_a_score_or_on_fewer_images_is_poorer(rng):
    whole = scoring.to_result(scoring.score(*logits(rng), what="probe"))
    nothing = {"global_step": 3}
    few = {"linear_10_labels/top_1": 0.5}
    assert scoring.is_poorer(nothing, whole)
    assert scoring.is_poorer(whole, {**whole, **few})
    assert scoring.is_poorer({**whole, "eval/num_examples": 64}, whole)
    assert not scoring.is_poorer(whole, whole)
    assert not scoring.is_poorer({**whole, **few}, whole)
    assert not scoring.is_poorer(whole, nothing)
