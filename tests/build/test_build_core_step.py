"""A job's step without devices and data."""

import pytest

from simclr_tf.build import core_step
from simclr_tf.config import resolve
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
