"""Distillation through run.py: what learns, what stays, what is refused."""

import json
import shutil
import signal
import subprocess
import time

import numpy as np
import pytest
import tensorflow as tf

import run
from simclr_tf.build import inheritance
from simclr_tf.build.core_step import CoreStep
from simclr_tf.build.distilling.lesson import Lesson
from simclr_tf.config import resolve
from simclr_tf.run_files import checkpoints
from tests import processes
from tests.official import tf1_files as tf1
from tests.tiny_datasets import write_tfds
from tpu import compiled_text

SHORT = (
    "--train_batch_size=16",
    "--eval_batch_size=32",
    "--warmup_epochs=0",
    "--log_steps=1",
    "--keep_hub_module_max=0",
    "--mixed_precision=none",
)


ONE_STEP = (*SHORT, "--train_steps=1")


def call(*arguments):
    return run.main(["run.py", *SHORT, *map(str, arguments)])


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    """Ten classes of 16 px under one name, five under another, none under a
    third."""
    folder = str(tmp_path_factory.mktemp("tfds"))
    sizes = {"splits": {"train": 80, "test": 20}, "image_shape": (16, 16, 3)}
    write_tfds("cifar10", folder, num_classes=10, **sizes)
    write_tfds("five_kinds", folder, num_classes=5, **sizes)
    write_tfds("no_kinds", folder, num_classes=None, **sizes)
    return folder


@pytest.fixture(scope="module")
def teacher(data_dir, tmp_path_factory):
    folder = tmp_path_factory.mktemp("teacher")
    status = call(
        "--train_mode=supervised",
        "--dataset=cifar10",
        "--image_size=16",
        "--resnet_depth=10",
        "--width_multiplier=0.125",
        "--train_steps=2",
        f"--data_dir={data_dir}",
        f"--model_dir={folder}",
    )
    assert status == 0
    return folder


@pytest.fixture
def go(tmp_path, teacher, capsys):
    def distill(*arguments, checkpoint=teacher, model_dir="run"):
        status = call(
            "--train_mode=distill",
            f"--checkpoint={checkpoint}",
            f"--model_dir={tmp_path / model_dir}",
            *arguments,
        )
        distill.out, distill.err = capsys.readouterr()
        return status

    return distill


def weights(folder):
    return checkpoints.read(checkpoints.checkpoint_paths(str(folder))[-1])


def test_a_student_learns_and_its_teacher_stays(
    go, teacher, tmp_path, monkeypatch
):
    """Bit for bit; and the student's checkpoint holds the student only."""
    met, build = [], Lesson.build

    def remember(lesson, dtype):
        build(lesson, dtype)
        met.append(lesson.model)

    monkeypatch.setattr(Lesson, "build", remember)
    status = go("--train_steps=3", "--mode=train_then_eval")
    assert status == 0, go.err
    assert "distilled classifier: top-1" in go.out
    before, after = weights(teacher), weights(tmp_path / "run")
    now = checkpoints.named_variables(met[0].variables)
    assert now.keys() <= before.keys()
    for name, variable in now.items():
        np.testing.assert_array_equal(variable.numpy(), before[name], name)
    assert f"Frozen and unchanged: {len(now)} variables" in go.out
    assert not met[0].trainable_variables
    # As many as the teacher's, with the optimizer's: nothing is there twice.
    assert len(after) == len(before)
    assert any(np.any(after[name] != before[name]) for name in now)
    line = processes.logged(tmp_path / "run")[-1]
    assert {"train/distill_loss", "train/distill_acc"} <= line.keys()
    assert "train/supervised_loss" not in line
    record = json.loads((tmp_path / "run/record.json").read_text())
    assert record["choices"]["distill_temperature"] == 0.1  # of one shape
    assert record["choices"]["teacher"].startswith(str(teacher))
    assert record["label_subset"] is None


def test_labels_count_where_they_are_asked_for(go, tmp_path):
    """Few labels, all images; and another encoder, as its flags say."""
    status = go(
        "--distill_alpha=0.5",
        "--labels_per_class=2",
        "--width_multiplier=0.25",
        "--train_steps=1",
        "--mode=train_then_eval",
    )
    assert status == 0, go.err
    assert "80 images, 10 classes: 0 2, 1 2" in go.out
    assert "supervised_loss" in (tmp_path / "run/metrics.jsonl").read_text()
    record = json.loads((tmp_path / "run/record.json").read_text())
    assert record["label_subset"]["num_examples"] == 20
    assert record["choices"]["distill_temperature"] == 1
    assert record["config"]["model"]["width_multiplier"] == 0.25


def as_pretrained(folder):
    path = folder / "config.json"
    saved = json.loads(path.read_text())
    saved["config"]["job"]["train_mode"] = "pretrain"
    path.write_text(json.dumps(saved))


@pytest.mark.parametrize(
    "flags, told",
    [
        (["--image_size=32"], "--image_size=32 is not what --checkpoint="),
        (["--num_channels=1"], "--num_channels=1 is not what --checkpoint="),
        (["--label_fraction=0.5"], "with --distill_alpha=1 none do"),
        (["--teacher_proj_selector=1"], "--teacher_proj_selector must be 0"),
        (["--train_mode=supervised"], "is not for --train_mode=supervised"),
        (["--distill_temperature=0"], "--distill_temperature must be"),
        (["--distill_alpha=0"], "--distill_alpha must be greater than 0"),
        (
            ["--dataset=five_kinds", "--distill_alpha=0.5"],
            "those of five_kinds are 5 classes (0, 1, 2, 3, 4), those of the "
            "teacher",
        ),
        (
            ["--dataset=five_kinds", "--eval_split=test"],
            "--eval_split=test looks at labels",
        ),
        (
            ["--dataset=no_kinds", "--distill_alpha=0.5"],
            "--distill_alpha=0.5 needs labels",
        ),
    ],
    ids=str,
)
def test_what_cannot_be_costs_one_line(go, data_dir, flags, told):
    if "--train_mode=supervised" not in flags:
        flags = [*flags, f"--data_dir={data_dir}"]
    assert go("--train_steps=1", *flags) == 2
    assert told in go.err and len(go.err.strip().splitlines()) == 1


def test_a_teacher_must_be_a_classifier(go, teacher, tmp_path, capsys):
    pretrained = tmp_path / "pretrained"
    shutil.copytree(teacher, pretrained)
    as_pretrained(pretrained)
    assert go("--train_steps=1", checkpoint=pretrained) == 2
    assert "is a pretrained encoder, and no classifier" in go.err
    assert call("--train_mode=distill", f"--model_dir={tmp_path}") == 2
    assert "needs --checkpoint, the teacher" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize("dataset", ["five_kinds", "no_kinds"])
def test_any_images_will_do(go, data_dir, tmp_path, teacher, dataset):
    """Of other classes, and of none: the student is of the teacher's."""
    status = go(
        f"--dataset={dataset}",
        f"--data_dir={data_dir}",
        "--train_steps=1",
        "--mode=train_then_eval",
    )
    assert status == 0, go.err
    assert "nothing was scored" in go.out
    assert weights(tmp_path / "run")["linear_head:bias"].shape == (10,)
    saved = json.loads((tmp_path / "run/config.json").read_text())
    assert saved["data"]["class_names"] == [str(i) for i in range(10)]


@pytest.mark.slow
def test_a_run_goes_on_with_its_teacher_or_not_at_all(go, teacher, tmp_path):
    """It may have trained on by then; what it was is what counts."""
    arguments = ("--train_steps=3", "--checkpoint_steps=1")
    copy = tmp_path / "teacher"
    shutil.copytree(teacher, copy)
    assert go(*arguments, checkpoint=copy, model_dir="straight") == 0
    assert go(*arguments, checkpoint=copy) == 0, go.err
    for path in (tmp_path / "run").glob("ckpt-3.*"):
        path.unlink()
    for path in copy.glob("ckpt-2.*"):  # a newer one
        shutil.copy(path, copy / path.name.replace("ckpt-2", "ckpt-9"))
    assert go(*arguments, checkpoint=copy) == 0, go.err
    assert "Continuing from" in go.out and "ckpt-2, step 2" in go.out
    straight, resumed = (weights(tmp_path / n) for n in ("straight", "run"))
    for name in straight:
        np.testing.assert_array_equal(straight[name], resumed[name], name)

    shutil.rmtree(copy)
    status = call(
        "--train_mode=supervised",
        "--dataset=cifar10",
        "--seed=7",
        "--image_size=16",
        "--resnet_depth=10",
        "--width_multiplier=0.125",
        "--train_steps=2",
        f"--data_dir={json.loads(config(teacher))['config']['data']['data_dir']}",
        f"--model_dir={copy}",
    )
    assert status == 0
    for path in (tmp_path / "run").glob("ckpt-3.*"):
        path.unlink()
    assert go(*arguments, checkpoint=copy) == 2
    assert "is not the one that --model_dir=" in go.err


def config(folder):
    return (folder / "config.json").read_text()


@pytest.mark.slow
def test_a_changed_teacher_is_found_at_the_end(go, monkeypatch):
    """Planted: something moves the teacher during training."""
    from simclr_tf.train.supervised import DistillTrainer

    ends = DistillTrainer.train_loop_end

    def move(self):
        one = self._teacher.encoder.variables[0]
        one.assign_add(tf.ones_like(one) * 1e-6)
        return ends(self)

    monkeypatch.setattr(DistillTrainer, "train_loop_end", move)
    assert go("--train_steps=1") == 3
    assert "is not what it was when training began" in go.err


@pytest.mark.slow
def test_a_student_is_used_as_any_classifier(
    go, teacher, data_dir, tmp_path, capsys
):
    """Started from weights, followed, evaluated, exported, and a teacher."""
    status = go(
        "--train_steps=1",
        f"--student_checkpoint={teacher}",
        "--keep_hub_module_max=1",
    )
    assert status == 0, go.err
    assert "Weights from" in go.out
    student = tmp_path / "run"
    assert call("--mode=eval", f"--model_dir={student}") == 0
    assert "distilled classifier: top-1" in capsys.readouterr().out
    uses = {
        "knn": ("--mode=evaluate", "--protocol=knn", f"--data_dir={data_dir}"),
        "export": ("--mode=export", "--format=saved_model"),
        "taught": ("--train_mode=distill", f"--data_dir={data_dir}", *ONE_STEP),
    }
    for name, flags in uses.items():
        for number, place in enumerate((student, student / "saved_model/1")):
            where = f"--model_dir={tmp_path / name}{number}"
            words = ["run.py", *flags, f"--checkpoint={place}", where]
            status = run.main(words)
            assert status == 0, (name, place, capsys.readouterr().err)
    status = go(
        "--width_multiplier=0.25",
        "--train_steps=1",
        f"--student_checkpoint={teacher}",
        model_dir="wide",
    )
    assert status == 2 and "--student_checkpoint=" in go.err


@pytest.fixture(scope="module")
def on_textures(tmp_path_factory):
    """A teacher on images no two pixels of which agree, and the place."""
    folder = tmp_path_factory.mktemp("textures")
    processes.write_textures(folder / "tfds")
    made = folder / "teacher"
    arguments = processes.command(folder / "tfds", made)[2:]
    kept = [a for a in arguments if "proj_out_dim" not in a]
    assert run.main(["run.py", *kept, "--train_mode=supervised"]) == 0
    return folder


def student(folder, name, *flags, program="run.py"):
    arguments = processes.command(
        folder / "tfds",
        folder / name,
        "--train_mode=distill",
        f"--checkpoint={folder / 'teacher'}",
        *flags,
        program=program,
    )
    return arguments, folder / name


@pytest.mark.slow
def test_two_replicas_train_as_one_does(on_textures):
    """Losses of 5 steps, and the way that the weights went; softplus for ReLU,
    as in test_train_replicas."""
    ends = []
    for count in (1, 2):
        arguments, place = student(
            on_textures,
            f"on_{count}",
            "--optimizer=momentum",
            "--momentum=0",
            "--learning_rate=0.002",
            "--learning_rate_scaling=linear",
            f"--virtual_devices={count}",
            program="tests/planted.py",
        )
        arguments[2:2] = ["smooth"]
        processes.run(arguments)
        losses = [x["train/distill_loss"] for x in processes.logged(place)]
        ends.append((np.array(losses), processes.state(place, 5)))
    (losses, one), (on_two, two) = ends
    assert len(losses) == 5
    np.testing.assert_allclose(on_two, losses, rtol=1e-4)
    start = processes.state(on_textures / "on_1", 1)
    keys = [k for k in one if "kernel" in k and ":m" not in k]
    moved, apart = (
        np.sqrt(sum(np.sum((one[k] - other[k]) ** 2) for k in keys))
        for other in (start, two)
    )
    assert apart < 1e-3 * moved


@pytest.mark.slow
def test_a_killed_run_ends_bit_for_bit(on_textures):
    flags = ("--train_steps=30", "--checkpoint_steps=5")
    arguments, place = student(on_textures, "straight", *flags)
    assert run.main(["run.py", *arguments[2:]]) == 0
    straight = processes.state(place, 30)
    arguments, place = student(on_textures, "killed", *flags)
    process = subprocess.Popen(
        arguments, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    while process.poll() is None and not list(place.glob("ckpt-10.index")):
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert not list(place.glob("ckpt-30.index"))
    assert run.main(["run.py", *arguments[2:]]) == 0
    processes.assert_same_bits(straight, processes.state(place, 30))


@pytest.mark.slow
def test_a_preflight_has_the_teacher_in_its_step(teacher):
    """The step that one of two TPU cores would run; of the teacher, nothing
    crosses replicas."""
    given = {
        "mode": "preflight",
        "train_mode": "distill",
        "checkpoint": str(teacher),
        "model_dir": "gs://nowhere/run",  # nobody looks into it
        "train_batch_size": 16,
        "eval_batch_size": 16,
        "mixed_precision": "none",
    }
    made = resolve.resolve(given, inherited=inheritance.of_checkpoint(given))
    job = CoreStep(made.config, num_examples=80, num_classes=10, num_replicas=2)
    function, specs = job.step(8)
    text = function.experimental_get_compiler_ir(*specs)(stage="hlo")
    found = compiled_text.collectives(text, num_replicas=2)
    assert compiled_text.crosses_all_replicas(found, num_replicas=2)
    assert compiled_text.host_operations(text) == []
    alone = resolve.overlay(
        made.config, {"train_mode": "supervised", "checkpoint": None}
    )
    other = CoreStep(alone, num_examples=80, num_classes=10, num_replicas=2)
    assert job.num_weights == 2 * other.num_weights
    forward_too = job.flops_per_example / other.flops_per_example
    assert 1.3 < forward_too < 1.4
    plain, specs = other.step(8)
    text = plain.experimental_get_compiler_ir(*specs)(stage="hlo")
    others = compiled_text.collectives(text, num_replicas=2)
    # Less the count of the labelled, which distillation doesn't ask for.
    assert sum(c.count for c in found) <= sum(c.count for c in others) + 2


@pytest.mark.slow
def test_an_official_checkpoint_teaches(go, tmp_path):
    """Its shapes leave open what its linear head reads, which is asked for;
    the student has the names of the data, which the checkpoint has not."""
    variables = tf1.encoder() | tf1.projection([64, 64, 16]) | tf1.linear()
    official = tmp_path / "official"
    tf1.write(official, variables)
    flags = (
        "--dataset=digits",
        "--train_split=train[:64]",
        "--train_steps=1",
        "--mode=train_then_eval",
        "--eval_split=test[:32]",
    )
    assert go(*flags, checkpoint=official) == 2
    assert "--teacher_proj_selector must be 0 or 1 or 2" in go.err
    selected = (*flags, "--teacher_proj_selector=1")
    assert go(*selected, checkpoint=official) == 0, go.err
    saved = json.loads((tmp_path / "run/config.json").read_text())
    assert saved["data"]["class_names"] == [str(i) for i in range(10)]
    assert saved["config"]["model"]["width_multiplier"] == 0.125
    assert not any("projection" in n for n in weights(tmp_path / "run"))
    no_head = tmp_path / "no_head"
    tf1.write(no_head, tf1.encoder())
    assert go(*flags, checkpoint=no_head) == 2
    assert "has no linear head, and a teacher needs one" in go.err
