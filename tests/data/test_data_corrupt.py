"""Unreadable images: replaced in place, counted, named; too many are fatal."""

import dataclasses
import io
import re
import shutil

import numpy as np
import pytest
import tensorflow as tf

from simclr_tf import counter_hash
from simclr_tf.data import pipeline
from simclr_tf.data.corrupt import CorruptLog
from simclr_tf.data.sources import open_source
from tests import image_files
from tests.tiny_datasets import write_tfds

NUM_EXAMPLES = 20
BAD = (3, 11, 12)


def draw(epoch, sample_id, number):
    return counter_hash.uniform(epoch, sample_id + number)[..., None]


def small(image):
    return tf.cast(tf.image.resize(image, [4, 4]), tf.uint8)


def view(image, drawn):
    return {"images": small(image), "parameters": drawn}


def train(source, *, steps=10, start_step=0, **options):
    dataset = pipeline.training_batches(
        source,
        seed=1,
        start_step=start_step,
        global_batch_size=6,
        per_replica_batch_size=6,
        draw=draw,
        view=view,
        **options,
    )
    batches = list(dataset.take(steps).as_numpy_iterator())
    return {
        key: np.concatenate([batch[key] for batch in batches])
        for key in batches[0]
    }


def break_file(path, how):
    data = path.read_bytes()
    path.write_bytes(
        {"empty": b"", "cut": data[: len(data) // 2], "text": b"no image"}[how]
    )


def folder(place, *, kind="PNG"):
    root = image_files.write_folder(place, NUM_EXAMPLES, kind=kind)
    return root, lambda: open_source(
        dataset="folder", data_dir=str(root), split="train"
    )


def prepared(place, broken, image_shape):
    """Prepares a data set; the images of some records are cut off."""

    def edit(number, example):
        encoded = image_files.encode(example["image"], "PNG")
        if number in broken:
            encoded = encoded[:40]
        return example | {"image": io.BytesIO(encoded)}

    write_tfds(
        "spoiled",
        place,
        splits={"train": NUM_EXAMPLES},
        num_shards=3,
        image_shape=image_shape,
        edit=edit,
    )
    return str(place)


@pytest.fixture
def kinds(tmp_path):
    """kind -> (clean source, broken source)."""

    def both(kind):
        if kind == "files":
            root, opened = folder(tmp_path / "clean")
            shutil.copytree(root, tmp_path / "broken")
            for number, how in zip(BAD, ("empty", "cut", "text"), strict=True):
                break_file(tmp_path / "broken" / f"{number:02d}.png", how)
            return opened(), open_source(
                dataset="folder",
                data_dir=str(tmp_path / "broken"),
                split="train",
            )
        sources = []
        for name, broken in (("clean", ()), ("broken", BAD)):
            side = 32 if kind == "small" else None
            place = prepared(tmp_path / name, broken, (side, side, 3))
            limit = 0 if kind == "stream" else 100
            source = open_source(
                dataset="spoiled",
                split="train",
                data_dir=place,
                in_memory_limit_mb=limit,
                cache=kind == "cached",
            )
            if kind == "stream":
                examples = dataclasses.replace(source.examples, window=5)
                source = dataclasses.replace(source, examples=examples)
            sources.append(source)
        return sources

    return both


@pytest.mark.parametrize("kind", ["files", "images", "stream", "cached"])
def test_a_substitute_shifts_nothing(kinds, kind):
    clean, broken = kinds(kind)
    log = CorruptLog()
    expected, batch = train(clean), train(broken, corrupt=log)
    bad_ids = set(expected["id"]) - set(batch["id"])
    assert len(bad_ids) == len(BAD)
    bad_rows = np.isin(expected["id"], list(bad_ids))
    assert bad_rows.sum() == 3 * len(BAD), "three epochs in 60 rows of 20"
    for key in expected:
        np.testing.assert_array_equal(
            batch[key][~bad_rows], expected[key][~bad_rows], err_msg=key
        )
    # A substitute is a real example, with its own image and label.
    good = {
        row: i for i, row in enumerate(expected["id"]) if row not in bad_ids
    }
    for row in np.flatnonzero(bad_rows):
        twin = good[batch["id"][row]]
        for key in ("images_0", "label"):
            np.testing.assert_array_equal(batch[key][row], expected[key][twin])
    assert len(set(batch["id"][bad_rows])) > 3, "drawn anew for each"
    assert log.count() == len(BAD)


@pytest.mark.parametrize("kind", ["files", "images", "stream"])
def test_a_substitute_has_the_draw_of_what_it_replaces(kinds, kind):
    """Not of its twin, which may be in the batch: with the same views of the
    same image, NT-Xent would have a negative equal to its anchor."""
    clean, broken = kinds(kind)
    expected, batch = train(clean), train(broken)
    replaced = batch["id"] != expected["id"]
    assert replaced.sum() == 3 * len(BAD)
    for number in range(2):
        key = f"parameters_{number}"
        np.testing.assert_array_equal(batch[key], expected[key])
    # Every epoch is 20 rows, whose 20 pairs of (image, views) all differ.
    for epoch in range(3):
        rows = slice(20 * epoch, 20 * (epoch + 1))
        drawn = batch["parameters_0"][rows, 0]
        assert len(set(zip(batch["id"][rows], drawn, strict=True))) == 20


@pytest.mark.parametrize("kind", ["files", "stream"])
def test_substitutes_are_the_same_on_resuming(kinds, kind):
    _, broken = kinds(kind)
    whole = train(broken)
    for step in (3, 7):
        tail = train(broken, start_step=step, steps=10 - step)
        for key in whole:
            np.testing.assert_array_equal(tail[key], whole[key][6 * step :])


def test_small_images_are_kept_encoded_if_one_is_broken(kinds):
    clean, broken = kinds("small")
    assert clean.examples.storage == "pixels"
    assert broken.examples.storage == "images"
    log = CorruptLog()
    train(broken, corrupt=log)
    assert log.count() == len(BAD)


@pytest.mark.parametrize("kind", ["files", "stream"])
def test_names_say_where_they_are(kinds, kind):
    _, broken = kinds(kind)
    log = CorruptLog()
    scanned = pipeline.scan(broken, corrupt=log)
    assert scanned == NUM_EXAMPLES
    names = log.names()
    assert len(names) == log.count() == len(BAD)
    if kind == "files":
        ends = [name[-len("broken/00.png") :] for name in names]
        assert ends == [f"broken/{number:02d}.png" for number in BAD]
        return
    for name in names:
        path, record = name.split(" record ")
        assert path.startswith("spoiled-train.tfrecord-0000")
        assert int(record) in range(7)


@pytest.mark.parametrize("how", ["empty", "cut", "text"])
@pytest.mark.parametrize("kind", ["PNG", "JPEG", "BMP", "GIF"])
def test_every_way_to_break_a_file_is_found(tmp_path, capfd, kind, how):
    root, opened = folder(tmp_path, kind=kind)
    path = root / f"05.{kind.lower()}"
    break_file(path, how)
    log = CorruptLog()
    capfd.readouterr()
    assert pipeline.scan(opened(), corrupt=log) == NUM_EXAMPLES
    assert log.names() == [str(path)]
    logged = capfd.readouterr().err
    if kind == "JPEG":  # libjpeg has its own say
        logged = re.sub(
            "Improper call to JPEG library in state 201|"
            "Not a JPEG file: starts with 0x.. 0x..",
            "",
            logged,
        )
    assert logged.strip() == "", "TensorFlow logs each, unasked"


def test_a_jpeg_that_ends_in_its_pixels_is_found(tmp_path, rng):
    root, opened = folder(tmp_path, kind="JPEG")
    noise = rng.integers(0, 255, (120, 160, 3)).astype(np.uint8)
    data = image_files.encode(noise, "JPEG")
    (root / "whole.jpg").write_bytes(data)
    (root / "short.jpg").write_bytes(data[: len(data) - 200])
    log = CorruptLog()
    pipeline.scan(opened(), corrupt=log)
    assert log.names() == [str(root / "short.jpg")]


def test_a_file_that_disappears_is_replaced_too(tmp_path):
    root, opened = folder(tmp_path)
    source = opened()
    (root / "07.png").unlink()
    log = CorruptLog()
    assert len(train(source, corrupt=log)["id"]) == 60
    assert log.names() == [str(root / "07.png")]


def test_a_scan_is_of_so_many_different_examples(tmp_path):
    root, opened = folder(tmp_path)
    for path in root.iterdir():
        break_file(path, "empty")
    log = CorruptLog()
    assert pipeline.scan(opened(), corrupt=log, limit=8) == 8
    assert log.count() == 8
    other = CorruptLog()
    pipeline.scan(opened(), corrupt=other, limit=8, seed=1)
    assert other.names() != log.names()


def test_too_many_stop_the_run_and_are_named(tmp_path):
    root, opened = folder(tmp_path)
    for number in range(13):
        break_file(root / f"{number:02d}.png", "empty")
    log = CorruptLog()
    pipeline.scan(opened(), corrupt=log)
    log.check(0.65, NUM_EXAMPLES)
    with pytest.raises(ValueError, match="--max_corrupt_fraction") as error:
        log.check(0.64, NUM_EXAMPLES)
    message = str(error.value)
    assert "0.64 of 20" in message
    assert "13 are" in message
    assert str(root / "09.png") in message
    assert str(root / "10.png") not in message
    assert "and 3 more" in message
    assert "\n" not in message


def test_counting_is_of_different_images(tmp_path):
    root, opened = folder(tmp_path)
    break_file(root / "00.png", "cut")
    log = CorruptLog()
    train(opened(), corrupt=log)
    train(opened(), corrupt=log, steps=3)
    assert log.count() == 1
    CorruptLog().check(0.0, NUM_EXAMPLES)


@pytest.mark.parametrize("kind", ["files", "stream"])
def test_eval_masks_what_it_cannot_read(kinds, kind):
    clean, broken = kinds(kind)
    log = CorruptLog()

    def evaluate(source, **options):
        dataset = pipeline.eval_batches(
            source,
            global_batch_size=8,
            per_replica_batch_size=8,
            view=small,
            **options,
        )
        batches = list(dataset.as_numpy_iterator())
        return {
            key: np.concatenate([batch[key] for batch in batches])
            for key in batches[0]
        }

    expected, batch = evaluate(clean), evaluate(broken, corrupt=log)
    np.testing.assert_array_equal(batch["id"], expected["id"])
    assert expected["mask"].sum() == NUM_EXAMPLES
    assert batch["mask"].sum() == NUM_EXAMPLES - len(BAD)
    np.testing.assert_array_equal(
        batch["images"][batch["mask"]], expected["images"][batch["mask"]]
    )
    assert np.all(batch["label"][~batch["mask"]] == -1)
    assert log.count() == len(BAD)


def test_an_error_in_a_view_is_not_taken_for_a_corrupt_image(tmp_path):
    _, opened = folder(tmp_path)

    def broken_view(image, drawn):
        tf.debugging.assert_greater(tf.shape(image)[0], 10**6)
        return view(image, drawn)

    batches = pipeline.training_batches(
        opened(),
        seed=0,
        start_step=0,
        global_batch_size=2,
        per_replica_batch_size=2,
        draw=draw,
        view=broken_view,
    )
    with pytest.raises(tf.errors.InvalidArgumentError, match="1000000"):
        next(iter(batches))
