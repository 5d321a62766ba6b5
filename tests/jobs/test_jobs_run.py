"""run.py as its users call it, in one process, with tiny steps."""

import json
import os
import signal
import time

import numpy as np
import pytest
import tensorflow as tf

import run
from simclr_tf.run_files import checkpoints
from tests.tiny_datasets import write_tfds

TINY = (
    "--resnet_depth=10",
    "--width_multiplier=0.125",
    "--train_batch_size=32",
    "--eval_batch_size=64",
    "--warmup_epochs=0",
    "--proj_out_dim=8",
)


@pytest.fixture(scope="session")
def data_dir(tmp_path_factory):
    return str(tmp_path_factory.mktemp("tfds"))


@pytest.fixture
def go(tmp_path, data_dir, capsys):
    """Runs on the digits; returns the exit status and what was printed."""

    def call(*arguments, model_dir="run", tiny=TINY):
        status = run.main(
            [
                "run.py",
                *tiny,
                f"--data_dir={data_dir}",
                f"--model_dir={tmp_path / model_dir}",
                *arguments,
            ]
        )
        out = capsys.readouterr()
        call.out, call.err = out.out, out.err
        return status

    return call


def weights(folder, step):
    reader = tf.train.load_checkpoint(str(folder / f"ckpt-{step}"))
    return {
        key: reader.get_tensor(key)
        for key in reader.get_variable_to_shape_map()
        if key.startswith("state/")
    }


def assert_same_weights(left, right):
    assert left.keys() == right.keys()
    for key in left:
        np.testing.assert_array_equal(left[key], right[key], err_msg=key)


def test_train_then_eval_writes_everything(go, tmp_path):
    status = go(
        "--mode=train_then_eval",
        "--train_steps=4",
        "--log_steps=2",
        "--linear_eval_draws=2",
    )
    assert status == 0, go.err
    folder = tmp_path / "run"
    result = json.loads((folder / "result.json").read_text())
    assert result == json.loads((folder / "result_4.json").read_text())
    assert result["global_step"] == 4
    assert result["eval/num_examples"] == 360
    for key in (
        "eval/label_top_1_accuracy",
        "eval/label_top_5_accuracy",
        "linear_100_labels/top_1",
        "linear_100_labels/top_1_random_encoder",
        "linear_100_labels/top_1_raw_pixels",
    ):
        assert 0 <= result[key] <= 1
    lines = (folder / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(x)["step"] for x in lines] == [2, 4]
    assert {
        "train/contrast_loss",
        "train/contrast_acc",
        "train/contrast_entropy",
        "train/supervised_acc",
        "train/learning_rate",
        "images_per_second",
        "input_wait_share",
    } <= set(json.loads(lines[0]))
    saved = json.loads((folder / "config.json").read_text())
    assert saved["config"]["optim"]["train_steps"] == 4
    assert json.loads((folder / "flags.json").read_text())["train_steps"] == 4
    picture = tf.io.decode_png((folder / "views.png").read_bytes())
    height, *rest = picture.shape
    assert height > 8 * 100  # a line of captions above
    assert rest == [3 * 100 + 4, 3]  # a margin on the left
    assert list(folder.glob("events.out.tfevents.*"))
    assert list((folder / "eval").glob("events.out.tfevents.*"))
    assert [p.name for p in (folder / "saved_model").iterdir()] == ["4"]
    assert not list(folder.rglob("*.tmp*"))
    for part in (
        "step 4/4",
        "contrast",
        "probe",
        "images/s",
        "input wait",
        "raw pixels",
        "recipe digits",
        "flag",
    ):
        assert part in go.out


def test_finished_run_says_so_and_does_nothing(go, tmp_path):
    options = (
        "--mode=train_then_eval",
        "--train_steps=2",
        "--linear_eval_draws=1",
    )
    assert go(*options) == 0
    files = {
        path: path.stat().st_mtime_ns
        for path in (tmp_path / "run").rglob("*")
        if path.is_file() and path.name not in ("config.json", "flags.json")
    }
    assert go(*options) == 0
    assert "Training is finished: step 2" in go.out
    assert "raw pixels" in go.out
    for path, stamp in files.items():
        assert path.stat().st_mtime_ns == stamp, path


@pytest.mark.parametrize(
    "precision", [pytest.param("none", marks=pytest.mark.slow), "bfloat16"]
)
def test_resumed_in_the_middle_is_the_same_run_bit_for_bit(
    go, tmp_path, monkeypatch, precision
):
    options = (
        "--train_steps=6",
        "--checkpoint_steps=2",
        f"--mixed_precision={precision}",
        "--keep_hub_module_max=0",
    )
    assert go(*options, model_dir="straight") == 0

    class PowerCut(BaseException):
        pass

    save = checkpoints.Checkpoints.save

    def save_and_die(self, step):
        path = save(self, step)
        if step == 4:
            raise PowerCut
        return path

    with monkeypatch.context() as patch:
        patch.setattr(checkpoints.Checkpoints, "save", save_and_die)
        with pytest.raises(PowerCut):
            go(*options, model_dir="cut")
    assert go(*options, model_dir="cut") == 0
    assert "Continuing from" in go.out
    assert_same_weights(
        weights(tmp_path / "straight", 6), weights(tmp_path / "cut", 6)
    )


@pytest.mark.slow
def test_sigterm_saves_and_the_same_command_continues(
    go, tmp_path, monkeypatch
):
    options = ("--train_steps=5", "--log_steps=1", "--keep_hub_module_max=0")
    assert go(*options, model_dir="straight") == 0

    from simclr_tf.run_files.metrics_log import MetricsLog

    log = MetricsLog.log

    def log_and_terminate(self, step, scalars):
        log(self, step, scalars)
        if step == 3:
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(0.5)  # another thread may be the one that gets it

    with monkeypatch.context() as patch:
        patch.setattr(MetricsLog, "log", log_and_terminate)
        assert go(*options, model_dir="stopped") == 128 + signal.SIGTERM
    assert "Stopped by SIGTERM after step 3" in go.out
    assert go(*options, model_dir="stopped") == 0
    assert_same_weights(
        weights(tmp_path / "straight", 5), weights(tmp_path / "stopped", 5)
    )
    for name in ("straight", "stopped"):
        lines = (tmp_path / name / "metrics.jsonl").read_text().splitlines()
        assert [json.loads(x)["step"] for x in lines] == [1, 2, 3, 4, 5]


@pytest.mark.slow
def test_another_seed_is_another_run(go, tmp_path):
    for seed in (0, 1):
        options = ("--train_steps=1", "--keep_hub_module_max=0")
        assert go(*options, f"--seed={seed}", model_dir=f"{seed}") == 0
    first, second = (weights(tmp_path / str(s), 1) for s in (0, 1))
    differences = {k: np.abs(first[k] - second[k]).max() for k in first}
    assert max(differences.values()) > 0.1


@pytest.mark.slow
def test_augmentation_on_host_and_device_train_alike(go, tmp_path):
    options = ("--train_steps=2", "--keep_hub_module_max=0")
    for where in ("host", "device"):
        assert go(*options, f"--augment_on={where}", model_dir=where) == 0
    host, device = (weights(tmp_path / w, 2) for w in ("host", "device"))
    for key in host:
        np.testing.assert_allclose(host[key], device[key], 1e-3, 1e-5)


# Together they take every value of every option that changes a run.
KINDS = [
    (
        "--optimizer=momentum",
        "--learning_rate=0.01",
        "--proj_head_mode=none",
        "--color_jitter_impl=simclrv2",
        "--color_jitter_order=fixed",
        "--loss=nt_logistic",
        "--semi_hard",
        "--strategy=one_device",
    ),
    (
        "--optimizer=adam",
        "--learning_rate=1e-5",
        "--learning_rate_scaling=linear",
        "--proj_head_mode=linear",
        "--ft_proj_selector=1",
        "--se_ratio=0.25",
        "--noglobal_bn",
        "--micro_batch_size=8",
        "--cache_dataset",
        "--loss=margin_triplet",
        "--margin=0.4",
        "--negative_views=other",
    ),
    (
        "--num_proj_layers=3",
        "--ft_proj_selector=2",
        "--image_size=40",
        "--use_blur",
        "--blur_sigma_per=batch",
        "--random_flip",
    ),
    (
        "--lineareval_while_pretraining=false",
        "--mixed_precision=float16",
        "--sk_ratio=0.0625",
        "--nohidden_norm",
        "--temperature=10",
        "--color_jitter_strength=0",
    ),
    (
        "--operators=crop,crop,flip,color_jitter,color_drop,blur,rotate,cutout",
        "--second_operators=crop,noise,sobel,equalize,solarize,motion_blur:0.5",
        "--augment_on=device",
    ),
]


# The fast suite has the kind with the most that is unusual; each is a run.
@pytest.mark.parametrize(
    "options",
    [
        pytest.param(
            kind, id=kind[0], marks=[] if kind == KINDS[0] else pytest.mark.slow
        )
        for kind in KINDS
    ],
)
def test_every_kind_of_run_trains_and_is_scored(go, tmp_path, options):
    status = go(
        "--mode=train_then_eval",
        "--train_steps=2",
        "--linear_eval_labels=",
        "--eval_steps=1",
        *options,
    )
    assert status == 0, go.err
    result = json.loads((tmp_path / "run" / "result.json").read_text())
    assert result["global_step"] == 2
    probed = "--lineareval_while_pretraining=false" not in options
    assert ("eval/label_top_1_accuracy" in result) == probed
    exported = tf.saved_model.load(str(tmp_path / "run" / "saved_model" / "2"))
    size = 40 if "--image_size=40" in options else 16
    assert np.isfinite(exported(tf.zeros([2, size, size, 3]))["features"]).all()


def test_eval_follows_a_run_to_its_last_step(go, tmp_path):
    assert go("--train_steps=2", "--keep_hub_module_max=0") == 0
    status = go("--mode=eval", "--linear_eval_draws=1", tiny=())
    assert status == 0, go.err
    result = json.loads((tmp_path / "run" / "result.json").read_text())
    assert result["global_step"] == 2
    assert result["eval/num_examples"] == 360


@pytest.mark.slow
def test_eval_of_a_dead_run_gives_up(go, tmp_path):
    assert go("--train_steps=2", "--keep_hub_module_max=0") == 0
    saved = json.loads((tmp_path / "run" / "config.json").read_text())
    saved["config"]["optim"]["train_steps"] = 3
    (tmp_path / "run" / "config.json").write_text(json.dumps(saved))
    status = go(
        "--mode=eval",
        "--eval_timeout_seconds=1",
        "--linear_eval_labels=",
        tiny=(),
    )
    assert status == 3
    assert "--eval_timeout_seconds" in go.err


def test_exploding_loss_halts_and_keeps_the_last_checkpoint(go, tmp_path):
    status = go(
        "--train_steps=40",
        "--checkpoint_steps=1",
        "--optimizer=momentum",
        "--learning_rate=1e6",
        "--nohidden_norm",
    )
    assert status == 3
    assert "NaN or infinite" in go.err and "--learning_rate" in go.err
    folder = tmp_path / "run"
    for path in checkpoints.checkpoint_paths(str(folder)):
        values = weights(folder, checkpoints.step_of(path))
        assert all(np.isfinite(v).all() for v in values.values()), path


def test_saved_model_can_be_called_and_trained(go, tmp_path):
    assert go("--train_steps=2") == 0
    path = tmp_path / "run" / "saved_model" / "2"
    loaded = tf.saved_model.load(str(path))
    images = tf.random.stateless_uniform([6, 16, 16, 3], seed=[1, 2])
    out = loaded(images)
    assert out["features"].shape == (6, 64)
    assert out["logits"].shape == (6, 10)
    assert out["projections"].shape == (6, 8)
    before = [v.numpy() for v in loaded.trainable_variables]
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(loaded(images, training=True)["logits"] ** 2)
    gradients = tape.gradient(loss, loaded.trainable_variables)
    assert sum(g is not None for g in gradients) > 0
    head = [
        (v, g)
        for v, g in zip(loaded.trainable_variables, gradients, strict=True)
        if g is not None
    ]
    for variable, gradient in head:
        variable.assign_sub(0.1 * gradient)
    changed = [
        np.abs(v.numpy() - b).max()
        for v, b in zip(loaded.trainable_variables, before, strict=True)
    ]
    assert max(changed) > 0
    again = loaded(images)
    assert np.abs(again["logits"] - out["logits"]).max() > 0
    metadata = json.loads((path / "simclr_tf.json").read_text())
    assert metadata["global_step"] == 2


def test_four_virtual_replicas_would_be_asked_for_too_late(go):
    """TensorFlow's devices are set already here: one clear line."""
    status = go("--train_steps=1", "--virtual_devices=3")
    assert status == 2
    assert "--virtual_devices" in go.err


@pytest.mark.parametrize(
    ("options", "names"),
    [
        (("--dataset=nobody_has_this",), "--dataset"),
        (("--data_dir=/nowhere", "--dataset=cifar10"), "--data_dir"),
        (("--train_split=trian",), "--train_split"),
        (("--eval_split=trial",), "--eval_split"),
        (("--train_batch_size=2000",), "--train_batch_size"),
        (("--train_steps=2", "--warmup_epochs=10"), "--warmup_epochs"),
        (("--color_jitter_strength=1.3",), "--color_jitter_strength"),
        (("--temperature=0",), "--temperature"),
        (("--resnet_depth=20",), "--resnet_depth"),
        (("--image_size=0",), "--image_size"),
        (("--micro_batch_size=8",), "--global_bn=false"),
        (("--micro_batch_size=5", "--noglobal_bn"), "--micro_batch_size"),
        (("--model_dir=/proc/nope",), "--model_dir"),
        (("--dataset=folder", "--data_dir=/nowhere"), "--data_dir"),
        (("--linear_eval_labels=15",), "--linear_eval_labels"),
        (("--linear_eval_labels=2000",), "--linear_eval_labels"),
        (("--train_batch_size=30", "--strategy=mirrored"), "4 replicas"),
        (("--train_epochs=inf",), "--train_epochs"),
        (("--checkpoint=elsewhere",), "--checkpoint"),
        (("--use_tpu=True",), "--use_tpu"),
        (("--tpu_name=x", "--strategy=mirrored"), "--tpu_name"),
        (("--use_tpu=True", "--strategy=mirrored"), "--strategy"),
    ],
    ids=lambda x: " ".join(x) if isinstance(x, tuple) else "",
)
def test_bad_input_is_one_line_naming_the_flag(go, tmp_path, options, names):
    status = go("--train_steps=2", *options)
    assert status == 2
    assert go.err.startswith("error: ")
    assert len(go.err.strip().splitlines()) == 1
    assert names in go.err
    assert not (tmp_path / "run" / "metrics.jsonl").exists()


def test_checkpoints_that_cannot_be_used_are_named(go, tmp_path):
    options = ("--train_steps=1", "--keep_hub_module_max=0")
    assert go(*options) == 0
    folder = tmp_path / "run"
    before = weights(folder, 1)
    strange = {"w": tf.Variable(tf.zeros([1000]))}
    checkpoints.Checkpoints(str(folder), strange, max_to_keep=5).save(2)
    assert go(*options) == 2
    assert len(go.err.strip().splitlines()) == 1
    assert "ckpt-2 does not fit" in go.err and "w is in it only" in go.err

    # A copy of what fits, cut short.
    for suffix in (".index", ".data-00000-of-00001"):
        whole = (folder / f"ckpt-1{suffix}").read_bytes()
        cut = len(whole) if suffix == ".index" else 1000
        (folder / f"ckpt-2{suffix}").write_bytes(whole[:cut])
    assert go(*options) == 0
    assert "ckpt-2 cannot be read" in go.out
    assert "Training is finished: step 1" in go.out
    assert_same_weights(weights(folder, 1), before)


@pytest.mark.slow
def test_another_question_to_a_finished_run_is_answered(go, tmp_path):
    options = ("--mode=train_then_eval", "--train_steps=1", "--eval_steps=1")
    options += ("--keep_hub_module_max=0",)
    assert go(*options, "--linear_eval_labels=") == 0
    path = tmp_path / "run" / "result.json"
    assert "linear_10_labels/top_1" not in json.loads(path.read_text())
    more = ("--linear_eval_labels=10", "--linear_eval_draws=1")
    assert go(*options, *more) == 0
    assert "linear_10_labels/top_1" in json.loads(path.read_text())


@pytest.mark.slow
def test_eval_without_a_probe_and_pretraining_without_an_eval_split(
    go, tmp_path, data_dir
):
    """Defects 2.7 and 2.14 of the official code, on TFDS data."""
    write_tfds("plain_things", data_dir, splits={"train": 40}, num_classes=None)
    write_tfds("things", data_dir, splits={"train": 40, "test": 8})
    short = ("--train_steps=1", "--image_size=16", "--keep_hub_module_max=0")
    for name, more in (
        ("plain_things", ()),
        ("things", ("--nolineareval_while_pretraining",)),
    ):
        options = (f"--dataset={name}", *short, *more)
        assert go(*options, model_dir=name) == 0, go.err
        assert go("--mode=eval", tiny=(), model_dir=name) == 0, go.err
        result = json.loads((tmp_path / name / "result.json").read_text())
        assert "eval/label_top_1_accuracy" not in result
        assert result["global_step"] == 1


def test_changing_the_model_on_resume_is_refused(go, tmp_path):
    assert go("--train_steps=1", "--keep_hub_module_max=0") == 0
    before = weights(tmp_path / "run", 1)
    assert go("--train_steps=1", "--proj_out_dim=16") == 2
    assert "--proj_out_dim=16, was 8" in go.err
    assert_same_weights(weights(tmp_path / "run", 1), before)


@pytest.mark.slow
def test_knn_eval_scores_at_every_checkpoint(go, tmp_path):
    status = go("--knn_eval", "--train_steps=4", "--checkpoint_steps=2")
    assert status == 0, go.err
    assert go.out.count("Nearest neighbours: knn/k20_top_1 ") == 2
    lines = (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()
    found = [x for x in map(json.loads, lines) if "knn/k200_top_1" in x]
    assert [x["step"] for x in found] == [2, 4]
    # Ten classes of handwriting: even an untrained encoder knows some.
    assert all(0.3 < x["knn/k20_top_1"] <= 1 for x in found)
    # As a kill between the last checkpoint and its score leaves it.
    assert json.loads(lines[-1]) == found[-1]
    path = tmp_path / "run" / "metrics.jsonl"
    path.write_text("".join(f"{line}\n" for line in lines[:-1]))
    status = go("--knn_eval", "--train_steps=4", "--checkpoint_steps=2")
    assert status == 0, go.err
    assert go.out.count("Nearest neighbours: knn/k20_top_1 ") == 1
    assert path.read_text().splitlines() == lines
