"""How images lie in a folder: each arrangement is taken rightly and said.

Nothing is left out without a word, whatever the arrangement.
"""

import os

import numpy as np
import pytest

from simclr_tf.build import account
from simclr_tf.data.sources import has_split, open_source, split_names
from simclr_tf.errors import UserError
from tests import image_files


def make(root, **counts):
    """Images by folder: make(tmp_path, **{"train/cat": 3, "": 2})."""
    for folder, count in counts.items():
        for number in range(count):
            image_files.write(root / folder / f"{number}.png", number)
    return root


def opened(root, split="train", **options):
    return open_source(
        dataset="folder", data_dir=str(root), split=split, **options
    )


LAYOUTS = {
    # name: (folders, split, options, what is said after "folder SPLIT: ")
    "flat": ({"": 3}, "train", {}, "3 images, no classes"),
    "classes": (
        {"cat": 3, "dog": 2},
        "train",
        {},
        "5 images, 2 classes: cat 3, dog 2",
    ),
    "no_class_folders": (
        {"2019": 3, "2020/may": 2, "": 1},
        "train",
        {"class_folders": False},
        "6 images, no classes",
    ),
    "one_class": (
        {"cat": 3},
        "train",
        {},
        "3 images, no classes; all lie in 'cat', and one class is no label",
    ),
    "loose_beside_one": (
        {"": 5, "edited": 3},
        "train",
        {},
        "8 images, no classes; 5 lie beside the folder 'edited', and one class"
        " is no label",
    ),
    "loose_beside_classes": (
        {"": 2, "cat": 3, "dog": 1},
        "train",
        {},
        "6 images, 2 classes: cat 3, dog 1; without a label (beside the class"
        " folders): 2",
    ),
    "empty_classes": (
        {"cat": 3, "dog": 2, "bird": 0},
        "train",
        {},
        "5 images, 2 classes: cat 3, dog 2",
    ),
    "splits": (
        {"train/cat": 2, "train/dog": 1, "val/cat": 1},
        "train",
        {},
        "3 images, 2 classes: cat 2, dog 1",
    ),
    "splits_of_any_case": (
        {"Train/cat": 2, "Train/dog": 1, "TEST/dog": 4},
        "test",
        {},
        "4 images, 2 classes: cat 0, dog 4",
    ),
    "training": (
        {"Training/cat": 2, "Testing/dog": 1},
        "train",
        {},
        "2 images, 2 classes: cat 2, dog 0",
    ),
    "affixed_splits": (
        {"seg_train/seg_train/sea": 2, "seg_train/seg_train/ice": 1,
         "seg_test/seg_test/sea": 3, "seg_test/seg_test/ice": 1,
         "seg_pred": 4},
        "train",
        {},
        "3 images, 2 classes: ice 1, sea 2; in no split: seg_pred 4",
    ),
    "numbered_splits": (
        {"train2017": 2, "val2017": 1},
        "train",
        {},
        "2 images, no classes",
    ),
    "one_level_deeper": (
        {"photos/cat": 2, "photos/dog": 1},
        "train",
        {},
        "3 images, 2 classes: cat 2, dog 1; everything lies in photos/",
    ),
    "splits_one_level_deeper": (
        {"data/train/cat": 2, "data/train/dog": 1, "data/test/dog": 1},
        "test",
        {},
        "1 images, 2 classes: cat 0, dog 1; everything lies in data/",
    ),
    "classes_one_level_deeper_in_splits": (
        {"train/images/cat": 2, "train/images/dog": 1, "val/images/dog": 1},
        "val",
        {},
        "1 images, 2 classes: cat 0, dog 1",
    ),
    "a_class_called_train": (
        {"bicycle": 2, "bus": 1, "train": 3},
        "train",
        {"split_folders": "no"},
        "6 images, 3 classes: bicycle 2, bus 1, train 3",
    ),
    "a_split_with_neighbours": (
        {"raw": 2, "train/a": 1, "train/b": 3},
        "train",
        {"split_folders": "yes"},
        "4 images, 2 classes: a 1, b 3; in no split: raw 2",
    ),
    "train_and_extra": (
        {"train": 2, "val": 1, "extra": 3},
        "extra",
        {},
        "3 images, no classes",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", LAYOUTS)
def test_every_arrangement_is_said(tmp_path, name):
    folders, split, options, said = LAYOUTS[name]
    for folder in folders:
        (tmp_path / folder).mkdir(parents=True, exist_ok=True)
    source = opened(make(tmp_path, **folders), split, **options)
    assert account.of(source).startswith(f"folder {split}: {said}")


@pytest.mark.parametrize(
    ("folders", "message"),
    [
        (
            {"bicycle": 2, "bus": 2, "car": 1, "train": 1},
            "images in 'train', .*bicycle 2, bus 2, car 1.*--split_folders=no",
        ),
        ({"": 3, "test": 1}, r"'test'.*3 in no folder.*--split_folders=yes"),
        ({"train": 1, "Training": 1}, "two folders for the split 'train'"),
        ({"Train": 1, "train": 1}, "two folders for the split 'train'"),
    ],
)
def test_what_may_be_a_split_or_a_class_is_asked(tmp_path, folders, message):
    make(tmp_path, **folders)
    with pytest.raises(UserError, match=message) as error:
        opened(tmp_path)
    assert "\n" not in str(error.value)


def test_splits_are_known_by_their_other_names(tmp_path):
    make(tmp_path, Training=1, Validation=1)
    names = {"dataset": "folder", "data_dir": str(tmp_path)}
    assert split_names(**names) == ["train", "validation"]
    assert has_split(split="validation", **names)
    assert not has_split(split="test", **names)
    assert opened(tmp_path, "Validation").num_examples == 1
    assert opened(tmp_path, "valid").num_examples == 1


def test_what_is_no_image_is_no_class_and_is_counted_by_kind(tmp_path):
    make(tmp_path, cat=2, dog=2)
    for name in ("__MACOSX/._0.png", "docs/a.txt", "b.txt", "cat/Thumbs.db"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("nothing to see")
    (tmp_path / "empty").mkdir()
    source = opened(tmp_path)
    assert source.class_names == ("cat", "dog")
    assert account.of(source).endswith("passed over: 2 .txt, 1 .db")


def test_kinds_that_need_more_are_counted_with_what_they_need(
    tmp_path, monkeypatch
):
    make(tmp_path, **{"": 1})
    from simclr_tf.data import decoding

    monkeypatch.setattr(
        decoding, "install", lambda kind: "WAY" if kind == "HEIC" else None
    )
    for number in range(3):
        (tmp_path / f"{number}.HEIC").write_bytes(b"whatever")
    said = account.of(opened(tmp_path))
    assert "1 images" in said
    assert "passed over: 3 .HEIC; .HEIC can be read after WAY" in said


def test_links_lead_to_every_image_once(tmp_path):
    make(tmp_path, **{"D/a": 2, "D/b": 3, "outside": 4})
    root = tmp_path / "D"
    (root / "a" / "loop").symlink_to(root)
    (root / "b" / "loop").symlink_to(root / "a")
    (root / "c").symlink_to(tmp_path / "outside")
    (root / "a" / "again.png").symlink_to(root / "a" / "0.png")
    (root / "b" / "gone.png").symlink_to(tmp_path / "nothing")
    source = opened(root)
    said = account.of(source)
    assert "9 images, 3 classes: a 2, b 3, c 4" in said
    assert "1 links to nothing: b/gone.png" in said
    assert "links to images read anyway" in said


def test_a_split_may_be_made_of_links_into_a_pool(tmp_path):
    pool = make(tmp_path / "D", pool=4)
    for number in range(4):
        split = pool / ("train" if number < 3 else "test") / "cd"[number % 2]
        split.mkdir(parents=True, exist_ok=True)
        (split / "x.png").unlink(missing_ok=True)
        (split / f"{number}.png").symlink_to(pool / "pool" / f"{number}.png")
    assert opened(pool).num_examples == 3
    assert opened(pool, "test").num_examples == 1


def test_a_folder_that_may_not_be_listed_is_named(tmp_path, monkeypatch):
    make(tmp_path, a=1, b=1, secret=1)
    real = os.scandir

    def scandir(path):
        if str(path).endswith("secret"):
            raise PermissionError(13, "Permission denied")
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)
    said = account.of(opened(tmp_path))
    assert "2 images" in said and "1 folders without permission: secret" in said


def test_names_of_any_bytes_are_read_and_can_be_printed(tmp_path):
    make(tmp_path, dog=1)
    folder = os.fsencode(tmp_path) + b"/caf\xe9"
    os.mkdir(folder)
    content = image_files.encode(image_files.pixels(3), "PNG")
    with open(folder + b"/\xff.png", "wb") as file:
        file.write(content)
    source = opened(tmp_path)
    assert source.class_names == ("caf\\xe9", "dog")
    image, label = source.examples.read({}, 0)
    np.testing.assert_array_equal(image, image_files.pixels(3))
    assert int(label) == 0
    account.of(source).encode()


def test_several_folders_are_read_as_one(tmp_path):
    make(tmp_path / "one", cat=2, dog=1)
    make(tmp_path / "two", cat=1, bird=2)
    both = opened(f"{tmp_path}/one,{tmp_path}/two")
    assert "6 images, 3 classes: bird 2, cat 3, dog 1" in account.of(both)
    assert len(set(both.examples.ids.numpy())) == 6
    image, _ = both.examples.read({}, 5)
    np.testing.assert_array_equal(image, image_files.pixels(0))
    with pytest.raises(
        UserError, match=r"--data_dir=.*three.* not an existing"
    ):
        opened(f"{tmp_path}/one,{tmp_path}/three")


def test_a_list_names_folders_and_files(tmp_path):
    make(tmp_path, **{"one/cat": 2, "two/cat": 1, "two/dog": 3})
    listed = tmp_path / "list.txt"
    listed.write_text("one\ntwo/dog/0.png\n\ntwo/cat/0.png\n")
    source = opened(listed)
    assert "4 images, 2 classes: cat 3, dog 1" in account.of(source)
    for text in ("one\nthree\n", "one\none/three\n"):
        listed.write_text(text)
        with pytest.raises(UserError, match=r"list.*three \(does not exist\)"):
            opened(listed)


def test_a_folder_that_changes_is_listed_anew(tmp_path):
    make(tmp_path, cat=1, dog=1)
    old = os.stat(tmp_path / "cat").st_mtime_ns - 10**10
    for folder in ("cat", "dog", "."):
        os.utime(tmp_path / folder, ns=(old, old))
    assert opened(tmp_path).num_examples == 2
    make(tmp_path, cat=2)
    assert opened(tmp_path).num_examples == 3


@pytest.mark.parametrize(
    "text",
    [
        "\ufefftwo/cat/0.png\none\n",
        "two/cat/0.png\r\n./two/cat/0.png\r\none\r\n",
        "two/../two//cat/0.png\ntwo/cat/0.png\none/\none/../one\n",
        "one\none/cat\none/cat/1.png\none/dog/0.png\ntwo/cat/0.png\n",
        "one/dog/0.png\none/cat/0.png\none\ntwo/cat/0.png\n",
    ],
)
def test_a_list_may_name_an_image_more_than_once(tmp_path, text):
    make(tmp_path, **{"one/cat": 2, "one/dog": 3, "two/cat": 1})
    listed = tmp_path / "list.txt"
    listed.write_text("one\ntwo/cat/0.png\n")
    # As an editor of any system would write it.
    other = tmp_path / "other.txt"
    other.write_bytes(text.encode())
    expected, source = opened(listed), opened(other)
    said = account.of(expected)
    assert account.of(source) == said
    assert "6 images" in said and "links" not in said
    assert source.fingerprint == expected.fingerprint


def test_paths_of_one_image_are_one_name_in_a_list(tmp_path):
    make(tmp_path, cat=2, dog=1)
    listed = tmp_path / "list.txt"
    listed.write_text("cat/0.png\n./cat/1.png\ndog/../dog/0.png\n./cat/0.png\n")
    said = account.of(opened(listed))
    assert said == "folder train: 3 images, 2 classes: cat 2, dog 1"


def test_a_way_back_out_of_a_link_leads_where_the_system_goes(tmp_path):
    """link/.. is the folder above what the link leads to."""
    make(tmp_path, **{"real/cat": 1, "real/deep": 1, "cat": 3})
    (tmp_path / "link").symlink_to(tmp_path / "real" / "deep")
    listed = tmp_path / "list.txt"
    listed.write_text("link/../cat\n")
    assert opened(listed).num_examples == 1


@pytest.mark.parametrize("also", ["", "/", "/cat", "/../photos"])
def test_a_folder_that_is_named_twice_is_one(tmp_path, monkeypatch, also):
    photos = make(tmp_path / "photos", cat=2, dog=3)
    monkeypatch.chdir(tmp_path)
    expected = opened("photos")
    for data_dir in (f"photos,{photos}{also}", f"{photos}{also},photos"):
        source = opened(data_dir)
        assert account.of(source) == account.of(expected)
        assert source.fingerprint == expected.fingerprint


def test_a_list_in_a_folder_that_is_named_is_read(tmp_path):
    make(tmp_path, **{"one/cat": 2, "one/dog": 1, "two/dog": 2})
    (tmp_path / "one" / "list.txt").write_text("../two\n")
    both = f"{tmp_path}/one,{tmp_path}/one/list.txt"
    assert opened(both).num_examples == 5
