"""What a job runs beside its training, on a made-up compiler."""

import dataclasses
import json

import pytest

from tests.tpu.test_tpu_preflight import (
    FIXED,
    PER_EXAMPLE,
    TOPOLOGY,
    made_up,
    quick,  # noqa: F401  a fixture
    run,
)
from tpu import other_steps, preflight_report

pytestmark = pytest.mark.usefixtures("quick")


@dataclasses.dataclass
class Step:
    """Of `per_replica_batch_size`; its module is the batch."""

    per_replica_batch_size: int = 64
    name: str = "evaluation step"
    resident_bytes: int = 0
    flag: str | None = "eval_batch_size"
    crosses_replicas: bool = False

    def step(self, batch):
        return batch, None


def compiled(*steps, **changes):
    changes = {"collectives": [], **changes}
    return other_steps.compile_all(
        steps,
        TOPOLOGY,
        compile_module=lambda n, t: made_up(n, t, **changes),
        say=lambda _: None,
    )


def report(found, *, batch=64):
    """JSON and table of a training step and others."""
    job = preflight_report.Job(views_per_example=2, train_steps=100)
    made = preflight_report.as_json(run(batch), job, [], None, found)
    return json.loads(json.dumps(made)), preflight_report.as_table(made)


def test_each_has_a_line_and_its_figures():
    found = compiled(Step(), Step(name="feature step"))
    made, table = report(found)
    assert made["fits"] and made["verdict"] == "fits"
    assert [s["name"] for s in made["other_steps"]] == [
        "evaluation step",
        "feature step",
    ]
    first = made["other_steps"][0]
    assert first["memory_bytes"] == FIXED + 64 * PER_EXAMPLE
    assert (first["flops"], first["bytes"]) == (3e9 * 64, 4e8 * 64)
    assert first["per_core_batch_size"] == 64
    assert first["reason"] is None
    gib = first["memory_bytes"] / 2**30
    line = f"FITS, {gib:.2f} GiB of a core, 192 GFLOP, batch 256 = 4 cores x 64"
    assert f"evaluation step    {line}" in table
    assert f"feature step       {line}" in table


def test_one_that_does_not_fit_is_named_with_the_flag_to_change():
    made, table = report(compiled(Step(512)))
    room = TOPOLOGY.hbm_bytes_per_core - FIXED
    largest = int(room / PER_EXAMPLE) // 8 * 8
    advice = f"lower --eval_batch_size to {4 * largest}"
    assert not made["fits"]
    assert made["verdict"] == (
        f"training step fits; evaluation step does not fit: {advice}"
    )
    assert (
        "verdict            TRAINING STEP FITS; EVALUATION STEP DOES NOT FIT: "
        f"LOWER --eval_batch_size TO {4 * largest}"
    ) in table
    assert made["other_steps"][0]["largest_per_core_batch_size"] == largest
    assert (
        made["reason"] == "evaluation step: RESOURCE_EXHAUSTED: out of memory"
    )
    assert f"reason             {made['reason']}" in table


def test_what_lies_beside_it_counts():
    left = TOPOLOGY.hbm_bytes_per_core - FIXED - 64 * PER_EXAMPLE
    [fits] = compiled(Step(resident_bytes=left))
    [large] = compiled(Step(resident_bytes=left + 1))
    assert fits["fits"] and not large["fits"]
    assert fits["memory_bytes"] == TOPOLOGY.hbm_bytes_per_core
    assert large["verdict"] == "does not fit"
    assert large["largest_per_core_batch_size"] < 64


def test_no_flag_is_blamed_for_what_is_no_matter_of_the_batch():
    made, table = report(compiled(Step(), reason="INVALID_ARGUMENT: no"))
    assert made["verdict"] == (
        "training step fits; evaluation step does not compile"
    )
    assert not made["fits"]
    assert "evaluation step    DOES NOT COMPILE, " in table
    assert made["reason"] == "evaluation step: INVALID_ARGUMENT: no"
    [waits] = compiled(Step(), host_operations=["outfeed"])
    assert waits["verdict"] == "compiles, but could not run"
    assert "outfeed" in waits["reason"]


@pytest.mark.parametrize("crosses_replicas", [True, False])
def test_replicas_meet_where_they_must(crosses_replicas):
    [step] = compiled(Step(crosses_replicas=crosses_replicas))
    assert step["fits"] != crosses_replicas


def test_the_training_steps_verdict_stays_its_own():
    made, table = report(compiled(Step()), batch=512)
    assert made["verdict"] == "does not fit"
    assert not made["fits"]
    assert "evaluation step   FITS" in table
