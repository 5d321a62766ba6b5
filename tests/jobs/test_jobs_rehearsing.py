"""How large a rehearsal is, what it says, and that it finds what is wrong."""

import pytest

import run
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


@pytest.fixture(scope="module")
def teacher(tmp_path_factory):
    """A classifier as `TINY`, hardly trained."""
    folder = tmp_path_factory.mktemp("teacher")
    own = {n: v for n, v in TINY.items() if n not in ("mode", "train_steps")}
    flags = [f"--{name}={value}" for name, value in own.items()]
    status = run.main(
        [
            "run.py",
            *flags,
            "--train_mode=supervised",
            "--dataset=digits",
            "--train_batch_size=16",
            "--eval_batch_size=16",
            "--train_steps=20",
            "--warmup_epochs=0",
            "--keep_hub_module_max=0",
            f"--model_dir={folder}",
        ]
    )
    assert status == 0
    return str(folder)


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
    compared = made.compare(found, made.on_one_device(), made.roundings())
    return {quantity.name: quantity for quantity in compared}


FAULTS = {
    "momentum": {
        "lost_rows": ("contrast_loss", "at step 1"),
        "scaled": ("the kernels", "moved 0."),
        "unsummed": ("the replicas among themselves", "variables differ"),
        "negated": ("the optimizer's momentums", "moved -"),
        "lost": ("the kernels", ""),
    },
    # A kernel's gradient is divided by its norm.
    "lars": {
        "lost_rows": ("contrast_loss", "at step 1"),
        "scaled": ("the biases, gammas and betas", "moved 0."),
        "unsummed": ("the replicas among themselves", "variables differ"),
        "negated": ("the kernels", "moved -"),
        "lost": ("the optimizer's velocities", ""),
    },
}
RATES = {"momentum": 0.05, "lars": 0.3}
# Each takes seconds.
OFTEN = {
    ("momentum", "lost_rows"),
    ("momentum", "scaled"),
    ("momentum", "unsummed"),
    ("lars", "scaled"),
}


@pytest.mark.parametrize(
    ("optimizer", "fault"),
    [
        pytest.param(
            *case, marks=pytest.mark.slow if case in OFTEN else pytest.mark.soak
        )
        for optimizer, faults in FAULTS.items()
        for case in [(optimizer, fault) for fault in faults]
    ],
)
def test_a_planted_fault_is_found_by_the_name_of_what_is_off(
    monkeypatch, optimizer, fault
):
    quantity, said = FAULTS[optimizer][fault]
    for module, name in (
        (planted.step, "apply_gradients"),
        (planted.distributed, "all_gather_rows"),
    ):
        monkeypatch.setattr(module, name, getattr(module, name))
    planted.FAULTS[fault]()
    found = quantities(optimizer=optimizer, learning_rate=RATES[optimizer])
    assert not found[quantity].agrees
    assert said in found[quantity].describe()


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
        {"train_mode": "distill"},
        {"train_mode": "distill", "width_multiplier": 0.25},
        {"train_mode": "distill", "distill_alpha": 0.5, "optimizer": "lars"},
        {"augment_on": "host"},
        {"blur_sigma_per": "batch"},
    ],
    ids=lambda given: " ".join(f"{k}={v}" for k, v in given.items()),
)
@pytest.mark.parametrize("R", [2, 4])
def test_every_kind_of_step_is_the_same_on_replicas(
    request, R, given, global_bn
):
    if given.get("train_mode") == "distill":
        given = {**given, "checkpoint": request.getfixturevalue("teacher")}
    found = quantities(R=R, global_bn=global_bn, **given)
    off = [q.describe() for q in found.values() if not q.agrees]
    assert not off


@pytest.mark.slow
def test_a_student_and_its_teacher_are_the_same_on_replicas(teacher):
    found = quantities(train_mode="distill", checkpoint=teacher)
    off = [q.describe() for q in found.values() if not q.agrees]
    assert not off
    assert found["the teacher"].error == 0
    assert found["distill_loss"].error > 0
