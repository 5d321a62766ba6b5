"""The official READMEs' commands, typed unchanged, start.

Each runs on a tiny data set of the real name and features; what stands after
the command only makes it short.
"""

import json
import shlex

import pytest

import run
from tests.test_flags import OFFICIAL, OFFICIAL_FINE_TUNING
from tests.tiny_datasets import write_tfds

# Two steps of the command's batch of 512 are minutes on two cores.
SHORT = ("--train_batch_size=64", "--train_steps=2", "--warmup_epochs=0")


def words(name, **places):
    command = OFFICIAL[name]
    # Longer names first: DIR is a part of DIR2.
    for place, path in sorted(places.items(), reverse=True):
        command = command.replace(place, str(path))
    return shlex.split(command)


@pytest.mark.slow
def test_cifar10_command_trains(tmp_path):
    write_tfds(
        "cifar10", str(tmp_path / "tfds"), splits={"train": 520, "test": 20}
    )
    arguments = words("cifar10", DIR=tmp_path / "run")
    status = run.main(
        ["run.py", *arguments, f"--data_dir={tmp_path}/tfds", *SHORT]
    )
    assert status == 0
    saved = json.loads((tmp_path / "run" / "config.json").read_text())
    assert saved["config"]["model"]["resnet_depth"] == 18
    assert saved["config"]["optim"]["temperature"] == 0.5
    assert saved["config"]["augment"]["use_blur"] is False
    assert (tmp_path / "run" / "ckpt-2.index").exists()


@pytest.mark.slow
def test_cifar10_command_trains_on_fashion_mnist(tmp_path, fashion_mnist_dir):
    arguments = words("cifar10", DIR=tmp_path / "run")
    more = ("--dataset=fashion_mnist", f"--data_dir={fashion_mnist_dir}")
    assert run.main(["run.py", *arguments, *more, *SHORT]) == 0
    assert (tmp_path / "run" / "ckpt-2.index").exists()


def imagenet(tmp_path, *more):
    write_tfds(
        "imagenet2012",
        str(tmp_path / "tfds"),
        splits={"train": 8, "validation": 4},
        image_shape=(None, None, 3),
        sizes=[(60, 80), (75, 50)],
        num_classes=1000,
        encoding_format="jpeg",
    )
    arguments = words("imagenet", DIR=tmp_path / "run", DATA=tmp_path / "tfds")
    return run.main(["run.py", *arguments, *more])


def test_imagenet_command_gets_as_far_as_the_missing_tpu(tmp_path, capsys):
    assert imagenet(tmp_path) == 2
    out = capsys.readouterr()
    assert "--train_summary_steps belongs to the TF1 code" in out.out
    assert "TPU" in out.err and "--tpu_name" in out.err
    assert len(out.err.strip().splitlines()) == 1


@pytest.mark.slow
def test_imagenet_command_trains_without_the_tpu(tmp_path, capsys):
    """The same command, shrunk: ResNet-10 at 64 px, batch 4."""
    status = imagenet(
        tmp_path,
        "--use_tpu=False",
        "--tpu_name=",
        "--resnet_depth=10",
        "--width_multiplier=0.125",
        "--image_size=64",
        "--train_batch_size=4",
        "--eval_batch_size=4",
        "--train_steps=2",
        "--warmup_epochs=0",
        "--mode=train_then_eval",
    )
    assert status == 0, capsys.readouterr().err
    result = json.loads((tmp_path / "run" / "result.json").read_text())
    assert result["eval/num_examples"] == 4
    assert result["eval_split"] == "validation"


@pytest.mark.slow
@pytest.mark.parametrize("name", OFFICIAL_FINE_TUNING)
def test_fine_tuning_commands_train(tmp_path, capsys, name):
    """On a checkpoint that is thin and briefly trained; then unchanged."""
    data_dir, start = tmp_path / "tfds", tmp_path / "start"
    if name == "cifar10 head":
        sizes, depth, pixels = {"train": 520, "test": 20}, 18, 32
        write_tfds("cifar10", str(data_dir), splits=sizes)
    else:
        sizes, depth, pixels = {"train": 20, "validation": 8}, 10, 64
        write_tfds(
            "imagenet2012",
            str(data_dir),
            splits=sizes,
            image_shape=(None, None, 3),
            sizes=[(60, 80), (75, 50)],
            num_classes=1000,
            encoding_format="jpeg",
        )
        write_tfds(
            "imagenet2012_subset",
            str(data_dir),
            splits=sizes,
            config="1pct",
            image_shape=(None, None, 3),
            sizes=[(60, 80), (75, 50)],
            num_classes=1000,
            encoding_format="jpeg",
        )
    pretraining = [
        "--train_steps=1",
        "--train_batch_size=8",
        "--warmup_epochs=0",
        "--width_multiplier=0.125",
        "--num_proj_layers=3",
        f"--resnet_depth={depth}",
        f"--image_size={pixels}",
        f"--dataset={'cifar10' if depth == 18 else 'imagenet2012'}",
        f"--data_dir={data_dir}",
        f"--model_dir={start}",
    ]
    assert run.main(["run.py", *pretraining]) == 0
    arguments = words(name, DATA=data_dir, DIR=start, DIR2=tmp_path / "run")
    short = ["--train_steps=2", f"--data_dir={data_dir}"]
    if depth == 10:
        short += ["--use_tpu=False", "--tpu_name=", "--train_batch_size=8"]
        short += ["--eval_batch_size=8"]
    status = run.main(["run.py", *arguments, *short])
    assert status == 0, capsys.readouterr().err
    result = json.loads((tmp_path / "run" / "result.json").read_text())
    sizes.pop("train")
    assert result["eval/num_examples"] == sum(sizes.values())
