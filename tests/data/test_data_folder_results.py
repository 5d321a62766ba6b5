"""Results of our own commands among the pictures: left out, and said."""

import os

import pytest
import tensorflow as tf

from simclr_tf import own_files
from simclr_tf.build import account
from simclr_tf.data.folder import manifest
from simclr_tf.data.sources import open_source
from tests import image_files

RUN = ("config.json", "flags.json", "checkpoint", "ckpt-3.index")
EMBEDDED = ("features.npz", "near_duplicates.tsv")
STUDY = ("study.json", "table.csv", "table.md")


def write_results(folder, names, pictures):
    """A folder of results: files of any content, and pictures."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).write_text("{}")
    for number, name in enumerate(pictures):
        image_files.write(folder / name, number, "PNG")


def write_run(folder):
    write_results(folder, RUN, ("views.png", "map.png", "neighbours.png"))
    write_results(
        folder / "embeddings" / "x", EMBEDDED, ("map.png", "neighbours.png")
    )
    write_results(
        folder / "saved_model" / "3", ("saved_model.pb", "simclr_tf.json"), ()
    )


def opened(root, **options):
    return open_source(
        dataset="folder", data_dir=str(root), split="train", **options
    )


@pytest.fixture
def photos(tmp_path):
    for name in ("cat/0.png", "cat/1.png", "dog/2.png"):
        image_files.write(tmp_path / "photos" / name, int(name[4]))
    return tmp_path / "photos"


@pytest.mark.parametrize("place", ["RUN", "runs/folder", "cat/deep/RUN"])
def test_a_run_among_its_pictures_changes_nothing_of_them(photos, place):
    before = opened(photos)
    write_run(photos / place)
    after = opened(photos)
    assert after.fingerprint == before.fingerprint
    assert after.class_names == ("cat", "dog")
    said = account.of(after)
    assert said == f"{account.of(before)}; passed over, as results: {place}"


def test_a_study_and_an_embedding_among_pictures(photos):
    before = opened(photos)
    write_results(photos / "A", EMBEDDED, ("map.png", "neighbours.png"))
    write_results(photos / "B", STUDY, ("figure.png",))
    write_run(photos / "B" / "cells" / "0")
    after = opened(photos)
    assert after.fingerprint == before.fingerprint
    assert account.of(after).endswith("; passed over, as results: A, B")


def test_results_beside_pictures_leave_the_pictures(photos):
    """--model_dir=PHOTOS, and a class folder that was one once."""
    before = opened(photos)
    write_run(photos)
    write_run(photos / "cat")
    # A kill leaves it aside.
    (photos / "views.png").rename(photos / "map.png.tmp-12-0123abcd")
    after = opened(photos)
    assert after.fingerprint == before.fingerprint
    said = account.of(after)
    assert "3 images, 2 classes: cat 2, dog 1" in said
    assert "passed over, as results: ., cat" in said


def test_pictures_of_these_names_are_pictures_elsewhere(photos):
    """Another program's config.json is no sign of a run."""
    for name in own_files.PICTURES:
        image_files.write(photos / "maps" / name)
        image_files.write(photos / name)
    (photos / "maps" / "config.json").write_text("{}")
    (photos / "study.json").write_text("{}")
    source = opened(photos)
    assert source.num_examples == 3 + 2 * len(own_files.PICTURES)
    assert "results" not in account.of(source)


def test_results_in_another_file_system():
    image = image_files.encode(image_files.pixels(1), "PNG")
    for name in (
        *("a/1.png", "b/2.png", "RUN/map.png"),
        *("RUN/config.json", "RUN/flags.json"),
    ):
        path = f"ram://results/{name}"
        tf.io.gfile.makedirs(os.path.dirname(path))
        with tf.io.gfile.GFile(path, "wb") as file:
            file.write(image if name.endswith("png") else b"{}")
    source = opened("ram://results")
    assert source.class_names == ("a", "b")
    assert account.of(source).endswith("; passed over, as results: RUN")


def test_several_folders_say_the_results_in_each(photos, tmp_path):
    image_files.write(tmp_path / "scans" / "cat" / "3.png", 3)
    write_run(photos / "RUN")
    source = opened(f"{photos},{tmp_path}/scans")
    assert source.num_examples == 4
    assert "passed over, as results: RUN" in account.of(source)


def test_a_manifest_of_before_is_not_trusted(photos, monkeypatch, tmp_path):
    """Its listing has the pictures of runs."""
    monkeypatch.setattr(manifest, "_LEAST_FILES", 1)
    monkeypatch.setattr(manifest, "folder", lambda: tmp_path / "cache")
    write_run(photos / "RUN")
    listing = manifest.Listing(base=str(photos), names=["RUN/map.png"])
    monkeypatch.setattr(manifest, "_VERSION", 3)
    manifest.write(listing)
    assert manifest.read(str(photos)) is not None
    monkeypatch.undo()
    monkeypatch.setattr(manifest, "folder", lambda: tmp_path / "cache")
    assert manifest.read(str(photos)) is None
