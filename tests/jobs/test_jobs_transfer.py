"""Transfer to tiny copies of the paper's twelve data sets, through run.py."""

import json
import shutil

import pytest

import run
from simclr_tf.evaluation import records, transfer
from tests import tiny_transfer
from tests.tiny_datasets import write_tfds

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    return tmp_path_factory.mktemp("transfer")


@pytest.fixture(scope="module")
def pretrained(data_dir, tmp_path_factory):
    """At 64 px, as ImageNet encoders are above the CIFAR stem's size."""
    folder = tmp_path_factory.mktemp("pretrained")
    write_tfds(
        "some_pictures",
        str(data_dir),
        splits={"train": 16},
        image_shape=(64, 64, 3),
        num_classes=None,
    )
    arguments = (
        "--dataset=some_pictures",
        "--image_size=64",
        "--resnet_depth=10",
        "--width_multiplier=0.125",
        "--train_batch_size=8",
        "--warmup_epochs=0",
        "--train_steps=1",
        "--keep_hub_module_max=0",
        f"--data_dir={data_dir}",
        f"--model_dir={folder}",
    )
    assert run.main(["run.py", *arguments]) == 0
    return folder


@pytest.fixture
def go(pretrained, data_dir, tmp_path, capsys):
    def call(name, protocol, *arguments):
        tiny_transfer.write(name, data_dir)
        status = run.main(
            [
                "run.py",
                "--mode=evaluate",
                f"--protocol={protocol}",
                f"--checkpoint={pretrained}",
                f"--dataset={name}",
                f"--data_dir={data_dir}",
                f"--model_dir={tmp_path}",
                "--eval_batch_size=32",
                *arguments,
            ]
        )
        out = capsys.readouterr()
        call.out, call.err = out.out, out.err
        return status

    return call


@pytest.mark.parametrize("name", transfer.TRANSFER_SETS)
def test_linear_transfer_to_each_of_the_twelve(go, tmp_path, name):
    assert go(name, "transfer_linear") == 0, go.err
    (path,) = tmp_path.glob(f"transfer_linear_{name}_*.json")
    record = records.read(str(path))
    chosen = transfer.TRANSFER_SETS[name]
    assert record.metric == chosen.metric
    assert len(record.choices["path"]) == 45
    assert record.choices["validation_by"] == chosen.validation_by
    assert set(record.splits) == {"train", "validation", "test"}
    assert record.encoder_frozen


@pytest.mark.parametrize(
    "name",
    [
        "voc",
        pytest.param("dtd", marks=pytest.mark.soak),
        pytest.param("fgvc_aircraft", marks=pytest.mark.soak),
    ],
)
def test_a_sweep_of_two_settings_goes_on_where_it_stopped(go, tmp_path, name):
    short = ("--train_steps=2", "--train_batch_size=8", "--sweep_points=8,55")
    assert go(name, "transfer_finetune", *short) == 0, go.err
    (path,) = tmp_path.glob(f"transfer_finetune_{name}_*.json")
    folder, record = path.with_suffix(""), records.read(str(path))
    chosen = transfer.TRANSFER_SETS[name]
    assert record.metric == chosen.metric and not record.choices["whole_grid"]
    tried = record.choices["validation"]
    assert [point["number"] for point in tried] == [8, 55]
    assert record.choices["best"]["number"] in (8, 55)
    splits = record.splits
    assert splits["train"]["split"] == chosen.train_and_validation
    assert splits["test"]["split"] == chosen.test
    # One point is lost: only it, and nothing else, is trained again. A command
    # that is asked for it alone knows of the other one.
    shutil.rmtree(folder / "point_55")
    before = (folder / "point_08" / "record.json").stat().st_mtime_ns
    only = (*short[:-1], "--sweep_points=55")
    assert go(name, "transfer_finetune", *only) == 0, go.err
    assert go.out.count("finished before") == 1  # the best
    assert "Finished by other commands: setting 8" in go.out
    assert (folder / "point_08" / "record.json").stat().st_mtime_ns == before
    again = json.loads(path.read_text())
    assert again["choices"]["validation"] == tried
    # A run of other settings does not stand for one of these.
    of_a_point = folder / "point_08" / "record.json"
    content = json.loads(of_a_point.read_text())
    content["config"]["optim"]["train_steps"] = 1
    of_a_point.write_text(json.dumps(content))
    assert go(name, "transfer_finetune", *short) == 3
    assert "--train_steps=2, was 1" in go.err and "another sweep" in go.err


@pytest.mark.soak
def test_a_sweep_of_other_settings_has_a_folder_of_its_own(go, tmp_path):
    one = ("--train_batch_size=8", "--sweep_points=8")
    for steps in (1, 2):
        steps = f"--train_steps={steps}"
        assert go("dtd", "transfer_finetune", *one, steps) == 0, go.err
    assert "finished before" not in go.out
    assert len(list(tmp_path.glob("transfer_finetune_dtd_*.json"))) == 2
