"""The TPU compiler itself, through run.py. `make preflight` installs it."""

import json
import math
import subprocess
import sys

import pytest
import tensorflow as tf

from simclr_tf import distributed
from simclr_tf.jobs.preflight.other_steps import OtherStep
from simclr_tf.models import build_simclr, resnet
from simclr_tf.models.flops import training_flops_of_view
from tpu import chips, other_steps, preflight

pytestmark = pytest.mark.slow


def go(tmp_path, *flags):
    """Status, report and output of a preflight in a process of its own."""
    path = tmp_path / "report.json"
    done = subprocess.run(
        [
            sys.executable,
            "run.py",
            "--mode=preflight",
            "--topology=v5e:2x2",
            "--dataset=imagenet2012",
            f"--data_dir={tmp_path}",
            f"--json={path}",
            *flags,
        ],
        capture_output=True,
        text=True,
    )
    report = json.loads(path.read_text()) if path.exists() else None
    return done.returncode, report, done.stdout + done.stderr


def test_a_small_job_fits_and_costs_what_its_layers_do(tmp_path):
    status, report, output = go(
        tmp_path,
        "--train_batch_size=256",
        "--resnet_depth=18",
        "--image_size=64",
        "--norehearse",
        "--model_dir=gs://bucket/run",
    )
    assert status == 0, output
    assert report["fits"]
    model = build_simclr(resnet(depth=18, image_size=64), num_classes=1000)
    expected = training_flops_of_view(model)
    assert report["flops_per_view"] == pytest.approx(expected, rel=0.1)
    weights = sum(math.prod(v.shape) for v in model.trainable_variables)
    [reduce] = report["collectives"]
    assert (reduce["kind"], reduce["group_size"]) == ("all-reduce", 4)
    assert reduce["bytes"] > 4 * weights  # the gradients, and more
    assert report["host_operations"] == []
    for said in ("1281167 images", "memory of a core", "all-reduce", "hours"):
        assert said in output


def test_what_does_not_fit_is_refused_with_the_largest_that_does():
    """A step whose input alone is 4 MiB per example, on cores of 16 GiB."""
    topology = chips.parse_topology("v5e:2x2")
    asked, example_bytes = 6000, 2**22

    @tf.function(jit_compile=True)
    def step(index, images):
        with distributed.one_of(topology.num_cores, index):
            return distributed.all_reduce_sum(tf.reduce_max(images, axis=0))

    def make_step(batch):
        images = tf.TensorSpec([batch, example_bytes // 4], tf.float32)
        return step, [tf.TensorSpec([], tf.int32), images]

    verdict = preflight.run(make_step, topology, per_core_batch_size=asked)
    assert not verdict.fits
    assert verdict.too_large
    limit = verdict.compiled.limit_bytes
    assert verdict.compiled.used_bytes > limit > 15 * 2**30
    # Less than the input does not fit; beside it there is little.
    most = limit / example_bytes
    granule = preflight.granularity(asked)
    assert 0.95 * most - granule < verdict.largest < most
    refused = min(n for n, fits in verdict.tried.items() if not fits)
    assert verdict.tried[verdict.largest]
    assert refused - verdict.largest <= granule


TINY = (
    "--train_batch_size=36",
    "--eval_batch_size=36",
    "--image_size=16",
    "--resnet_depth=10",
    "--width_multiplier=0.125",
)


def test_the_other_steps_of_a_job_compile_and_fit(tmp_path):
    """An evaluation moves no weights and costs a third of a training step."""
    status, report, output = go(
        tmp_path,
        "--dataset=digits",
        "--resnet_depth=10",
        "--width_multiplier=0.25",
        "--train_batch_size=64",
        "--eval_batch_size=128",
        "--norehearse",
    )
    assert status == 0, output
    check, evaluation, features = report["other_steps"]
    assert (check["name"], evaluation["name"], features["name"]) == (
        "check of the loss",
        "evaluation step",
        "feature step",
    )
    # As many images a core as both views of a training step.
    assert evaluation["per_core_batch_size"] == 32
    assert evaluation["flops"] == pytest.approx(report["flops"] / 3, rel=0.1)
    assert evaluation["flops"] < features["flops"] < 1.1 * evaluation["flops"]
    for step in (evaluation, features):
        assert step["fits"] and step["reason"] is None
        assert step["resident_bytes"] < step["memory_bytes"] < 2**30
    assert "evaluation step    FITS, " in output
    assert "batch 128 = 4 cores x 32" in output


def test_an_evaluation_that_does_not_fit_names_its_flag():
    """A batch whose images alone are 4 MiB each, on cores of 16 GiB."""
    topology = chips.parse_topology("v5e:2x2")

    @tf.function(jit_compile=True)
    def step(index, images):
        return tf.reduce_max(images, axis=1) + tf.cast(index, tf.float32)

    def make_step(batch):
        images = tf.TensorSpec([batch, 2**20], tf.float32)
        return step, [tf.TensorSpec([], tf.int32), images]

    made = OtherStep(
        "evaluation step", make_step, 6000, 2**30, "eval_batch_size"
    )
    [found] = other_steps.compile_all([made], topology)
    largest = found["largest_per_core_batch_size"]
    assert found["verdict"] == "does not fit"
    assert found["advice"] == f"lower --eval_batch_size to {4 * largest}"
    # A GiB is taken by what lies beside it.
    assert 0.95 * 14.75 * 256 < largest < 15 * 256


def test_a_rehearsal_of_a_whole_job(tmp_path):
    """Compiles, fits, computes the same: in float32, and in its bfloat16."""
    status, report, output = go(
        tmp_path,
        *TINY,
        "--train_batch_size=16",
        "--eval_batch_size=16",
        # By the batch, a tiny part of it.
        "--learning_rate=4.8",
        "--rehearse",
    )
    assert status == 0, output
    assert report["verdict"] == "compiles, fits, computes the same"
    rehearsal = report["rehearsal"]
    assert set(rehearsal["dtypes"]) == {"float32", "bfloat16"}
    assert rehearsal["whole"] and rehearsal["num_replicas"] == 4
    assert "4 replicas x 4 examples" in output
    names = {q["name"] for q in rehearsal["dtypes"]["float32"]["quantities"]}
    assert {
        "contrast_loss",
        "supervised_loss",
        "the kernels",
        "BN's moving variances",
        "the optimizer's velocities",
        "the replicas among themselves",
    } <= names


@pytest.mark.parametrize(
    "flags",
    [
        # Synchronised BN, whose gradient v6e's compiler once crashed on.
        ("--topology=v6e:2x2", "--loss=nt_logistic", "--semi_hard"),
        (
            "--loss=margin_triplet",
            "--semi_hard",
            "--operators=crop,color,rotate,cutout,noise,sobel,equalize,"
            "solarize,motion_blur,blur",
        ),
    ],
)
def test_every_loss_and_operator_compiles(tmp_path, flags):
    status, report, output = go(
        tmp_path, *TINY, *flags, "--norehearse", "--model_dir=gs://bucket/run"
    )
    assert status == 0, output
    assert report["host_operations"] == []


def test_a_topology_of_no_known_form_is_one_clear_line(tmp_path):
    status, _, output = go(tmp_path, *TINY, "--topology=v5e")
    assert status == 2
    assert output.strip().splitlines()[-1].startswith("error: --topology")


def test_a_slice_smaller_than_a_host_is_two_replicas(tmp_path):
    status, report, _ = go(
        tmp_path, *TINY, "--topology=v5e:1x2", "--norehearse"
    )
    assert (status, report["num_replicas"]) == (0, 2)


def test_a_slice_that_does_not_exist_is_the_compilers_to_refuse(tmp_path):
    status, report, _ = go(tmp_path, *TINY, "--topology=v5e:3x3")
    assert status == 4
    steps = report["verdict"].split("; ")
    assert steps[0] == "training step does not compile"
    assert all(step.endswith(" does not compile") for step in steps)
    assert "INVALID_ARGUMENT" in report["reason"]
