"""A job's step without devices and data."""

import pytest

from simclr_tf.build import core_step
from simclr_tf.config import resolve
from simclr_tf.models.batch_norm import BatchNorm
from tpu import compiled_text


def config(**given):
    return resolve.resolve(given, defaults="paper").config


def test_data_that_is_here_is_asked():
    facts = core_step.data_facts(config(num_examples=5))
    assert (facts.num_examples, facts.num_classes) == (1437, 10)
    assert facts.missing is None


def test_imagenet_need_not_be_here(tmp_path):
    options = config(dataset="imagenet2012", data_dir=str(tmp_path))
    facts = core_step.data_facts(options)
    assert (facts.num_examples, facts.num_classes) == (1_281_167, 1000)
    [(level, text), *_] = core_step.findings(options, facts, num_hosts=1)
    assert level == "warning"
    assert "1281167" in text


def test_unknown_data_must_be_described(tmp_path):
    missing = {"dataset": "mine", "data_dir": str(tmp_path)}
    with pytest.raises(ValueError, match="--num_examples"):
        core_step.data_facts(config(**missing))
    facts = core_step.data_facts(config(**missing, num_examples=9))
    assert (facts.num_examples, facts.num_classes) == (9, None)


@pytest.mark.parametrize(
    ("path", "num_hosts", "level"),
    [("gs://b/r", 4, "ok"), ("runs/r", 4, "warning"), ("runs/r", 1, "ok")],
)
def test_several_hosts_need_a_shared_path(path, num_hosts, level):
    options = config(model_dir=path)
    facts = core_step.DataFacts(100, 10)
    found = core_step.findings(options, facts, num_hosts=num_hosts)
    assert [(lv, t.split(":")[0]) for lv, t in found[1:]] == [
        (level, f"--model_dir={path.split(':')[0]}")
    ]


@pytest.mark.parametrize(
    ("given", "flag"),
    [
        ({"train_batch_size": 66}, "--train_batch_size"),
        ({"micro_batch_size": 16, "global_bn": False}, "--micro_batch_size"),
        ({"train_steps": 10, "warmup_epochs": 100.0}, "--warmup_epochs"),
    ],
)
def test_what_a_run_would_refuse_is_refused(given, flag):
    facts = core_step.DataFacts(1437, 10)
    with pytest.raises(ValueError, match=flag):
        core_step.PlannedJob(config(**given), facts=facts, num_replicas=4)


def test_the_step_sums_over_all_replicas_and_is_the_trainers_own():
    """BN's moments, the gather, the gradients: each crosses replicas once."""
    options = config(
        width_multiplier=0.125,
        train_batch_size=32,
        eval_batch_size=32,
        mixed_precision="none",
    )
    facts = core_step.DataFacts(1437, 10)
    job = core_step.PlannedJob(options, facts=facts, num_replicas=4)
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
