"""Your own pictures, through run.py: labels or none, and damaged files."""

import json
import os

import numpy as np
import pytest
from PIL import Image

import run
from simclr_tf.data import decoding
from simclr_tf.run_files import unreadable_images
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


@pytest.mark.slow
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
    assert "(an empty file 1, truncated 1)" in out
    lines = unreadable_images.read(f"{tmp_path}/run/unreadable_images.tsv")
    assert lines == {
        f"{flat}/03.png\tan empty file",
        f"{flat}/07.png\ttruncated",
    }


def test_too_many_damaged_pictures_stop_the_run_before_it_starts(
    flat, tmp_path, capsys
):
    (flat / "03.png").write_bytes(b"")
    assert go(flat, tmp_path / "run") == 2
    error = capsys.readouterr().err
    assert "--max_corrupt_fraction=0.01" in error
    assert "1 are (an empty file 1)" in error and "03.png" in error
    assert not (tmp_path / "run").exists()


def test_empty_folder_names_the_flag(tmp_path, capsys):
    (tmp_path / "photos").mkdir()
    assert go(tmp_path / "photos", tmp_path / "run") == 2
    assert "--data_dir" in capsys.readouterr().err


def write_all_sorts(root):
    """40 images of two classes in two splits, and what a disk full of photos
    has beside them. Returns the lines of what cannot be read."""
    for number in range(40):
        split = "train" if number < 28 else "test"
        folder = root / split / ("cat", "dog")[number % 2]
        image_files.write(folder / f"{number:02d}.jpg", number)
    cats, dogs = root / "train" / "cat", root / "test" / "dog"
    # 5 % damaged, 5 % of a kind that needs an extra.
    whole = (cats / "04.jpg").read_bytes()
    (cats / "04.jpg").write_bytes(whole[: len(whole) * 2 // 3])
    (dogs / "31.jpg").write_bytes(b"")
    for folder in (cats, dogs):
        (folder / "phone.HEIC").write_bytes(b"\0\0\0\x18ftypheic")
    # Odd names.
    for number, name in enumerate(["a b\nerror: c.jpg", "\u00fc \u4e2d.jpg"]):
        image_files.write(cats / name, 50 + number)
    image_files.write(cats / "latin.jpg", 52)
    os.rename(cats / "latin.jpg", os.fsencode(cats) + b"/caf\xe9.jpg")
    # Links: round in a circle, to another class's image, to nothing.
    (root / "train" / "dog" / "loop").symlink_to(root)
    (cats / "again.jpg").symlink_to(cats / "00.jpg")
    (dogs / "gone.jpg").symlink_to(root / "nowhere.jpg")
    # Alpha, and orientations.
    clear = np.dstack([image_files.pixels(3), image_files.pixels(7)[..., :1]])
    (cats / "alpha.png").write_bytes(
        image_files.encode(clear, "PNG", mode="RGBA")
    )
    exif = Image.Exif()
    exif[0x0112] = 6
    (dogs / "turned.jpg").write_bytes(
        image_files.encode(image_files.pixels(9), "JPEG", exif=exif)
    )
    return {
        f"{cats}/04.jpg\tdamaged",
        f"{dogs}/31.jpg\tan empty file",
        f"{cats}/phone.HEIC\tHEIC, which needs WAY",
        f"{dogs}/phone.HEIC\tHEIC, which needs WAY",
        f"{dogs}/gone.jpg\ta link to nothing",
    }


@pytest.mark.slow
def test_what_was_left_out_is_told_equally_by_every_job(
    tmp_path, capsys, monkeypatch
):
    monkeypatch.setattr(
        decoding, "install", lambda kind: "WAY" if kind == "HEIC" else None
    )
    expected = write_all_sorts(tmp_path / "photos")
    data = [f"--data_dir={tmp_path}/photos", "--max_corrupt_fraction=0.1"]
    built = ["--dataset=folder", *data, f"--checkpoint={tmp_path}/run"]
    ways = {
        "run": [*SHORT, *data, "--mode=train_then_eval"],
        "knn": ["--mode=evaluate", "--protocol=knn", *built],
        "embedded": ["--mode=embed", "--train_split=train+test", *built],
        "tuned": [*SHORT, "--train_mode=finetune", *built[1:]]
        + ["--mode=train_then_eval"],
    }
    said, tables = {}, {}
    for name, command in ways.items():
        model_dir = f"--model_dir={tmp_path}/{name}"
        assert run.main(["run.py", *command, model_dir]) == 0, name
        said[name] = capsys.readouterr().out
        (path,) = (tmp_path / name).glob("*unreadable_images.tsv")
        tables[name] = path.read_text()
        assert set(tables[name].splitlines()[1:]) == expected, name
    assert len(set(tables.values())) == 1
    for name, out in said.items():
        assert "passed over: 2 .HEIC" in out, name
        assert ".HEIC can be read after WAY" in out, name
        assert "1 links to nothing" in out, name
        assert "are named in " in out, name
    # 27 + 12 of the forty, three odd names, alpha, EXIF.
    features = np.load(tmp_path / "embedded" / "features.npz")
    assert len(features["ids"]) == 38 + 5


@pytest.mark.slow
def test_a_run_may_lie_among_its_pictures(tmp_path, monkeypatch, capsys):
    """The same command goes on, and an embedding into the folder itself is of
    the pictures alone, however often."""
    for number in range(10):
        name = ("cat", "dog")[number % 2]
        image_files.write(tmp_path / name / f"{number}.png", number)
    monkeypatch.chdir(tmp_path)
    for _ in range(2):
        assert go(".", "RUN", "--mode=train_then_eval") == 0
        assert "10 images, 2 classes: cat 5, dog 5" in capsys.readouterr().out
    embed = ["run.py", "--mode=embed", "--checkpoint=RUN", "--data_dir=."]
    for _ in range(2):
        assert run.main([*embed, "--dataset=folder", "--model_dir=."]) == 0
        assert (tmp_path / "map.png").exists()
        assert "float32 [10, " in capsys.readouterr().out


def test_a_sum_of_splits_is_proposed_where_there_are_splits(tmp_path, capsys):
    """And embedded, although each split counts its images from 0."""
    photos = tmp_path / "photos"
    for name in ("train/cat/0", "train/dog/1", "test/cat/0", "test/dog/1"):
        image_files.write(photos / f"{name}.png", int(name[-1]))
    embed = ["run.py", "--mode=embed", "--encoder=pixels", "--image_size=24"]
    embed += ["--dataset=folder", f"--model_dir={tmp_path}/out"]
    said = {}
    for data_dir, split in (
        (photos, "train"),
        (photos, "train+test"),
        (photos / "train", "train"),
    ):
        which = [f"--data_dir={data_dir}", f"--train_split={split}"]
        assert run.main([*embed, *which]) == 0
        said[data_dir, split] = capsys.readouterr().out
    proposed = {
        which
        for which, out in said.items()
        if "--train_split=train+test" in out.split("Near-duplicates:")[1]
    }
    assert proposed == {(photos, "train")}
    # A sum tells an image of one split from its equal in the other.
    assert "Near-duplicates: 2 pairs" in said[photos, "train+test"]
