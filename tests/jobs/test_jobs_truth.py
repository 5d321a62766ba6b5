"""What a job says is true of what it did: scores, records, refusals."""

import json

import numpy as np
import pytest
import tensorflow_datasets as tfds

import run
from simclr_tf.config import resolve
from simclr_tf.evaluation import records
from simclr_tf.jobs import recording
from simclr_tf.jobs import result as results
from simclr_tf.reports import tables
from simclr_tf.run_files.owner import Owner
from tests import image_files
from tests.tiny_datasets import write_tfds

TINY = (
    "--image_size=16",
    "--resnet_depth=10",
    "--width_multiplier=0.125",
    "--proj_out_dim=8",
    "--train_batch_size=16",
    "--eval_batch_size=16",
    "--train_steps=2",
    "--keep_hub_module_max=0",
)


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    folder = str(tmp_path_factory.mktemp("tfds"))
    kinds = tfds.features.Sequence(tfds.features.ClassLabel(num_classes=3))
    write_tfds(
        "flags",
        folder,
        splits={"train": 64, "test": 40},
        image_shape=(16, 16, 3),
        num_classes=4,
        extra_features={"kinds": (kinds, lambda n: sorted({0, n % 3}))},
    )
    return folder


@pytest.fixture
def go(tmp_path, data_dir, capsys):
    def call(*arguments, tiny=TINY, model_dir="run"):
        places = ("--dataset=flags", f"--data_dir={data_dir}")
        if any(a.startswith("--data_dir=") for a in arguments):
            places = ()
        status = run.main(
            [
                "run.py",
                *tiny,
                *places,
                f"--model_dir={tmp_path / model_dir}",
                *arguments,
            ]
        )
        said = capsys.readouterr()
        call.out, call.err = said.out, said.err
        return status

    return call


def refused(go, *arguments, **more):
    """The one line of a command that is refused before any work."""
    assert go(*arguments, **more) == 2, go.out
    lines = go.err.strip().splitlines()
    assert len(lines) == 1, go.err
    assert lines[0].startswith("error: ")
    return lines[0]


def result_of(folder):
    return json.loads((folder / "result.json").read_text())


@pytest.mark.slow
def test_part_of_a_split_is_a_sample_spread_over_it(tmp_path, go):
    """A folder lies class by class: its first images are of one class."""
    photos = tmp_path / "photos"
    for split, count in (("train", 24), ("test", 24)):
        for name in ("a", "b"):
            for number in range(count):
                image_files.write(
                    photos / split / name / f"{number}.png", number
                )
    status = go(
        "--mode=train_then_eval",
        "--dataset=folder",
        f"--data_dir={photos}",
        "--eval_steps=1",
        "--linear_eval_labels=",
    )
    assert status == 0, go.err
    found = result_of(tmp_path / "run")
    assert found["eval/num_examples"] == 16
    # Of one class, the mean over classes would be the accuracy.
    assert found["eval/num_classes"] == 2
    run_ = results_run(tmp_path / "run")
    labels = np.concatenate(
        [b["label"][b["mask"]] for b in run_.examples("eval", 16)]
    )
    assert set(labels) == {0, 1}


def results_run(folder):
    """The parts of a finished run, as a follower makes them."""
    import tensorflow as tf

    from simclr_tf.jobs.requests import Accepts
    from simclr_tf.jobs.training_run import TrainingRun
    from simclr_tf.run_files.folder import RunFolder
    from tpu.strategy import Placement

    saved = RunFolder(str(folder)).saved()
    placement = Placement(tf.distribute.get_strategy(), "CPU", "test")
    return TrainingRun(
        saved.config,
        origins=saved.origins,
        placement=placement,
        accepts=Accepts(),
    )


def test_another_question_is_answered_and_the_same_one_is_not_asked_again(
    tmp_path, go
):
    assert go("--mode=train_then_eval") == 0, go.err
    first = result_of(tmp_path / "run")
    assert go("--mode=train_then_eval") == 0
    assert "was scored before" in go.out
    assert go("--mode=train_then_eval", "--eval_crop=0.3") == 0
    assert "was scored before" not in go.out
    assert result_of(tmp_path / "run")["config"]["augment"]["eval_crop"] == 0.3
    # On what it runs is no part of the question.
    again = ("--eval_crop=0.3", "--eval_batch_size=8")
    assert go("--mode=train_then_eval", *again) == 0
    assert "was scored before" in go.out
    assert first["eval/scored"] == "linear probe trained along"


def test_a_sample_of_another_size_is_another_question(go, tmp_path):
    """Of --eval_steps, the batch says how many images are scored."""
    for size in (8, 16):
        sample = ("--eval_steps=1", f"--eval_batch_size={size}")
        assert go("--mode=train_then_eval", *sample) == 0, go.err
        assert "was scored before" not in go.out
        assert result_of(tmp_path / "run")["eval/num_examples"] == size


@pytest.mark.slow
def test_what_differs_has_a_record_of_its_own(tmp_path, go, data_dir):
    assert go("--checkpoint_steps=1") == 0, go.err
    checkpoint = tmp_path / "run" / "ckpt-{}"
    knn = ("--mode=evaluate", "--protocol=knn")

    def score(*more, step=2):
        status = go(
            *knn,
            f"--checkpoint={str(checkpoint).format(step)}",
            *more,
            tiny=("--eval_batch_size=16",),
            model_dir="records",
        )
        assert status == 0, go.err
        return set((tmp_path / "records").glob("*.json"))

    found = score()
    assert len(found) == 1
    assert score() == found  # the same again is the same record
    assert score("--eval_batch_size=8", "--input_threads=1") == found
    for more in (
        {"step": 1},
        {"more": ("--eval_split=test[:50%]",)},
        {"more": ("--eval_crop=0.5",)},
        {"more": ("--encoder=random",)},
        {"more": ("--seed=3",)},
    ):
        before, found = found, score(*more.pop("more", ()), **more)
        assert len(found) == len(before) + 1
        assert found > before


@pytest.mark.slow
def test_images_of_test_and_training_are_counted_apart(tmp_path, go):
    """All of the training can be read; of the test images, a quarter."""
    photos = tmp_path / "photos"
    for split in ("train", "test"):
        for name in ("a", "b"):
            for number in range(16):
                path = photos / split / name / f"{number}.png"
                image_files.write(path, number)
                if split == "test" and number >= 4:
                    path.write_bytes(b"\x89PNG\r\n\x1a\nnothing more")
    folder = ("--dataset=folder", f"--data_dir={photos}")
    assert go(*folder, "--knn_eval", "--checkpoint_steps=1") == 0, go.err
    assert go(*folder, "--mode=train_then_eval", "--linear_eval_labels=") == 2
    assert "--max_corrupt_fraction" in go.err and "--eval_split" in go.err
    for job in (("--mode=evaluate", "--protocol=knn"), ("--mode=embed",)):
        more = ("--train_split=test",) if job == ("--mode=embed",) else ()
        status = go(
            *job,
            *folder,
            f"--checkpoint={tmp_path}/run",
            *more,
            tiny=(),
            model_dir="out",
        )
        assert status == 2, go.out
        assert "--max_corrupt_fraction" in go.err


def test_several_labels_train_a_probe_and_are_refused_where_they_cannot(go):
    several = ("--several_labels", "--label_key=kinds")
    assert go(*several, "--mode=train_then_eval") == 0, go.err
    assert "linear probe" in go.out and "voc_map" in go.out
    assert "--several_labels" in refused(
        go, *several, "--knn_eval", model_dir="other"
    )
    assert "--several_labels" in refused(
        go, *several, "--linear_eval_labels=6", model_dir="other"
    )


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--linear_eval_labels=80",), "--linear_eval_labels=80"),
        (("--train_batch_size=1",), "--train_batch_size"),
        (("--restore_linear_head",), "--restore_linear_head"),
        (("--protocol=knn",), "--protocol=knn"),
        (("--encoder=random",), "--encoder=random"),
        (("--eval_split=tset",), "--eval_split"),
        (("--train_split=train+train",), "--train_split"),
        (("--model_dir=",), "--model_dir"),
        (("--train_steps=12", "--warmup_epochs=99"), "--warmup_epochs"),
    ],
    ids=str,
)
def test_what_cannot_work_costs_one_line_before_any_work(
    go, tmp_path, arguments, told
):
    assert told in refused(go, *arguments)
    assert not (tmp_path / "run").exists()


def test_a_recipes_warm_up_gives_way_to_the_length_asked_for(go):
    tiny = tuple(a for a in TINY if not a.startswith("--train_steps"))
    assert go("--train_steps=3", "--dataset=digits", tiny=tiny) == 0, go.err
    assert "warm-up 0 steps" in go.out


_FORMS = (
    "{}",
    "{}/",
    "{}/ckpt-2",
    "{}/ckpt-2.index",
    "{}/ckpt-2.data-00000-of-00001",
    "{}/saved_model",
    "{}/saved_model/2",
)


@pytest.mark.parametrize("form", _FORMS)
def test_a_checkpoint_is_taken_in_whatever_form(form, go, tmp_path, finished):
    status = go(
        "--mode=embed",
        f"--checkpoint={form.format(finished)}",
        "--train_split=test",
        tiny=("--eval_batch_size=16",),
    )
    assert status == 0, go.err


@pytest.fixture(scope="module")
def finished(data_dir, tmp_path_factory):
    folder = tmp_path_factory.mktemp("finished")
    places = (
        "--dataset=flags",
        f"--data_dir={data_dir}",
        f"--model_dir={folder}",
    )
    tiny = [a for a in TINY if "hub_module" not in a]
    assert run.main(["run.py", *tiny, *places]) == 0
    return folder


def test_a_second_command_is_refused_while_the_first_lives(go, tmp_path):
    (tmp_path / "run").mkdir()
    first = Owner(str(tmp_path / "run"))
    try:
        assert "belongs to a command that is running" in refused(go)
        assert not (tmp_path / "run" / "config.json").exists()
    finally:
        first.release()
    assert go() == 0
    assert not (tmp_path / "run" / "owner.json").exists()


def test_a_run_that_failed_to_start_gives_its_folder_back(go, tmp_path):
    assert go() == 0
    for path in (tmp_path / "run").glob("ckpt-*"):
        path.write_bytes(b"")
    assert "--model_dir" in refused(go)
    assert not (tmp_path / "run" / "owner.json").exists()


def test_users_errors_are_one_line_and_ours_a_traceback(
    go, tmp_path, monkeypatch
):
    def fault(*_):
        raise ValueError("nobody's flag")

    with monkeypatch.context() as patch:
        patch.setattr(results, "score", fault)
        assert go("--mode=train_then_eval") == 1
    assert "Traceback" in go.err and "nobody's flag" in go.err
    assert "fault of simclr_tf" in go.err.strip().splitlines()[-1]
    # While preparing, too.
    with monkeypatch.context() as patch:
        patch.setattr("simclr_tf.build.splits.open_training", fault)
        assert go("--mode=train_then_eval") == 1
    assert "Traceback" in go.err
    # And what the user can mend is one line, in the middle of the work.
    from simclr_tf.errors import UserError

    def mistake(*_):
        raise UserError("--eval_split=x is not there.")

    with monkeypatch.context() as patch:
        patch.setattr(results, "score", mistake)
        assert go("--mode=train_then_eval") == 2
    assert go.err == "error: --eval_split=x is not there.\n"


@pytest.mark.parametrize("flag", ["--help", "--helpfull", "--helpshort", "-h"])
def test_whatever_form_of_help(flag, capsys):
    assert run.main(["run.py", flag]) == 0
    assert "--train_batch_size=INT" in capsys.readouterr().out


def test_class_names_travel(finished):
    names = [str(n) for n in range(4)]
    saved = json.loads((finished / "config.json").read_text())
    assert saved["data"]["class_names"] == names
    (exported,) = (finished / "saved_model").glob("*/simclr_tf.json")
    assert json.loads(exported.read_text())["class_names"] == names


def test_a_name_of_many_slices_is_one_that_file_systems_take():
    name = recording.name_of(
        resolve.resolve({"mode": "embed", "checkpoint": "RUN"}).config,
        what="digits_" + "+".join(f"train[{i}:{i + 1}]" for i in range(99)),
        encoder_sha256="ab",
        splits={},
    )
    assert len(name) < 200


def test_networks_from_scratch_are_named_and_averaged_over_seeds(tmp_path):
    """Rows of two architectures differ in their names; seeds make one row."""
    runs = [("0.125", 0), ("0.125", 1), ("0.25", 0)]
    for width, seed in runs:
        run.main([
            "run.py", "--mode=train_then_eval", "--train_mode=supervised",
            "--dataset=digits", *TINY, f"--width_multiplier={width}",
            f"--seed={seed}", f"--model_dir={tmp_path}/{width}_{seed}",
        ])  # fmt: skip
    found = records.read_all(
        [f"{tmp_path}/{width}_{seed}/record.json" for width, seed in runs]
    )
    lines = tables.table(found, average=True).splitlines()
    assert len(lines) == 2 + 2
    assert lines[2].startswith("ResNet-10 (0.125x) from random weights")
    assert lines[3].startswith("ResNet-10 (0.25x) from random weights")
    assert "(of 2)" in lines[2] and "(of" not in lines[3]
