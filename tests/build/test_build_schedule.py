"""Steps from epochs, and what cannot be trained."""

import pytest

from simclr_tf.build.schedule import make_plan, with_fitting_batch
from simclr_tf.config import resolve


def plan(num_examples=50_000, num_replicas=1, **given):
    given = {"dataset": "cifar10", **given}
    return make_plan(
        resolve.resolve(given).config,
        num_examples=num_examples,
        num_replicas=num_replicas,
    )


def test_official_cifar_numbers():
    made = plan(train_batch_size=512, train_epochs=100.0)
    assert made.train_steps == 9_766
    assert made.warmup_steps == 976
    assert made.peak_learning_rate == 2.0


def test_steps_override_epochs():
    assert plan(train_steps=123, warmup_epochs=0.0).train_steps == 123


def test_checkpoints_by_epochs_or_steps():
    assert plan(checkpoint_epochs=1.0).checkpoint_steps == 49
    assert plan(checkpoint_epochs=0.001).checkpoint_steps == 1
    assert plan(checkpoint_steps=7).checkpoint_steps == 7


@pytest.mark.parametrize(
    ("options", "names"),
    [
        ({"num_replicas": 3}, "--train_batch_size.*3 replicas"),
        (
            {"train_epochs": 1e6, "train_batch_size": 2},
            "--train_epochs=1e\\+06 .* steps",
        ),
        (
            {"num_replicas": 8, "eval_batch_size": 100},
            "--eval_batch_size.*8 replicas",
        ),
        ({"num_examples": 1000}, "--train_batch_size.*1000 images"),
        ({"train_epochs": 5.0}, "--warmup_epochs"),
        ({"train_steps": 3}, "--warmup_epochs"),
    ],
    ids=str,
)
def test_what_cannot_be_trained_is_named(options, names):
    with pytest.raises(ValueError, match=names):
        plan(**options)


@pytest.mark.parametrize(
    ("num_examples", "num_replicas", "batch"),
    [(40, 1, 20), (40, 3, 18), (3, 1, 2), (64, 1, 64), (100, 1, 64)],
)
def test_a_batch_that_nobody_typed_gives_way_to_few_images(
    num_examples, num_replicas, batch, capsys
):
    """A recipe's batch of fine-tuning is 64; one that is typed stays."""
    given = {
        "train_mode": "finetune",
        "checkpoint": "RUN",
        "dataset": "digits",
    }
    for typed in ({}, {"train_batch_size": 64}):
        made = resolve.resolve({**given, **typed})
        fitted = with_fitting_batch(
            made.config, num_examples, num_replicas, made.origins
        )
        assert fitted.optim.train_batch_size == (64 if typed else batch)
    said = capsys.readouterr().out
    assert said.count("Batch:") == (batch != 64)
