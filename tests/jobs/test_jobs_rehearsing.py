"""How large a rehearsal is, what it says, and that it finds what is wrong."""

import pytest

from simclr_tf.build.rehearsal import Rehearsal
from simclr_tf.config import resolve
from simclr_tf.jobs.preflight import rehearsing
from simclr_tf.jobs.preflight.rehearsing import Size
from tests import planted
from tpu import rehearsal

MODEST = {"num_replicas": 4, "per_replica_batch_size": 64}


@pytest.mark.parametrize(
    ("flops_per_example", "expected"),
    [
        (1.0, Size(4, 64, True)),
        (1000.0 / 256, Size(4, 64, True)),
        (1000.0 / 128, Size(4, 32, False)),
        (1000.0 / 16, Size(4, 4, False)),
        (1000.0 / 8, Size(2, 4, False)),
        (1e9, Size(2, 4, False)),
    ],
)
def test_what_two_cores_can_carry(flops_per_example, expected):
    found = rehearsing.size(
        **MODEST, flops_per_example=flops_per_example, most=1000.0
    )
    assert found == expected


def test_many_replicas_become_fewer():
    job = {"per_replica_batch_size": 2, "flops_per_example": 1.0}
    assert rehearsing.size(num_replicas=64, **job) == Size(16, 2, False)
    large = rehearsing.size(num_replicas=16, num_weights=10**8, **job)
    assert large.num_replicas == 4


def test_one_replica_stays_one():
    job = {"per_replica_batch_size": 8, "flops_per_example": 1e30}
    assert rehearsing.size(num_replicas=1, **job) == Size(1, 4, False)


@pytest.mark.parametrize(
    ("quantities", "reason", "same", "said"),
    [
        ([("a loss", True)], None, True, "agree within a loss 2.0e-06"),
        (
            [("a loss", True), ("the kernels", False)],
            None,
            False,
            "OFF: the kernels by half",
        ),
        ([], "no memory", None, "could not be run: no memory"),
    ],
)
def test_what_is_said(quantities, reason, same, said):
    found = {
        "reason": reason,
        "quantities": [
            {
                "name": name,
                "error": 2e-6,
                "agrees": agrees,
                "said": f"{name} by half",
            }
            for name, agrees in quantities
        ],
    }
    config = resolve.resolve({"mode": "preflight"}).config
    report = rehearsing._report(
        {"float32": found}, Size(2, 4, False), 4, config
    )
    assert report["same"] is same
    assert report["off"] == [n for n, agrees in quantities if not agrees]
    (_, first), *others = report["lines"]
    assert first == "2 replicas x 4 examples; smaller than the job, 4 x 64"
    assert said in " ".join(text for _, text in others)


TINY = {
    "mode": "preflight",
    "resnet_depth": 10,
    "width_multiplier": 0.125,
    "image_size": 16,
    "train_steps": 100,
    "warmup_epochs": 0.1,
    "mixed_precision": "none",
    "optimizer": "momentum",
    "learning_rate": 0.05,
}


def quantities(R=2, N=8, **given):
    """Name -> what came of comparing, of a tiny job."""
    sizes = {"train_batch_size": R * N, "eval_batch_size": R * N}
    made = Rehearsal(
        resolve.resolve({**TINY, **sizes, **given}).config,
        num_examples=1437,
        num_classes=10,
        num_replicas=R,
        num_steps=3,
    )
    done = rehearsal.perform(
        made.function, made.specs, made.steps, made.variables, made.watched
    )
    assert done.reason is None
    found = made.on_replicas(done.watched, done.after, done.differing)
    rounded = made.on_one_device(reverse=True)
    compared = made.compare(found, made.on_one_device(), [rounded])
    return {quantity.name: quantity for quantity in compared}


FAULTS = {
    "lost_rows": ("contrast_loss", "at step 1"),
    "scaled": ("the kernels", "moved 0."),
    "unsummed": ("the replicas among themselves", "variables differ"),
    "negated": ("the optimizer's momentums", "moved -"),
    "lost": ("the kernels", ""),
}
# Each takes seconds.
OFTEN = {"lost_rows", "scaled", "unsummed"}


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(
            name, marks=pytest.mark.slow if name in OFTEN else pytest.mark.soak
        )
        for name in FAULTS
    ],
)
def test_a_planted_fault_is_found_by_the_name_of_what_is_off(
    monkeypatch, fault
):
    quantity, said = FAULTS[fault]
    for module, name in (
        (planted.step, "apply_gradients"),
        (planted.distributed, "all_gather_rows"),
    ):
        monkeypatch.setattr(module, name, getattr(module, name))
    planted.FAULTS[fault]()
    found = quantities()[quantity]
    assert not found.agrees
    assert said in found.describe()


@pytest.mark.soak
@pytest.mark.parametrize("global_bn", [True, False])
@pytest.mark.parametrize(
    "given",
    [
        {"optimizer": "lars", "learning_rate": 0.3},
        {"optimizer": "adam", "learning_rate": 0.001, "loss": "nt_logistic"},
        {"loss": "nt_logistic", "semi_hard": True},
        {"loss": "margin_triplet"},
        {"loss": "margin_triplet", "semi_hard": True, "optimizer": "lars"},
        {"negative_views": "other"},
        {"train_mode": "supervised"},
        {"train_mode": "supervised", "optimizer": "lars"},
        {"train_mode": "supervised", "optimizer": "adam"},
        {"train_mode": "finetune", "checkpoint": "nowhere"},
        {
            "train_mode": "finetune",
            "checkpoint": "nowhere",
            "fine_tune_after_block": 2,
            "optimizer": "lars",
        },
        {"augment_on": "host"},
        {"blur_sigma_per": "batch"},
    ],
    ids=lambda given: " ".join(f"{k}={v}" for k, v in given.items()),
)
@pytest.mark.parametrize("R", [2, 4])
def test_every_kind_of_step_is_the_same_on_replicas(R, given, global_bn):
    found = quantities(R=R, global_bn=global_bn, **given)
    off = [q.describe() for q in found.values() if not q.agrees]
    assert not off
