"""--cache_dataset=disk: shrunk copies, and the same run but for pixels."""

import os

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from simclr_tf.augment import draw, geometry
from simclr_tf.augment.policy import Policy
from simclr_tf.build import splits
from simclr_tf.config import resolve
from simclr_tf.data import decoding, pipeline, shrunk, shrunk_parts
from simclr_tf.data.corrupt import CorruptLog
from simclr_tf.data.folder import Reading, open_folder
from simclr_tf.errors import UserError
from tests import image_files
from tests.data.test_data_decoding_reduced import jpeg, oriented, photograph

SIZE = 32
SIDE = shrunk.side_for(SIZE, 0.08)


@pytest.fixture
def photos(tmp_path):
    """Large, upright and turned; small ones; a damaged one; no JPEG."""
    root = tmp_path / "photos"
    for number, orientation in enumerate((1, 1, 3, 6)):
        image = photograph(401, 533, seed=number)
        if orientation == 6:
            image = image.transpose(Image.Transpose.TRANSPOSE)
        folder = root / ("cat", "dog")[number % 2]
        folder.mkdir(parents=True, exist_ok=True)
        data = jpeg(image, exif=oriented(orientation))
        (folder / f"large{number}.jpg").write_bytes(data)
    for number in range(3):
        image_files.write(root / "cat" / f"small{number}.jpg", number)
    photograph(300, 200).save(root / "dog" / "large.png")
    (root / "dog" / "damaged.jpg").write_bytes(data[: len(data) // 2])
    return root


def opened(photos):
    return open_folder(Reading(str(photos)), split="train")


def copied(photos, place, **options):
    options = {"side": SIDE, "folder": str(place), **options}
    return shrunk.copied(opened(photos), **options)


def train(source, *, start_step=0, steps=6, crops=True, **options):
    policy = Policy(SIZE, antialias=True)

    def draw_views(epoch, sample_id, number):
        return policy.draw(draw.sample_seed(0, epoch, sample_id, number))

    batches = pipeline.training_batches(
        source,
        seed=0,
        start_step=start_step,
        global_batch_size=5,
        per_replica_batch_size=5,
        draw=draw_views,
        view=lambda image, drawn: {"images": policy.host_view(image, drawn)},
        crops=policy.crops if crops else None,
        **options,
    )
    found = list(batches.take(steps).as_numpy_iterator())
    return {key: np.concatenate([b[key] for b in found]) for key in found[0]}


def test_a_square_of_the_least_area_has_as_many_pixels_as_a_view():
    assert SIDE == 114  # 32 / sqrt(0.08)
    assert shrunk.side_for(SIZE, 1) == SIZE


@pytest.mark.slow
def test_ids_labels_and_what_is_unreadable_stay_and_views_nearly(
    photos, tmp_path
):
    logs = CorruptLog(), CorruptLog()
    whole = train(opened(photos), corrupt=logs[0], crops=False)
    source = copied(photos, tmp_path / "copies")
    copy = train(source, corrupt=logs[1])
    for key in ("id", "label"):
        np.testing.assert_array_equal(copy[key], whole[key])
    assert logs[0].names() == logs[1].names()
    assert [os.path.basename(name) for name in logs[1].names()] == [
        "damaged.jpg"
    ]
    for key in ("images_0", "images_1"):
        difference = copy[key].astype(int) - whole[key]
        assert np.abs(difference).mean() < 2.5
        assert np.abs(difference).mean(axis=(1, 2, 3)).max() < 6
    # A run that resumes sees the same bits.
    tail = train(source, start_step=4, steps=2)
    for key in copy:
        np.testing.assert_array_equal(tail[key], copy[key][20:])


def test_what_is_not_larger_is_kept_to_the_bit(photos, tmp_path):
    source, copy = opened(photos), copied(photos, tmp_path / "copies")
    small = 0
    for index in range(source.num_examples):
        name = source.examples.name(None, tf.constant(index)).numpy()
        if b"small" in name:
            np.testing.assert_array_equal(
                copy.examples.read({}, index)[0],
                source.examples.read({}, index)[0],
            )
            small += 1
        elif b"damaged" not in name:
            image = copy.examples.read({}, index)[0].numpy()
            assert min(image.shape[:2]) == SIDE, name
    assert small == 3


@pytest.mark.slow
def test_evaluation_cuts_what_it_cut(photos, tmp_path):
    source, copy = opened(photos), copied(photos, tmp_path / "copies")
    views = []
    for one, crops in (
        (source, None),
        (copy, geometry.eval_crops(size=SIZE)),
    ):
        batches = pipeline.eval_batches(
            one,
            global_batch_size=9,
            per_replica_batch_size=9,
            view=lambda image: geometry.eval_view(
                image, size=SIZE, antialias=True
            ),
            crops=crops,
        )
        (batch,) = batches.as_numpy_iterator()
        assert batch["mask"].sum() == 8
        views.append(batch["images"].astype(int))
    assert np.abs(views[0] - views[1]).mean() < 2.5


@pytest.mark.parametrize("name", ["00000.npz", "00000.tfrecord"])
@pytest.mark.parametrize("damage", [b"", None, "half"])
def test_a_damaged_part_is_made_anew(tmp_path, name, damage):
    (tmp_path / "photos").mkdir()
    for number in range(2):
        image_files.write(tmp_path / "photos" / f"{number}.jpg", number)
    first = copied(tmp_path / "photos", tmp_path / "copies")
    (part,) = (tmp_path / "copies").glob(f"*/{name}")
    whole = part.read_bytes()
    if damage is None:
        part.unlink()
    else:
        part.write_bytes(whole[: len(whole) // 2] if damage else b"")
    again = copied(tmp_path / "photos", tmp_path / "copies")
    rows = [one.examples.payload for one in (first, again)]
    np.testing.assert_array_equal(*rows)
    if name.endswith("tfrecord"):
        assert part.read_bytes() == whole


def test_a_copy_whose_bytes_have_changed_is_told_from_its_image(
    photos, tmp_path
):
    """One image is unreadable itself, the copy of another is damaged later."""
    copied(photos, tmp_path / "copies")
    (records,) = (tmp_path / "copies").glob("*/00000.tfrecord")
    content = bytearray(records.read_bytes())
    content[-100] ^= 0x10
    records.write_bytes(content)
    source = copied(photos, tmp_path / "copies")
    log = CorruptLog(source.examples.reason_of)
    train(source, corrupt=log)
    names, reasons = zip(
        *(line.split("\t") for line in log.lines()), strict=True
    )
    assert [os.path.basename(name) for name in names] == [
        "damaged.jpg",
        "large3.jpg",
    ]
    assert reasons == (
        "truncated",
        f"its copy is damaged: remove {records.parent}, and it is made anew",
    )


@pytest.mark.slow
def test_copies_are_made_once_and_a_kill_costs_a_part(
    photos, tmp_path, monkeypatch
):
    monkeypatch.setattr(shrunk_parts, "PART", 2)
    said = []
    options = {"progress": lambda done, total: said.append((done, total))}
    first = copied(photos, tmp_path / "copies", **options)
    assert said == [(0, 9), (2, 9), (4, 9), (6, 9), (8, 9), (9, 9)]
    said.clear()
    copied(photos, tmp_path / "copies", **options)
    assert said == []
    (folder,) = (tmp_path / "copies").iterdir()
    written = {path.name: path.read_bytes() for path in folder.iterdir()}
    # Killed before the index of the second part, while a third was written.
    (folder / "00001.npz").unlink()
    (folder / "00002.npz").unlink()
    (folder / "00002.tfrecord").write_bytes(b"half")
    again = copied(photos, tmp_path / "copies", **options)
    assert said == [(5, 9), (7, 9), (9, 9)]
    assert first.image_fingerprint == again.image_fingerprint
    rows = [one.examples.payload for one in (first, again)]
    np.testing.assert_array_equal(*rows)
    for path in folder.iterdir():
        if path.suffix == ".tfrecord":
            assert path.read_bytes() == written[path.name]


def test_another_side_or_background_or_image_is_another_copy(photos, tmp_path):
    def key(**options):
        return copied(photos, tmp_path / "copies", **options).image_fingerprint

    found = {key(), key(side=SIDE + 1)}
    black = open_folder(
        Reading(str(photos)),
        split="train",
        decoder=decoding.Decoder(background=(0, 0, 0)),
    )
    there = {"folder": str(tmp_path / "copies"), "side": SIDE}
    found.add(shrunk.copied(black, **there).image_fingerprint)
    image_files.write(photos / "cat" / "small0.jpg", 7)
    found.add(key())
    assert len(found) == 4


def test_the_flag_is_a_switch_with_one_more_value(photos, tmp_path):
    def config(value):
        given = {"dataset": "folder", "data_dir": str(photos)}
        given |= {"image_size": SIZE, "cache_dir": str(tmp_path / "copies")}
        return resolve.resolve({**given, "cache_dataset": value}).config

    assert config(True) == config("true")
    assert resolve.from_dict(config(False).to_dict()) == config("false")
    source = splits.open_split(config("disk"), "train")
    assert isinstance(source.examples.decode, shrunk.ShrunkDecoder)
    assert len(list((tmp_path / "copies").iterdir())) == 1
    with pytest.raises(UserError, match="--cache_dataset must be one of"):
        config("disc")
    pixels = splits.open_split(
        resolve.resolve({"cache_dataset": "disk"}).config, "train"
    )
    assert pixels.examples.storage == "pixels"


def test_a_place_that_takes_no_copies_is_named(photos, tmp_path):
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(UserError, match="--cache_dir") as refused:
        copied(photos, tmp_path / "file")
    assert str(tmp_path / "file") in str(refused.value)


@pytest.mark.slow
@pytest.mark.parametrize("spoilt", ["offsets", "shapes"])
def test_an_index_of_other_images_is_made_anew(photos, tmp_path, spoilt):
    first = copied(photos, tmp_path / "copies")
    (folder,) = (tmp_path / "copies").iterdir()
    path = folder / "00000.npz"
    with np.load(path) as index:
        arrays = dict(index)
    if spoilt == "offsets":
        arrays["offsets"] = arrays["offsets"][:-1]
    else:
        del arrays["shapes"]
    np.savez(path, **arrays)
    again = copied(photos, tmp_path / "copies")
    rows = [one.examples.payload for one in (first, again)]
    np.testing.assert_array_equal(*rows)
