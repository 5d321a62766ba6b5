"""Splits: how they are written, what can be wrong, what two of them share."""

import numpy as np
import pytest

from simclr_tf.data import fingerprint, from_arrays, subset
from simclr_tf.data.sources import has_split, open_source
from simclr_tf.errors import UserError
from tests import image_files
from tests.tiny_datasets import write_tfds

SIZE = 20


@pytest.fixture(scope="module")
def places(tmp_path_factory):
    place = tmp_path_factory.mktemp("splits")
    write_tfds(
        "tiny", place, splits={"train": SIZE, "test": 8}, num_classes=3,
        num_shards=3,
    )  # fmt: skip
    for number in range(SIZE + 8):
        split = "train" if number < SIZE else "test"
        folder = place / "folder" / split / "ab"[number % 2]
        folder.mkdir(parents=True, exist_ok=True)
        pixels = image_files.pixels(number, height=5 + number)
        (folder / f"{number}.png").write_bytes(
            image_files.encode(pixels, "PNG")
        )
    return place


@pytest.fixture(params=["tiny", "folder", "stream"])
def opened(request, places):
    def open_split(split):
        dataset = "folder" if request.param == "folder" else "tiny"
        return open_source(
            dataset=dataset,
            split=split,
            data_dir=str(places / "folder" if dataset == "folder" else places),
            in_memory_limit_mb=0 if request.param == "stream" else 100,
        )

    return open_split


@pytest.mark.parametrize(
    ("split", "message"),
    [
        ("tset", r"'tset'.*does not exist.*which has test, train;"),
        ("train+tset[:3]", r"'tset.*does not exist.*which has test, train;"),
        ("train[50%:10%]", r"'train\[50%:10%\]'.*is empty.*smaller bound"),
        ("train[9:9]", r"'train\[9:9\]'.*is empty"),
        ("train[-3:-6]", r"'train\[-3:-6\]'.*is empty"),
        ("test+train[:0%]", r"'train\[:0%\]'.*is empty"),
        ("test+train[18:3]", r"'train\[18:3\]'.*is empty"),
        ("train[:21]", r"'train\[:21\]'.*beyond its 20"),
        ("train+train", r"'train\+train'.*takes some images twice"),
        ("train[:7]+test+train[6:]", r"takes some images twice"),
    ],
)
def test_what_is_wrong_is_one_sentence(opened, split, message):
    with pytest.raises(UserError, match=message) as error:
        opened(split)
    assert "\n" not in str(error.value)
    assert "--train_split, --eval_split" in str(error.value)


@pytest.mark.parametrize("split", ["train[:150%]", "train[1:2:3]", "", "+"])
def test_what_is_no_split_is_one_sentence(opened, split):
    with pytest.raises(UserError, match="split '") as error:
        opened(split)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("split", "size"),
    [
        ("test[:50%]", 4),
        ("train[:10%]+test", 10),
        ("train[:7]+train[7:]", SIZE),
        ("train[-5:]", 5),
    ],
)
def test_every_form_opens(opened, split, size):
    assert opened(split).num_examples == size


@pytest.mark.parametrize("dataset", ["tiny", "folder"])
def test_what_is_there_is_known_without_opening(places, dataset):
    place = str(places / "folder" if dataset == "folder" else places)

    def there(split):
        return has_split(dataset=dataset, split=split, data_dir=place)

    assert there("test[:50%]")
    assert there("train[:10%]+test")
    assert not there("validation")
    assert not there("train+validation[:3]")


def test_an_example_has_one_id_in_every_slice(opened):
    whole, part = opened("train"), opened("train[4:11]")
    if not whole.random_access:
        ids = [source.examples.pieces.ids for source in (whole, part)]
        np.testing.assert_array_equal(ids[1], ids[0][4:11])
        return
    names = [subset._names(source).numpy() for source in (whole, part)]
    ids = [subset.ids_of(source) for source in (whole, part)]
    by_name = dict(zip(names[0], ids[0], strict=True))
    np.testing.assert_array_equal(ids[1], [by_name[n] for n in names[1]])


@pytest.mark.parametrize(
    ("one", "other", "shared"),
    [
        ("train", "test", 0),
        ("train", "train", SIZE),
        ("train", "train[4:11]", 7),
        ("train[4:11]", "train", 7),
        ("train[:10]", "train[10:]", 0),
        ("train[:10]", "train[7:12]+test", 3),
    ],
)
def test_overlap_counts_what_is_in_both(opened, one, other, shared):
    assert subset.overlap(opened(one), opened(other)) == shared


def test_overlap_of_large_folders_is_by_path(places, monkeypatch):
    monkeypatch.setattr(fingerprint, "CONTENT_LIMIT_BYTES", 0)

    def opened(split):
        return open_source(
            dataset="folder", split=split, data_dir=str(places / "folder")
        )

    assert subset.overlap(opened("train"), opened("train[4:11]")) == 7
    assert subset.overlap(opened("train"), opened("test")) == 0


def test_equal_images_overlap_wherever_they_lie(tmp_path):
    for number in range(6):
        image_files.write(tmp_path / "train" / "a" / f"{number}.png", number)
    for number in range(4, 9):
        image_files.write(tmp_path / "test" / "a" / f"x{number}.png", number)
    for split in ("train", "test"):
        (tmp_path / split / "a" / "unreadable.png").write_bytes(b"")

    def opened(split):
        return open_source(
            dataset="folder", split=split, data_dir=str(tmp_path)
        )

    assert subset.overlap(opened("train"), opened("test")) == 2
    assert subset.overlap(opened("train"), opened("train[:3]+test")) >= 2


def test_what_nobody_can_tell_is_none(places):
    stream = open_source(
        dataset="tiny", split="train", data_dir=str(places),
        in_memory_limit_mb=0,
    )  # fmt: skip
    other = from_arrays(np.zeros((2, 8, 8, 3), np.uint8))
    assert subset.overlap(stream, other) is None


def test_whether_the_order_depends_on_hosts(opened):
    """The property says it; `test_data_pipeline` holds the orders."""
    source = opened("train")
    assert source.order_depends_on_hosts == (
        getattr(source.examples, "storage", None) == "stream"
    )


@pytest.mark.parametrize(
    "deeper", ["tiny", "tiny/", "tiny/1.0.0", "set/part", "set/part/1.0.0"]
)
def test_a_data_dir_that_is_too_deep_is_told_so(places, deeper):
    name = deeper.split("/")[0]
    if name == "set":
        write_tfds("set", places, splits={"train": 2}, config="part")
    with pytest.raises(UserError, match="its parent is the --data_dir") as e:
        open_source(dataset=name, split="train", data_dir=f"{places}/{deeper}")
    assert str(e.value).endswith(f"--data_dir={places}.")


def test_a_folder_that_happens_to_have_the_name_is_not_too_deep(tmp_path):
    (tmp_path / "mnist").mkdir()
    with pytest.raises(UserError, match="is not prepared"):
        open_source(
            dataset="mnist", split="train", data_dir=str(tmp_path / "mnist")
        )
