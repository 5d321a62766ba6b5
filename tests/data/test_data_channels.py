"""Grey of 16 bits, one channel, and images of any number of bands."""

import io
import sys

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image, ImageDraw

from simclr_tf.augment import geometry
from simclr_tf.build import splits
from simclr_tf.config import resolve
from simclr_tf.data import decoding, pipeline, shrunk
from simclr_tf.data.corrupt import CorruptLog
from simclr_tf.data.decoding.levels import Unreadable, to_levels
from simclr_tf.data.folder import Reading, survey
from simclr_tf.data.sources import grey, open_source
from simclr_tf.errors import UserError
from tests import image_files

HEIGHT, WIDTH, C = 6, 9, 5


def bands(count=C, dtype=np.uint8):
    rng = np.random.default_rng(count)
    most = {"u": 1 << 16, "f": 256}[np.dtype(dtype).kind]
    most = 256 if dtype == np.uint8 else most
    return rng.integers(0, most, (HEIGHT, WIDTH, count)).astype(dtype)


def npy(array):
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def tiff(*pages, **options):
    file = io.BytesIO()
    first, *rest = (Image.fromarray(page) for page in pages)
    first.save(file, "TIFF", save_all=True, append_images=rest, **options)
    return file.getvalue()


def png(array):
    file = io.BytesIO()
    Image.fromarray(array).save(file, "PNG")
    return file.getvalue()


def stretched(array):
    """Oracle: from the least to the greatest, over the whole image."""
    low, high = int(array.min()), int(array.max())
    return np.rint((array.astype(float) - low) * 255 / (high - low))


def opened(root, **how):
    return open_source(
        dataset="folder",
        split="train",
        data_dir=str(root),
        decoder=decoding.Decoder(**how),
    )


def read(source):
    """name -> pixels, or the reason why there are none."""
    found = {}
    for index in range(source.num_examples):
        index = tf.constant(index, tf.int64)
        path = source.examples.name_of(index).numpy()
        name = path.decode().rpartition("/")[2]
        try:
            found[name] = source.examples.read({}, index)[0].numpy()
        except tf.errors.OpError:
            found[name] = source.examples.reason_of(path)
    return found


def write(root, **files):
    root.mkdir(exist_ok=True)
    for name, content in files.items():
        (root / name.replace("_", ".")).write_bytes(content)
    return root


DEEP = bands(dtype=np.uint16)
FIVE = {
    "bytes_npy": (npy(bands()), bands()),
    "fortran_npy": (npy(np.asfortranarray(bands())), bands()),
    "words_npy": (npy(DEEP), DEEP >> 8),
    "big_npy": (npy(DEEP.astype(">u2")), DEEP >> 8),
    "shares_npy": (npy(bands(dtype=np.float32) / 255), bands(dtype=np.float32)),
    "bits_npy": (npy(bands() > 99), 255 * (bands() > 99)),
    "pages_tif": (tiff(*np.moveaxis(bands(), -1, 0)), bands()),
}
REFUSED = {
    "four_npy": (npy(bands(4)), "4 bands, with --num_channels=5"),
    "rgb_png": (png(bands(3)), "3 bands, with --num_channels=5"),
    "wide_npy": (
        npy(bands(dtype=np.float32)),
        "float32 from 0 to 255, which needs --intensity_range=own",
    ),
    "nan_npy": (
        npy(np.where(bands() > 9, np.nan, 0.5)),
        "numbers that are not finite, or none",
    ),
    "flat_npy": (npy(np.arange(9)), "an array [9], not [h, w, C] or [h, w]"),
    "text_npy": (npy(bands().astype(str)), "numbers of type <U3"),
    "object_npy": (
        npy(bands().astype(object)),
        "an array [6, 9, 5], not [h, w, C] or [h, w]",
    ),
    "cut_npy": (npy(bands())[:-1], "truncated"),
    "huge_npy": (
        npy(bands()).replace(b"(6, 9, 5)", b"(9000000000, 9, 5)")[:128],
        "larger than --max_image_pixels",
    ),
    "nothing_npy": (b"\x93NUMPY\1\0" + bytes(9), "NPY, damaged"),
    # A header is parsed as Python.
    "braces_npy": (b"\x93NUMPY\1\0\x06\0" + 6 * b"(", "NPY, damaged"),
    "sides_npy": (
        npy(bands()).replace(b"(6, 9, 5)", b"(6,{9},5)"),
        "NPY, damaged",
    ),
}


@pytest.mark.parametrize(
    "ends", [(-1e308, 1e308), (0.0, 1e-310), (3.0, 3.0)], ids=str
)
def test_an_own_range_is_any_range(ends):
    numbers = np.repeat(ends, C).reshape(2, 1, C)
    try:
        levels = to_levels(numbers, own_range=True)
    except Unreadable as error:
        assert str(error) == "numbers that are too far apart"
    else:
        assert not levels.any()


def test_bands_are_what_a_file_holds_or_named_with_the_reason(tmp_path):
    files = {name: made[0] for name, made in {**FIVE, **REFUSED}.items()}
    found = read(opened(write(tmp_path / "all", **files), num_channels=C))
    for name, (_, expected) in {**FIVE, **REFUSED}.items():
        mine = found[name.replace("_", ".")]
        if isinstance(expected, str):
            assert mine == expected
        else:
            assert mine.dtype == np.uint8
            np.testing.assert_array_equal(mine, expected)
    assert survey(Reading(str(tmp_path / "all"), arrays=True), "train")[1] > 0


def test_own_range_is_of_the_whole_image_and_leaves_bytes_alone(tmp_path):
    root = write(tmp_path / "all", words_npy=npy(DEEP), bytes_npy=npy(bands()))
    source = opened(root, num_channels=C, own_range=True)
    found = read(source)
    np.testing.assert_array_equal(found["words.npy"], stretched(DEEP))
    np.testing.assert_array_equal(found["bytes.npy"], bands())
    assert "1 of more than 8 bits, in their own range" in source.notes


def test_four_bands_are_as_they_are_and_turned_upright(tmp_path):
    image = bands(4)
    exif = Image.Exif()
    exif[0x0112] = 3
    file = io.BytesIO()
    Image.fromarray(image).save(file, "PNG", exif=exif)
    write(
        tmp_path / "all",
        clear_png=png(image),
        turned_png=file.getvalue(),
        clear_tif=tiff(image),
        array_npy=npy(image),
        rgb_png=png(bands(3)),
    )
    found = read(opened(tmp_path / "all", num_channels=4))
    for name in ("clear.png", "clear.tif", "array.npy"):
        np.testing.assert_array_equal(found[name], image)
    np.testing.assert_array_equal(found["turned.png"], image[::-1, ::-1])
    assert found["rgb.png"] == "3 bands, with --num_channels=4"


def test_what_pillow_cannot_tell_apart_needs_an_extra(monkeypatch):
    """A TIFF of five samples a pixel, which Pillow does not open."""
    four = tiff(bands(4))
    entry = b"\x15\x01\3\0\1\0\0\0\4\0"  # samples to a pixel, a short: 4
    assert four.count(entry) == 1
    five = four.replace(entry, entry[:-2] + b"\5\0")
    monkeypatch.setitem(sys.modules, "tifffile", None)
    assert decoding.reason(five, num_channels=C) == (
        "TIFF of several bands, which needs pip install 'simclr_tf[formats]'"
    )


@pytest.mark.parametrize("planar", ["contig", "separate"])
def test_tiffs_of_many_bands(planar):
    tifffile = pytest.importorskip("tifffile")
    for dtype in (np.uint8, np.uint16):
        image = bands(dtype=dtype)
        laid = image if planar == "contig" else np.moveaxis(image, -1, 0)
        file = io.BytesIO()
        tifffile.imwrite(
            file, laid, photometric="minisblack", planarconfig=planar
        )
        made = decoding.converted(
            file.getvalue(), num_channels=C, own_range=True
        )
        decode = decoding.Decoder(num_channels=C)
        expected = image if dtype == np.uint8 else stretched(image)
        np.testing.assert_array_equal(decode(made), expected)


def test_one_channel_is_pillows_grey_of_any_image(tmp_path):
    colour, words = bands(3), bands(1, np.uint16)[..., 0]
    rgba = bands(4)
    write(
        tmp_path / "all",
        rgb_png=png(colour),
        grey_png=png(colour[..., 0]),
        array_npy=npy(colour[..., 1]),
        rgb_npy=npy(colour),
        words_png=png(words),
        clear_png=png(rgba),
        five_npy=npy(bands()),
    )
    found = read(grey(opened(tmp_path / "all", num_channels=1)))
    of_rgb = np.asarray(Image.fromarray(colour).convert("L"))
    on_white = Image.new("RGBA", (WIDTH, HEIGHT), "white")
    on_white.alpha_composite(Image.fromarray(rgba))
    expected = {
        "rgb.png": of_rgb,
        "rgb.npy": of_rgb,
        "grey.png": colour[..., 0],
        "array.npy": colour[..., 1],
        "words.png": words >> 8,
        "clear.png": np.asarray(on_white.convert("RGB").convert("L")),
    }
    for name, image in expected.items():
        assert found[name].shape == (HEIGHT, WIDTH, 1)
        np.testing.assert_array_equal(found[name][..., 0], image)
    assert found["five.npy"] == "5 bands, with --num_channels=1"


def test_grey_of_16_bits_in_its_own_range(tmp_path):
    """In RGB, too; grey of 8 bits and colours stay what they are."""
    words = 1000 + bands(1, np.uint16)[..., 0] // 64
    floats = bands(1, np.float32)[..., 0] / 7 - 3
    numbers = words.astype(np.int32) - 5000
    write(
        tmp_path / "all",
        words_png=png(words),
        words_tif=tiff(words),
        floats_tif=tiff(floats),
        numbers_tif=tiff(numbers),
        level_png=png(np.full_like(words, 700)),
        bytes_png=png(bands(3)[..., 0]),
        rgb_png=png(bands(3)),
    )
    source = opened(tmp_path / "all", own_range=True)
    found = read(source)
    expected = {
        "words.png": stretched(words),
        "words.tif": stretched(words),
        "numbers.tif": stretched(numbers),
        "level.png": np.zeros_like(words),
        "bytes.png": bands(3)[..., 0],
    }
    for name, image in expected.items():
        for channel in range(3):
            np.testing.assert_array_equal(found[name][..., channel], image)
    floats = (floats - floats.min()) * (255 / (floats.max() - floats.min()))
    assert np.abs(found["floats.tif"][..., 0] - floats).max() <= 0.51
    np.testing.assert_array_equal(found["rgb.png"], bands(3))
    assert "5 of more than 8 bits, in their own range" in source.notes
    full = read(opened(tmp_path / "all"))
    np.testing.assert_array_equal(full["words.png"][..., 0], words >> 8)
    np.testing.assert_array_equal(full["words.tif"][..., 0], words >> 8)


def test_arrays_beside_images_are_taken_where_they_are_asked_for(tmp_path):
    root = write(tmp_path / "all", a_npy=npy(bands(3)), b_npy=npy(bands(3)))
    assert read(opened(root)).keys() == {"a.npy", "b.npy"}
    write(root, c_png=png(bands(3)))
    source = opened(root)
    assert read(source).keys() == {"c.png"}
    assert "passed over: 2 .npy" in source.notes
    both = grey(opened(root, num_channels=1))
    assert read(both).keys() == {"a.npy", "b.npy", "c.png"}
    (tmp_path / "list.txt").write_text("all/a.npy\nall/c.png\n")
    listed = opened(tmp_path / "list.txt", num_channels=1)
    assert read(listed).keys() == {"a.npy", "c.png"}


def test_batches_have_the_channels_also_of_what_is_unreadable(tmp_path):
    files = {f"{i}_npy": npy(bands()) for i in range(3)}
    write(tmp_path / "all", **files, bad_npy=npy(bands(4)))
    source = opened(tmp_path / "all", num_channels=C)
    log = CorruptLog(source)
    assert pipeline.scan(source, corrupt=log) == 4
    batches = pipeline.eval_batches(
        source,
        global_batch_size=8,
        per_replica_batch_size=8,
        view=lambda image: geometry.eval_view(image, size=4),
        crops=geometry.eval_crops(size=4),
    )
    batch = next(iter(batches))
    assert batch["images"].shape == (8, 4, 4, C)
    assert np.count_nonzero(batch["mask"]) == 3
    black = batch["images"].numpy()[~batch["mask"].numpy()]
    assert not black.any()


def test_bands_kept_in_memory_are_the_same(tmp_path):
    root = write(tmp_path / "all", a_npy=npy(bands()), b_npy=npy(bands(4)))
    kept = open_source(
        dataset="folder",
        split="train",
        data_dir=str(root),
        cache=True,
        decoder=decoding.Decoder(num_channels=C),
    )
    found = read(kept)
    np.testing.assert_array_equal(found["a.npy"], bands())
    assert found["b.npy"] == "4 bands, with --num_channels=5"


def test_converted_bands_have_a_limit(tmp_path):
    path = tmp_path / "a.npy"
    path.write_bytes(npy(bands()))
    with pytest.raises(UserError, match=r"--in_memory_limit_mb.*or make them"):
        decoding.payload([str(path)], ["NPY"], limit_bytes=9, num_channels=C)


def test_large_photographs_in_grey_are_decoded_at_a_reduced_scale(tmp_path):
    image = Image.new("RGB", (400, 300), (200, 30, 90))
    ImageDraw.Draw(image).ellipse((50, 50, 250, 250), fill=(10, 120, 250))
    image.save(tmp_path / "a.jpg", quality=95)
    source = opened(tmp_path, num_channels=1)
    made = grey(source)
    assert made.reduces(32) and made.num_channels == 1
    crops, index = geometry.eval_crops(size=32), tf.constant(0, tf.int64)
    reduced = made.examples.read({}, index, crops)[0]
    assert reduced.pixels.shape[-1] == 1 and reduced.ratio[0] > 1
    mine = geometry.eval_view(reduced, size=32)
    whole = geometry.eval_view(made.examples.read({}, index)[0], size=32)
    assert np.abs(mine.numpy().astype(int) - whole.numpy()).mean() < 4


def config(root, **given):
    given = {"dataset": "folder", "data_dir": str(root), **given}
    given |= {"image_size": 16, "cache_dir": str(root / "copies")}
    return resolve.resolve(given).config


def test_a_configuration_says_all_of_it(tmp_path):
    photos = image_files.write_folder(tmp_path / "photos", 2)
    write(photos, deep_png=png(bands(1, np.uint16)[..., 0]))
    one = config(photos, num_channels=1, cache_dataset="disk")
    copies = splits.open_split(one, "train")
    assert copies.num_channels == 1
    assert {image.shape[-1] for image in read(copies).values()} == {1}
    own = config(photos, cache_dataset="disk", intensity_range="own")
    stored = splits.open_split(own, "train")
    assert isinstance(stored.examples.decode, shrunk.ShrunkDecoder)
    assert stored.image_fingerprint != copies.image_fingerprint
    assert (read(stored)["deep.png"] != read(copies)["deep.png"]).any()


def test_other_sources_have_three_channels_or_one():
    one = resolve.resolve({"num_channels": 1, "color_jitter_strength": 0})
    digits = splits.open_split(one.config, "test")
    assert digits.examples.read({}, tf.constant(0, tf.int64))[0].shape[-1] == 1
    two = resolve.resolve({"num_channels": 2, "color_jitter_strength": 0})
    with pytest.raises(UserError, match=r"--num_channels=2 is for --dataset=f"):
        splits.open_split(two.config, "test")
