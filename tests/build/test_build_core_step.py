"""A job's step without devices and data."""

import re

import numpy as np
import pytest
import tensorflow as tf

from simclr_tf.build import core_step
from simclr_tf.config import resolve
from simclr_tf.evaluation import features
from simclr_tf.models.batch_norm import BatchNorm
from tpu import compiled_text


def config(**given):
    return resolve.resolve(given, defaults="paper").config


@pytest.mark.parametrize(
    ("given", "flag"),
    [
        ({"train_batch_size": 66}, "--train_batch_size"),
        ({"micro_batch_size": 16, "global_bn": False}, "--micro_batch_size"),
        ({"train_steps": 10, "warmup_epochs": 100.0}, "--warmup_epochs"),
    ],
)
def test_what_a_run_would_refuse_is_refused(given, flag):
    with pytest.raises(ValueError, match=flag):
        core_step.CoreStep(
            config(**given), num_examples=1437, num_classes=10, num_replicas=4
        )


def test_the_step_sums_over_all_replicas_and_is_the_trainers_own():
    """BN's moments, the gather, the gradients: each crosses replicas once."""
    options = config(
        width_multiplier=0.125,
        train_batch_size=32,
        eval_batch_size=32,
        mixed_precision="none",
    )
    job = core_step.CoreStep(
        options, num_examples=1437, num_classes=10, num_replicas=4
    )
    function, specs = job.step(8)
    # The traced program, whose operations have not been merged yet.
    text = function.experimental_get_compiler_ir(*specs)(stage="hlo")
    found = compiled_text.collectives(text, num_replicas=4)
    assert {c.kind for c in found} == {"all-reduce"}
    assert compiled_text.crosses_all_replicas(found, num_replicas=4)
    assert compiled_text.host_operations(text) == []
    norms = sum(isinstance(m, BatchNorm) for m in job.model.submodules)
    gradients = len(job.model.trainable_variables)
    # Norms and the gather cross replicas forwards and backwards.
    assert sum(c.count for c in found) >= gradients + 2 * norms + 2


def test_the_inference_step_is_what_features_are_extracted_by(rng):
    """The program of a replica, run; and nothing in it crosses replicas."""
    options = config(width_multiplier=0.125, mixed_precision="none")
    job = core_step.CoreStep(
        options, num_examples=1437, num_classes=10, num_replicas=4
    )
    S, C = options.data.image_size, options.model.num_channels
    batch = {
        "images": rng.integers(0, 256, [8, S, S, C], np.uint8),
        "label": np.arange(8),
        "id": np.arange(8) + 100,
        "mask": np.arange(8) < 7,
    }
    for encode in (features.logits_of, features.h_and_z_of):
        encode = encode(job.model)
        function, specs = job.inference_step(encode, 8)
        assert [spec.name for spec in specs] == ["replica", *batch]
        text = function.experimental_get_compiler_ir(*specs)(stage="hlo")
        assert not compiled_text.collectives(text, num_replicas=4)
        assert compiled_text.host_operations(text) == []
        found = function(tf.constant(2), *map(tf.constant, batch.values()))
        wanted = features.extract(
            encode,
            tf.data.Dataset.from_tensors(batch),
            strategy=tf.distribute.OneDeviceStrategy("CPU:0"),
        )
        for column, one in zip(found, wanted, strict=False):
            np.testing.assert_allclose(column[:7], one, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"loss": "nt_logistic", "semi_hard": True},
        {"loss": "margin_triplet", "negative_views": "other"},
    ],
)
def test_the_check_of_the_loss_is_a_program_for_xla(given):
    """Which wants all shapes: a TPU would compile it before training."""
    job = core_step.CoreStep(
        config(width_multiplier=0.125, **given),
        num_examples=1437,
        num_classes=10,
        num_replicas=4,
    )
    function, specs = job.loss_check_step(2)
    text = function.experimental_get_compiler_ir(*specs)(stage="hlo")
    found = compiled_text.collectives(text, num_replicas=4)
    assert compiled_text.crosses_all_replicas(found, num_replicas=4)
    assert not re.search(r"\[[\d,]*<=", text)  # a length that may be less
