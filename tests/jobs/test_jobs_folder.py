"""Your own pictures, through run.py: labels or none, and damaged files."""

import json

import pytest

import run
from tests import image_files

SHORT = (
    "--dataset=folder",
    "--resnet_depth=10",
    "--width_multiplier=0.125",
    "--image_size=24",
    "--train_batch_size=8",
    "--eval_batch_size=4",
    "--train_steps=3",
    "--warmup_epochs=0",
)


def go(folder, model_dir, *more):
    return run.main(
        ["run.py", *SHORT, f"--data_dir={folder}", f"--model_dir={model_dir}"]
        + list(more)
    )


@pytest.fixture
def flat(tmp_path):
    return image_files.write_folder(tmp_path / "photos", 20)


def test_pictures_without_labels_and_without_an_eval_split(
    flat, tmp_path, capsys
):
    assert go(flat, tmp_path / "run", "--mode=train_then_eval") == 0
    out = capsys.readouterr().out
    assert "no classes" in out and "Evaluation: on nothing" in out
    assert "probe" not in out.split("step 3/3")[1]
    result = json.loads((tmp_path / "run" / "result.json").read_text())
    assert result["global_step"] == 3
    assert not any("top_1" in key for key in result)
    assert (tmp_path / "run" / "saved_model" / "3").is_dir()
    # Following such a run does not trip over the missing labels, either.
    status = run.main(["run.py", "--mode=eval", f"--model_dir={tmp_path}/run"])
    assert status == 0


def test_subfolders_are_classes_and_split_folders_are_scored(tmp_path):
    for split, count in (("train", 6), ("val", 3)):
        for name in ("cat", "dog"):
            for number in range(count):
                image_files.write(
                    tmp_path / "photos" / split / name / f"{number}.jpg",
                    number + 5 * (name == "dog"),
                )
    status = go(
        tmp_path / "photos",
        tmp_path / "run",
        "--mode=train_then_eval",
        "--linear_eval_labels=4",
        "--linear_eval_draws=2",
    )
    assert status == 0
    result = json.loads((tmp_path / "run" / "result.json").read_text())
    assert result["eval_split"] == "val"
    assert result["eval/num_examples"] == 6
    assert 0 <= result["linear_4_labels/top_1_raw_pixels"] <= 1


def test_few_damaged_pictures_are_replaced_and_named(flat, tmp_path, capsys):
    (flat / "03.png").write_bytes(b"")
    whole = (flat / "07.png").read_bytes()
    (flat / "07.png").write_bytes(whole[: len(whole) // 2])
    assert go(flat, tmp_path / "run", "--max_corrupt_fraction=0.1") == 0
    out = capsys.readouterr().out
    assert "2 unreadable images were replaced" in out
    assert "03.png" in out and "07.png" in out


def test_too_many_damaged_pictures_stop_the_run_before_it_starts(
    flat, tmp_path, capsys
):
    (flat / "03.png").write_bytes(b"")
    assert go(flat, tmp_path / "run") == 2
    error = capsys.readouterr().err
    assert "--max_corrupt_fraction=0.01" in error and "03.png" in error
    assert not (tmp_path / "run").exists()


def test_empty_folder_names_the_flag(tmp_path, capsys):
    (tmp_path / "photos").mkdir()
    assert go(tmp_path / "photos", tmp_path / "run") == 2
    assert "--data_dir" in capsys.readouterr().err
