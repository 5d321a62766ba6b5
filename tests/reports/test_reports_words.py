"""A result in words."""

import numpy as np

from simclr_tf.evaluation import few_labels, scoring
from simclr_tf.reports import words


def result_of(scores, labels, what="linear probe", **more):
    scored = scoring.to_result(scoring.score(scores, labels, what=what))
    config = {"job": {"train_mode": "finetune"}, "model": {}}
    return {"global_step": 9, **scored, "config": config, **more}


def test_it_says_what_was_scored(rng):
    labels = rng.integers(0, 7, 50)
    told = words.of_result(result_of(np.eye(7)[labels], labels))
    assert "Result at step 9:" in told
    assert "  linear probe: top-1 100.0%, top-5 100.0% of 50 images" in told


def test_top_5_of_five_classes_is_no_success(rng):
    labels = rng.integers(0, 5, 50)
    told = words.of_result(result_of(np.eye(5)[labels], labels))
    assert "top-1 100.0%" in told and "top-5" not in told


def test_one_class_for_all_is_said(rng):
    labels = rng.integers(0, 7, 50)
    told = words.of_result(result_of(np.eye(7)[[2] * 50], labels))
    assert "every image into the same class" in told


def test_several_labels_are_shown(rng):
    labels = rng.integers(0, 2, (50, 4))
    told = words.of_result(result_of(labels + 0.0, labels))
    assert "voc_map 100.0% of 50 images" in told


def test_old_results_are_told_apart_by_their_configuration():
    """Of commit 8a74197: a probe is no fine-tuned classifier."""
    old = {
        "global_step": 9,
        "eval/label_top_1_accuracy": 0.5,
        "eval/label_top_5_accuracy": 0.75,
        "eval/regularization_loss": 0.1,
        "eval/num_examples": 64,
        "config": {
            "job": {"train_mode": "finetune"},
            "model": {"fine_tune_after_block": 4},
        },
    }
    line = "  linear probe: top-1 50.0%, top-5 75.0% of 64 images"
    assert words.of_result(old).splitlines() == ["Result at step 9:", line]


def test_few_labels_are_not_the_regression_whose_l2_is_chosen():
    scores = {
        f"linear_20_labels/top_1{suffix}{end}": 0.5
        for suffix in few_labels.ENCODER_SUFFIXES
        for end in ("", "_deviation")
    }
    told = words.of_result({"global_step": 9, "linear_eval_draws": 3, **scores})
    assert "l2 fixed (C = 1), on 20 labels, top-1 over 3 draws" in told
    assert "raw pixels            50.0% +- 50.0%" in told
    assert "l2 fixed" not in scoring.PROTOCOLS["logistic"]


def test_that_nothing_was_scored_is_said_once_and_why():
    told = words.of_result({"global_step": 9, "eval_split": None})
    assert told == (
        "Result at step 9: nothing was scored, since there is no split with "
        "labels to evaluate on."
    )
    told = words.of_result({"global_step": 9, "eval_split": "test"})
    assert told == "Result at step 9: nothing was scored."
