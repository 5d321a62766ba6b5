"""Folders of images: what is found, what it is called, how it is read."""

import shutil

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from simclr_tf.data.sources import open_source
from tests import image_files


def open_folder(path, split="train", **options):
    return open_source(
        dataset="folder", data_dir=str(path), split=split, **options
    )


def paths(source):
    names = source.examples.name_of(tf.range(source.num_examples))
    return [name.decode() for name in names.numpy()]


def read(source, index):
    image, label = source.examples.read({}, tf.constant(index, tf.int64))
    return image.numpy(), int(label)


def test_subfolders_are_classes_and_may_be_deep(tmp_path):
    for name in ("dog/b.png", "cat/x/y/a.JPG", "cat/c.png", "Ant/d.bmp"):
        image_files.write(tmp_path / name)
    source = open_folder(tmp_path)
    assert source.class_names == ("Ant", "cat", "dog")
    assert (source.num_classes, source.num_examples) == (3, 4)
    assert source.has_labels
    assert source.random_access
    relative = [path[len(str(tmp_path)) + 1 :] for path in paths(source)]
    assert relative == ["Ant/d.bmp", "cat/c.png", "cat/x/y/a.JPG", "dog/b.png"]
    np.testing.assert_array_equal(source.examples.labels, [0, 1, 1, 2])


def test_a_flat_folder_has_no_labels(tmp_path):
    image_files.write_folder(tmp_path, 3)
    source = open_folder(tmp_path)
    assert source.num_classes is None
    assert source.class_names == ()
    assert not source.has_labels
    np.testing.assert_array_equal(source.examples.labels, [-1, -1, -1])


def test_images_are_told_by_their_bytes(tmp_path):
    """A GIF named .jpg, an upper-case suffix, no suffix at all."""
    image_files.write(tmp_path / "gif.jpg", 1, "GIF")
    image_files.write(tmp_path / "png.jpg", 2, "PNG")
    image_files.write(tmp_path / "JPEG.PNG", 3, "JPEG")
    image_files.write(tmp_path / "bmp", 4, "BMP")
    image_files.write(tmp_path / "jpeg.dat", 5, "JPEG")
    source = open_folder(tmp_path)
    assert source.num_examples == 5
    for index, path in enumerate(paths(source)):
        with Image.open(path) as opened:
            expected = np.asarray(opened.convert("RGB"), np.int32)
        image, _ = read(source, index)
        assert abs(image - expected).max() <= 4, path


@pytest.mark.parametrize(
    ("kind", "mode"),
    [
        ("PNG", "RGB"),
        ("PNG", "RGBA"),
        ("PNG", "L"),
        ("PNG", "LA"),
        ("PNG", "P"),
        ("JPEG", "L"),
        ("JPEG", "CMYK"),
        ("BMP", "RGB"),
        ("BMP", "L"),
        ("GIF", "P"),
        ("WEBP", "RGB"),
    ],
)
def test_every_kind_of_pixel_becomes_rgb(tmp_path, kind, mode):
    path = image_files.write(tmp_path / f"a.{kind.lower()}", 3, kind, mode)
    with Image.open(path) as opened:
        expected = np.asarray(opened.convert("RGB"), np.int32)
    image, _ = read(open_folder(tmp_path), 0)
    assert image.dtype == np.uint8
    # libjpeg and Pillow's build of it, and lossy WebP, round apart.
    tolerance = {"JPEG": 4, "WEBP": 4}.get(kind, 0)
    assert abs(image - expected).max() <= tolerance


def test_sixteen_bits_become_eight(tmp_path):
    deep = np.arange(0, 65536, 257, dtype=np.uint16).reshape(16, 16)
    Image.fromarray(deep).save(tmp_path / "deep.png")
    image, _ = read(open_folder(tmp_path), 0)
    np.testing.assert_array_equal(image, np.dstack([deep >> 8] * 3))


def test_a_gif_gives_its_first_frame(tmp_path):
    frames = [Image.fromarray(image_files.pixels(number)) for number in (1, 7)]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    with Image.open(tmp_path / "a.gif") as opened:
        expected = np.asarray(opened.convert("RGB"))
    image, _ = read(open_folder(tmp_path), 0)
    np.testing.assert_array_equal(image, expected)


def test_split_folders_are_used_and_share_their_classes(tmp_path):
    for name in ("train/a/1.png", "train/b/2.png", "train/c/3.png"):
        image_files.write(tmp_path / name)
    for name in ("val/a/4.png", "val/c/5.png", "extra/6.png"):
        image_files.write(tmp_path / name)
    train, val = open_folder(tmp_path), open_folder(tmp_path, "val")
    assert train.num_examples == 3
    assert val.class_names == train.class_names == ("a", "b", "c")
    np.testing.assert_array_equal(val.examples.labels, [0, 2])
    assert not open_folder(tmp_path, "extra").has_labels
    with pytest.raises(ValueError, match=r"'test' .*not exist.*train, val"):
        open_folder(tmp_path, "test")


def test_slices_part_a_folder(tmp_path):
    image_files.write_folder(tmp_path, 21)
    whole = set(paths(open_folder(tmp_path)))
    first = paths(open_folder(tmp_path, "train[:80%]"))
    rest = paths(open_folder(tmp_path, "train[80%:]"))
    assert len(first) == 17
    assert len(rest) == 4
    assert set(first) | set(rest) == whole
    assert first == sorted(first)
    assert rest != sorted(whole)[17:], "a slice is of the shuffled files"
    assert paths(open_folder(tmp_path, "train[-4:]")) == rest
    assert paths(open_folder(tmp_path, "train[2:6]")) != rest


def test_ids_and_fingerprint_do_not_depend_on_where_the_folder_lies(tmp_path):
    image_files.write_folder(tmp_path / "here", 5)
    shutil.copytree(tmp_path / "here", tmp_path / "there" / "deep")
    here = open_folder(tmp_path / "here")
    there = open_folder(tmp_path / "there" / "deep")
    np.testing.assert_array_equal(here.examples.ids, there.examples.ids)
    assert here.fingerprint == there.fingerprint
    assert len(set(here.examples.ids.numpy())) == 5
    part = open_folder(tmp_path / "here", "train[:2]")
    assert set(part.examples.ids.numpy()) < set(here.examples.ids.numpy())
    assert part.fingerprint != here.fingerprint
    (tmp_path / "here" / "00.png").write_bytes(b"changed")
    assert open_folder(tmp_path / "here").fingerprint != there.fingerprint


def test_a_folder_in_another_file_system():
    for name in "cd":
        tf.io.gfile.makedirs(f"ram://photos/{name}")
    for number in range(3):
        path = f"ram://photos/{'ccd'[number]}/{number}.png"
        with tf.io.gfile.GFile(path, "wb") as file:
            data = image_files.encode(image_files.pixels(number), "PNG")
            file.write(data)
    source = open_folder("ram://photos")
    assert source.class_names == ("c", "d")
    assert source.num_examples == 3
    image, label = read(source, 2)
    np.testing.assert_array_equal(image, image_files.pixels(2))
    assert label == 1


def test_cache_keeps_the_decoded_images(tmp_path):
    image_files.write(tmp_path / "a.png", 1)
    large = image_files.pixels(2, height=31, width=20)
    (tmp_path / "b.png").write_bytes(image_files.encode(large, "PNG"))
    source = open_folder(tmp_path, cache=True)
    for file in tmp_path.iterdir():
        file.unlink()
    np.testing.assert_array_equal(read(source, 0)[0], image_files.pixels(1))
    np.testing.assert_array_equal(read(source, 1)[0], large)
    assert source.examples.storage == "pixels"


def test_a_cache_that_does_not_fit_is_an_error(tmp_path):
    noise = np.zeros((800, 800, 3), np.uint8)
    (tmp_path / "a.png").write_bytes(image_files.encode(noise, "PNG"))
    with pytest.raises(ValueError, match=r"--cache_dataset.*--in_memory_limit"):
        open_folder(tmp_path, cache=True, in_memory_limit_mb=1)


@pytest.mark.parametrize(
    ("data_dir", "split", "message"),
    [
        (None, "train", "--dataset=folder needs --data_dir"),
        ("missing", "train", "--data_dir=.*missing is not an existing folder"),
        (
            "empty",
            "train",
            "--data_dir=.*empty has no JPEG.*passed over: 1 .txt",
        ),
        ("flat", "test", r"'test' .*not exist.*all is 'train'"),
        ("flat", "train[:1%]", r"'train\[:1%\]'.* of --data_dir.*is empty"),
        ("flat", "train[:1][:1]", "one slice such as"),
        ("flat", "train+test", r"'test' .*does not exist"),
        ("flat", "train+train[:1]", "takes some images twice"),
    ],
)
def test_errors_name_the_flag(tmp_path, data_dir, split, message):
    image_files.write_folder(tmp_path / "flat", 2)
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "notes.txt").write_text("nothing here")
    with pytest.raises(ValueError, match=message) as error:
        open_source(
            dataset="folder",
            data_dir=data_dir and str(tmp_path / data_dir),
            split=split,
        )
    assert "\n" not in str(error.value)


def test_sums_are_their_parts_one_behind_the_other(tmp_path):
    """train+val of a data set whose last classifier is fitted on both."""
    for split, count in [("train", 3), ("val", 2), ("test", 2)]:
        for number in range(count):
            folder = tmp_path / split / ("cat", "dog")[number % 2]
            image_files.write(folder / f"{split}{number}.png", number)

    def opened(split, **options):
        return open_source(
            dataset="folder", data_dir=str(tmp_path), split=split, **options
        )

    train, val, both = opened("train"), opened("val"), opened("train+val")
    assert both.num_examples == 5
    assert both.class_names == ("cat", "dog")
    for name in ("ids", "labels"):
        np.testing.assert_array_equal(
            getattr(both.examples, name),
            np.concatenate([getattr(s.examples, name) for s in (train, val)]),
        )
    assert both.fingerprint not in (train.fingerprint, val.fingerprint)
    assert both.fingerprint == opened("train+val").fingerprint
    index = tf.constant(4, tf.int64)
    assert both.examples.name_of(index).numpy().endswith(b"dog/val1.png")
    for source in (both, opened("train+val", cache=True)):
        image, label = source.examples.read({}, index)
        np.testing.assert_array_equal(image, image_files.pixels(1))
        assert label == 1


def test_parts_of_a_sum_may_have_images_of_the_same_name(tmp_path):
    """train/cat/00.png and test/cat/00.png: numbered split by split."""
    for number, name in enumerate(
        ("train/cat/00", "train/dog/01", "train/dog/02", "test/cat/00")
    ):
        image_files.write(tmp_path / f"{name}.png", number)
    train, test = (open_folder(tmp_path, name) for name in ("train", "test"))
    both, turned = (
        open_folder(tmp_path, name) for name in ("train+test", "test+train")
    )
    assert paths(both) == paths(train) + paths(test)
    np.testing.assert_array_equal(both.examples.labels, [0, 1, 1, 0])
    ids = dict(zip(paths(both), both.examples.ids.numpy(), strict=True))
    assert len(set(ids.values())) == 4
    assert ids == dict(
        zip(paths(turned), turned.examples.ids.numpy(), strict=True)
    )
    # What is of one split alone keeps its id there.
    np.testing.assert_array_equal(
        both.examples.ids[1:3], train.examples.ids[1:]
    )
    image, label = read(both, 3)
    np.testing.assert_array_equal(image, image_files.pixels(3))
    assert label == 0
    assert open_folder(tmp_path, "train[:2]+test").num_examples == 3
    with pytest.raises(ValueError, match="takes some images twice"):
        open_folder(tmp_path, "train+test+train[:1]")
