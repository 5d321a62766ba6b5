"""The programs beside the training step that a preflight compiles."""

import json
import types

import numpy as np
import pytest
import tensorflow as tf

import run
from simclr_tf.config import resolve
from simclr_tf.evaluation import features
from simclr_tf.jobs.preflight import other_steps
from tpu import compiler
from tpu.compiled_text import Collective
from tpu.compiler import Compiled

# Columns of what the stand-in network says of an image.
D, d, K = 7, 3, 5


class Core:
    """Stands in for `CoreStep`: an inference step is its columns."""

    def __init__(self, *, head=True, teacher=False):
        self.model = Model(head)
        self.optimizer = types.SimpleNamespace(variables=[tf.Variable(1.0)] * 2)
        self.lesson = types.SimpleNamespace(model=Model()) if teacher else None

    def inference_step(self, encode, per_replica_batch_size):
        images = tf.zeros([per_replica_batch_size, 2, 2, 3])
        return encode(images).shape.as_list()

    def loss_check_step(self, per_replica_batch_size):
        return [per_replica_batch_size]


class Model:
    """Stands in for `SimClr`, with variables of 40 bytes."""

    def __init__(self, head=True):
        self.variables = [tf.Variable(np.zeros(10, np.float32))]
        self.probe_variables = self.variables if head else []

    def __call__(self, images, training):
        assert training is False
        N = images.shape[0]
        return types.SimpleNamespace(
            features=tf.zeros([N, D]),
            projections=tf.zeros([N, d]),
            logits=tf.zeros([N, K]),
        )


CHECK = ("check of the loss", [2])
EVALUATION = ("evaluation step", [64, K])


def steps_of(core=None, *, is_scored=True, num_replicas=4, **given):
    made = other_steps.of_job(
        resolve.resolve({"mode": "preflight", **given}).config,
        core or Core(),
        num_replicas=num_replicas,
        is_scored=is_scored,
    )
    return {step.name: step for step in made}


def programs(*args, **given):
    return [
        (name, step.step(step.per_replica_batch_size))
        for name, step in steps_of(*args, **given).items()
    ]


@pytest.mark.parametrize(
    ("given", "features"),
    [
        ({"linear_eval_labels": ()}, None),
        ({}, D + d),  # the recipe of the digits asks for regressions
        ({"linear_eval_of": "projections"}, D + d),
        ({"linear_eval_of": "random,pixels"}, D),
        ({"linear_eval_of": "pixels"}, None),
        ({"linear_eval_labels": (), "knn_eval": True}, D),
        ({"knn_eval": True}, D + d),
        ({"train_mode": "supervised"}, None),
    ],
)
def test_what_a_job_runs_is_compiled(given, features):
    expected = [CHECK, EVALUATION]
    if features:
        expected.append(("feature step", [64, features]))
    assert programs(**given) == expected


def test_nothing_else_is():
    assert programs(Core(head=False), linear_eval_labels=()) == [CHECK]
    assert programs(is_scored=False) == [CHECK]
    assert programs(num_replicas=1, linear_eval_labels=()) == [
        ("evaluation step", [256, K])
    ]


def test_what_stays_on_the_core_is_counted():
    """Slots, a teacher, and the untrained encoder beside the trained."""
    alone = steps_of(linear_eval_of="features")
    assert alone["check of the loss"].resident_bytes == 40 + 8
    assert alone["evaluation step"].resident_bytes == 8
    assert alone["feature step"].resident_bytes == 8
    beside = steps_of(linear_eval_of="features,random")
    assert beside["feature step"].resident_bytes == 8 + 40
    taught = steps_of(Core(teacher=True))
    assert taught["evaluation step"].resident_bytes == 8 + 40


TINY = (
    "--dataset=digits",
    "--train_split=train[:64]",
    "--eval_split=test[:32]",
    "--image_size=8",
    "--resnet_depth=10",
    "--width_multiplier=0.125",
    "--proj_out_dim=8",
    "--train_batch_size=16",
    "--eval_batch_size=16",
)


@pytest.fixture
def seen(monkeypatch):
    """Columns of all that replicas were asked for."""
    found, real = [], features.on_replica

    def on_replica(*args, **kwargs):
        columns = real(*args, **kwargs)
        found.append(columns[0].shape[1])
        return columns

    monkeypatch.setattr(features, "on_replica", on_replica)
    return found


@pytest.fixture
def preflight(monkeypatch, tmp_path):
    """Status and report of a preflight, by a compiler of which every program
    fits but those that are named, by their place in the order."""

    def call(*flags, too_large=()):
        done = []

        def compile_module(module, topology):
            assert module
            done.append(None)
            if len(done) in too_large:
                return Compiled("RESOURCE_EXHAUSTED: out of memory")
            meet = Collective("all-reduce", topology.num_cores, 1, 1)
            return Compiled(None, used_bytes=1, collectives=[meet])

        monkeypatch.setattr(compiler, "compile_module", compile_module)
        monkeypatch.setattr(compiler, "version_findings", list)
        places = ("--topology=v5e:2x2", f"--json={tmp_path}/report.json")
        mode = ("--mode=preflight", "--norehearse")
        status = run.main(["run.py", *mode, *TINY, *places, *flags])
        return status, json.loads((tmp_path / "report.json").read_text())

    return call


@pytest.mark.slow
def test_they_are_the_programs_that_a_run_runs(seen, preflight, tmp_path):
    flags = ("--linear_eval_labels=20", "--linear_eval_of=features")
    place = f"--model_dir={tmp_path}/run"
    assert preflight(*flags, place)[0] == 0
    compiled = list(dict.fromkeys(seen))
    seen.clear()
    scored = ("--mode=train_then_eval", "--train_steps=1", "--warmup_epochs=0")
    assert run.main(["run.py", *scored, *TINY, *flags, place]) == 0
    assert list(dict.fromkeys(seen)) == compiled == [10, 64 + 8]


def test_an_evaluation_that_does_not_fit_is_no_fit(preflight, capsys):
    status, report = preflight(too_large=[3])
    assert status == 4
    assert "evaluation step does not fit" in report["verdict"]
    assert "lower --eval_batch_size" in report["verdict"]
    assert [step["fits"] for step in report["other_steps"]] == [
        True,
        False,
        True,
    ]
    assert "EVALUATION STEP DOES NOT FIT" in capsys.readouterr().out


def test_classes_must_be_known_to_train_a_classifier(
    tmp_path, monkeypatch, capsys
):
    flags = (
        "--dataset=mine",
        f"--data_dir={tmp_path}/none",
        "--num_examples=9",
    )
    mode = ("--mode=preflight", "--train_mode=supervised")
    monkeypatch.setattr(run, "_compile_step", lambda **_: None)
    assert run.main(["run.py", *mode, *flags, "--topology=v5e:2x2"]) == 2
    assert "--num_classes" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (("--json={folder}",), "is a folder. Name a file"),
        (("--json=/proc/nowhere/report.json",), "--json=/proc/nowhere cannot"),
        (
            ("--dataset=folder", "--data_dir={folder}", "--knn_eval"),
            "--knn_eval needs labels",
        ),
        (("--linear_eval_labels=2000",), "At most 1390 can be drawn"),
    ],
)
def test_what_a_run_or_the_disk_would_refuse_is_refused_at_once(
    tmp_path, monkeypatch, capsys, flags, said
):
    for number in range(3):
        tf.keras.utils.save_img(
            tmp_path / f"{number}.png", np.full([9, 9, 3], number)
        )
    monkeypatch.setattr(run, "_compile_step", lambda **_: None)
    given = [each.format(folder=tmp_path) for each in flags]
    mode = ("--mode=preflight", "--dataset=digits", "--topology=v5e:2x2")
    assert run.main(["run.py", *mode, *given]) == 2
    [line] = capsys.readouterr().err.strip().splitlines()[-1:]
    assert said in line
