"""The TPU compiler itself, through run.py. `make preflight` installs it."""

import json
import math
import subprocess
import sys

import pytest
import tensorflow as tf

from simclr_tf import distributed
from simclr_tf.models import build_simclr, resnet
from simclr_tf.models.flops import training_flops_of_view
from tpu import chips, preflight

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


def test_a_slice_that_does_not_exist_is_the_compilers_to_refuse(tmp_path):
    status, report, _ = go(tmp_path, *TINY, "--topology=v5e:3x3")
    assert status == 4
    assert report["verdict"] == "does not compile"
    assert "INVALID_ARGUMENT" in report["reason"]
