"""What decodes is what Pillow shows, or is named as unreadable."""

import io
import itertools
import struct
import warnings
import zlib

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image, ImageOps

from simclr_tf.data import decoding
from simclr_tf.data.folder import Reading, survey
from simclr_tf.data.sources import open_source
from simclr_tf.errors import UserError

HEIGHT, WIDTH = 24, 40
ORIENTATIONS = range(1, 9)


def smooth(height=HEIGHT, width=WIDTH, channels=3):
    """Unlike itself in every orientation; JPEG keeps it within a level."""
    rows, columns = np.mgrid[:height, :width]
    planes = (
        rows * 255 // height,
        columns * 255 // width,
        255 - (rows + columns) * 255 // (height + width),
        np.clip((rows + columns) * 12 - 100, 0, 255),
    )
    return np.stack(planes[:channels], axis=-1).astype(np.uint8)


def encode(image, kind, **options):
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def rgb():
    return Image.fromarray(smooth())


def rgba():
    return Image.fromarray(smooth(channels=4))


def exif(orientation, *, endian="<", others=True):
    """An EXIF block: a TIFF with an IFD of one entry, or of three."""
    entry = {
        tag: struct.pack(f"{endian}HHIHH", tag, 3, 1, value, 0)
        for tag, value in ((0x0100, 7), (0x0112, orientation), (0x0128, 2))
    }
    entries = list(entry.values()) if others else [entry[0x0112]]
    start = b"II*\0" if endian == "<" else b"MM\0*"
    return b"Exif\0\0" + b"".join(
        [
            start,
            struct.pack(f"{endian}I", 8),
            struct.pack(f"{endian}H", len(entries)),
            *entries,
            bytes(4),
        ]
    )


def after_soi(jpeg, *segments):
    """A JPEG with segments (marker, content) right after its start."""
    parts = [
        struct.pack(">BBH", 0xFF, marker, len(content) + 2) + content
        for marker, content in segments
    ]
    return jpeg[:2] + b"".join(parts) + jpeg[2:]


def png(color_type, depth, rows, *chunks, interlace=0):
    """A PNG by hand: rows of bytes, and chunks before the pixels."""
    width = {1: 8, 2: 4, 4: 2}.get(depth, 1) * len(rows[0])
    width //= {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[color_type] * max(depth // 8, 1)
    header = struct.pack(
        ">IIBBBBB", width, len(rows), depth, color_type, 0, 0, interlace
    )
    data = zlib.compress(b"".join(b"\0" + row for row in rows))
    whole = [(b"IHDR", header), *chunks, (b"IDAT", data), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*one) for one in whole)


def chunk(name, data):
    checked = struct.pack(">I", zlib.crc32(name + data))
    return struct.pack(">I", len(data)) + name + data + checked


def after_ihdr(encoded, *chunks):
    return encoded[:33] + b"".join(chunk(*c) for c in chunks) + encoded[33:]


def bmp(width, height, bits, data, *, packing=0, palette=b"", masks=b""):
    """A BMP by hand; of a negative height, the first row is the top one."""
    offset = 54 + len(masks) + len(palette)
    header = struct.pack("<2sIHHI", b"BM", offset + len(data), 0, 0, offset)
    info = struct.pack(
        "<IiiHHIIiiII",
        40,
        width,
        height,
        1,
        bits,
        packing,
        len(data),
        0,
        0,
        len(palette) // 4,
        0,
    )
    return header + info + masks + palette + data


def gif(frame, canvas=(WIDTH, HEIGHT), *, transparent=None):
    """One frame, (x, y, width, height), on a canvas, with four colours."""
    x, y, width, height = frame
    array = (np.mgrid[:height, :width].sum(0) // 3 % 4).astype(np.uint8)
    image = Image.fromarray(array, "P")
    image.putpalette([255, 0, 0, 0, 255, 0, 0, 0, 255, 30, 30, 30])
    options = {} if transparent is None else {"transparency": transparent}
    data = bytearray(encode(image, "GIF", optimize=False, **options))
    data[6:10] = struct.pack("<HH", *canvas)
    at = 13 + 3 * 2 ** ((data[10] & 7) + 1)
    while data[at] == 0x21:
        at += 3 + data[at + 2] + 1
    assert data[at] == 0x2C
    data[at + 1 : at + 5] = struct.pack("<HH", x, y)
    return bytes(data)


def jpegs():
    image = rgb()
    grey = image.convert("L")
    cmyk = image.convert("CMYK")
    yield "baseline", encode(image, "JPEG", quality=95)
    yield "progressive", encode(image, "JPEG", quality=95, progressive=True)
    yield "grey", encode(grey, "JPEG", quality=95)
    yield "grey progressive", encode(grey, "JPEG", progressive=True)
    yield "cmyk", encode(cmyk, "JPEG", quality=95)
    # Adobe's inverted inks, by the transform of its marker: 2 is YCCK.
    inks = encode(Image.fromarray(smooth(channels=4), "CMYK"), "JPEG")
    yield "cmyk with black", inks
    yield (
        "ycck",
        inks.replace(b"Adobe\0\x64\0\0\0\0\0", b"Adobe\0\x64\0\0\0\0\2"),
    )
    for subsampling in (0, 1, 2):
        name = f"subsampling {subsampling}"
        yield name, encode(image, "JPEG", subsampling=subsampling, quality=95)
    for number, endian in itertools.product(ORIENTATIONS, "<>"):
        block = exif(number, endian=endian)
        yield f"exif {number} {endian}", encode(image, "JPEG", exif=block)
    plain = encode(image, "JPEG")
    icc = (0xE2, b"ICC_PROFILE\0\1\1" + bytes(60_000))
    app = (0xE1, b"http://ns.adobe.com/xap/1.0/\0" + b"Exif\0\0" * 9)
    tag = (0xE1, exif(6))
    yield "exif behind a profile", after_soi(plain, icc, icc, tag)
    yield "exif behind 130 KB", after_soi(plain, icc, icc, icc, tag)
    yield "exif behind another app1", after_soi(plain, app, tag)
    yield "exif named in a comment", after_soi(plain, (0xFE, exif(6)))
    yield (
        "exif behind fill bytes",
        plain[:2] + b"\xff" + after_soi(plain, tag)[2:],
    )
    yield "exif of one entry", after_soi(plain, (0xE1, exif(8, others=False)))
    yield (
        "exif of no sense",
        after_soi(plain, (0xE1, exif(6)[:12] + b"\xff" * 9)),
    )
    yield "exif cut off", after_soi(plain, (0xE1, exif(6)[:20]))
    yield "exif out of range", after_soi(plain, (0xE1, exif(9)))
    yield "exif twice", after_soi(plain, (0xE1, exif(3)), (0xE1, exif(6)))


def pngs():
    image, clear = rgb(), rgba()
    grey = image.convert("L")
    yield "rgb", encode(image, "PNG")
    yield "rgba", encode(clear, "PNG")
    yield "grey", encode(grey, "PNG")
    yield "grey and alpha", encode(clear.convert("LA"), "PNG")
    yield "palette", encode(image.quantize(16), "PNG")
    yield "one bit", encode(image.convert("1"), "PNG")
    for bits in (1, 2, 4, 8):
        few = image.quantize(2**bits)
        yield f"palette of {bits} bits", encode(few, "PNG", bits=bits)
        cut = encode(few, "PNG", bits=bits, transparency=bytes([0, 120]))
        yield f"palette of {bits} bits and alpha", cut
        ramp = [bytes([17 * i, 255 - i, 3 * i]) for i in range(6)]
        yield f"grey of {bits} bits", png(0, bits, ramp)
        hole = (b"tRNS", struct.pack(">H", 1))
        yield f"grey of {bits} bits and a hole", png(0, bits, ramp, hole)
    yield "palette and one hole", encode(few, "PNG", transparency=3)
    words = np.arange(6 * 8 * 4, dtype=">u2").reshape(6, -1) * 341
    rows = [row.tobytes() for row in words]
    yield "rgb of 16 bits", png(2, 16, [row[:48] for row in rows])
    yield "rgba of 16 bits", png(6, 16, rows)
    yield "grey and alpha of 16 bits", png(4, 16, rows)
    yield "grey of 16 bits", png(0, 16, rows)
    hole = (b"tRNS", bytes([0, 7, 0, 4, 0, 5]))
    flat = [bytes([7, 4, 5, 9, 9, 9]) * 3] * 4
    yield "rgb and a hole", png(2, 8, flat, hole)
    # Interlaced, a picture of one pixel is one pass.
    yield "interlaced", png(2, 8, [bytes([7, 80, 200])], interlace=1)
    whole = encode(image, "PNG")
    for number in ORIENTATIONS:
        yield f"exif {number}", encode(image, "PNG", exif=exif(number)[6:])
    late = chunk(b"eXIf", exif(6)[6:])
    yield "exif behind the pixels", whole[:-12] + late + whole[-12:]
    yield (
        "exif named in a text",
        after_ihdr(whole, (b"tEXt", b"a\0eXIf" + exif(6))),
    )
    yield "alpha and exif", encode(clear, "PNG", exif=exif(6)[6:])
    other = Image.fromarray(255 - smooth())
    yield (
        "animated",
        encode(image, "PNG", save_all=True, append_images=[other, image]),
    )


def gifs():
    yield "plain", encode(rgb(), "GIF")
    yield "grey", encode(rgb().convert("L"), "GIF")
    yield "canvas is larger", gif((5, 3, 20, 12))
    yield "canvas is larger and a hole", gif((5, 3, 20, 12), transparent=2)
    yield "hole", gif((0, 0, WIDTH, HEIGHT), transparent=1)
    yield "rgba", encode(rgba(), "GIF")
    yield "interlaced", encode(rgb(), "GIF", interlace=1)
    other = Image.fromarray(255 - smooth())
    frames = {"save_all": True, "append_images": [other, rgb()]}
    yield "animated", encode(rgb(), "GIF", **frames)
    yield "animated and a hole", encode(rgba(), "GIF", **frames)


def bmps():
    image = rgb()
    for mode in ("RGB", "L", "P", "1", "RGBA"):
        yield mode, encode(image.convert(mode), "BMP")
    data = bytes(range(96))
    colors = bytes([0, 0, 255, 0, 0, 255, 0, 0, 255, 0, 0, 0, 9, 99, 199, 0])
    yield "top down", bmp(8, -4, 24, data)
    yield "bottom up", bmp(8, 4, 24, data)
    yield "32 bits", bmp(6, 4, 32, data)
    yield "16 bits", bmp(8, 4, 16, data)
    masks = struct.pack("<III", 0xF800, 0x07E0, 0x001F)
    yield "565", bmp(8, 4, 16, data, packing=3, masks=masks)
    yield "4 bits", bmp(8, 4, 4, b"\x01\x23\x21\x10" * 4, palette=colors)
    yield "palette", bmp(4, 2, 8, b"\0\1\2\3\3\2\1\0", palette=colors)
    packed = b"\4\1\0\0\4\2\0\0\0\1"
    yield "rle8", bmp(4, 2, 8, packed, packing=1, palette=colors)
    yield "rle4", bmp(4, 2, 4, packed, packing=2, palette=colors)
    core = struct.pack(
        "<2sIHHIIHHHH", b"BM", 26 + 96, 0, 0, 26, 12, 8, 4, 1, 24
    )
    yield "of OS/2", core + data


def webps():
    image, clear = rgb(), rgba()
    yield "lossy", encode(image, "WEBP", quality=95)
    yield "lossless", encode(image, "WEBP", lossless=True)
    yield "lossy alpha", encode(clear, "WEBP", quality=95)
    yield "lossless alpha", encode(clear, "WEBP", lossless=True)
    for number in ORIENTATIONS:
        yield f"exif {number}", encode(image, "WEBP", exif=exif(number))
    yield "bare exif", encode(image, "WEBP", exif=exif(6)[6:])
    yield "alpha and exif", encode(clear, "WEBP", exif=exif(5))
    other = Image.fromarray(255 - smooth())
    frames = {"save_all": True, "append_images": [other]}
    yield "animated", encode(image, "WEBP", **frames)
    yield "animated alpha", encode(clear, "WEBP", **frames)


def others():
    image, clear = rgb(), rgba()
    yield "TIFF", encode(image, "TIFF")
    yield "TIFF alpha", encode(clear, "TIFF")
    yield "TIFF exif", encode(image, "TIFF", tiffinfo={0x0112: 6})
    yield "TIFF lzw", encode(image, "TIFF", compression="tiff_lzw")
    yield "JPEG 2000", encode(image, "JPEG2000")
    yield "AVIF", encode(image, "AVIF")


GALLERY = {
    f"{kind}: {name}": data
    for kind, made in (
        ("JPEG", jpegs),
        ("PNG", pngs),
        ("GIF", gifs),
        ("BMP", bmps),
        ("WebP", webps),
        ("other", others),
    )
    for name, data in made()
}


def shown(data, background=(255, 255, 255)):
    """What Pillow shows: upright, composited; None where it reads nothing."""
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Corrupt EXIF")
            image = ImageOps.exif_transpose(Image.open(io.BytesIO(data)))
        image.load()
    except (OSError, SyntaxError, ValueError):
        return None
    if image.mode == "I;16":  # Pillow would cut off at 255
        image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    if image.mode == "L" and "transparency" in image.info:
        # Pillow 13 scales 2 and 4 bits to 8, but not the hole's level.
        scale = {1: 1, 2: 85, 4: 17, 8: 1}[data[24]]
        image.info["transparency"] *= scale
    image = image.convert("RGBA")
    under = Image.new("RGBA", image.size, (*background, 255))
    return np.asarray(Image.alpha_composite(under, image).convert("RGB"))


@pytest.fixture(scope="module")
def gallery(tmp_path_factory):
    """A folder of all of them, opened, and each one's pixels or None."""
    root = tmp_path_factory.mktemp("gallery")
    for number, data in enumerate(GALLERY.values()):
        # A name that lies of many: what counts is the bytes.
        (root / f"{number:03d}.jpg").write_bytes(data)
    source = open_source(dataset="folder", split="train", data_dir=str(root))
    examples = source.examples
    read = tf.function(
        lambda index: examples.read({}, index)[0],
        input_signature=[tf.TensorSpec([], tf.int64)],
        autograph=False,
    )
    found = {}
    for index, name in enumerate(GALLERY):
        try:
            found[name] = read(index).numpy()
        except tf.errors.OpError:
            found[name] = None
    return found


@pytest.mark.parametrize("name", GALLERY)
def test_what_decodes_is_what_a_person_sees(gallery, name):
    expected, seen = shown(GALLERY[name]), gallery[name]
    if expected is None:
        assert seen is None
        assert decoding.reason(GALLERY[name])
        return
    assert seen is not None, decoding.reason(GALLERY[name])
    assert seen.shape == expected.shape
    difference = np.abs(seen.astype(int) - expected)
    assert difference.mean() <= 3
    if name.startswith(("PNG", "GIF", "BMP")):
        np.testing.assert_array_equal(seen, expected)


def test_what_is_damaged_or_huge_is_measured_without_a_word(tmp_path):
    """For the recipe, and for how far JPEGs may be reduced."""
    good = encode(Image.fromarray(smooth().astype(np.uint8)), "JPEG")
    size = good.index(b"\xff\xc0") + 5
    bomb = good[:size] + b"\xff\xdc\xff\xdc" + good[size + 4 :]
    assert decoding.of_contents([bomb, good[:30]])["largest_side"] == 0xFFDC
    for number, data in enumerate([bomb, *GALLERY.values()]):
        (tmp_path / f"{number:03d}.jpg").write_bytes(data)
    count, side = survey(Reading(str(tmp_path)), "train")
    assert count == len(GALLERY) + 1 and HEIGHT - 10 < side < HEIGHT + 10


def test_the_gallery_is_large():
    assert len(GALLERY) >= 60


def test_alpha_is_composited_as_pillow_rounds_it():
    """Every level with every alpha, on every channel of a colour."""
    levels, alphas = np.mgrid[:256, :256].astype(np.uint8)
    image = np.stack([levels, levels, levels, alphas], axis=-1)
    background = (0, 130, 255)
    data = encode(Image.fromarray(image), "PNG")
    seen = decoding.rgb_of(data, background=background)
    np.testing.assert_array_equal(seen, shown(data, background))


def test_opaque_images_are_as_tensorflow_alone_decodes_them():
    names = ["JPEG: baseline", "JPEG: grey", "PNG: rgb", "PNG: palette"]
    for name in [*names, "WebP: lossy", "GIF: plain", "BMP: RGB"]:
        alone = tf.io.decode_image(
            GALLERY[name], channels=3, expand_animations=False
        )
        np.testing.assert_array_equal(decoding.rgb_of(GALLERY[name]), alone)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "BMP", "WEBP"])
@pytest.mark.parametrize("lossless", [False, True])
def test_larger_images_are_not_decoded(kind, lossless):
    options = {"lossless": lossless} if kind == "WEBP" else {}
    data = encode(rgb(), kind, **options)
    fits, too_small = HEIGHT * WIDTH, HEIGHT * WIDTH - 1
    assert decoding.rgb_of(data, max_pixels=fits).shape[0] == HEIGHT
    with pytest.raises(tf.errors.InvalidArgumentError, match="max_image_pix"):
        decoding.rgb_of(data, max_pixels=too_small)
    assert decoding.reason(data, max_pixels=too_small) == (
        "larger than --max_image_pixels"
    )


def test_a_bomb_is_refused_by_its_header():
    """20,000 x 20,000 pixels, of which there is not one."""
    header = struct.pack(">IIBBBBB", 20_000, 20_000, 8, 2, 0, 0, 0)
    bomb = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header)
    bomb += chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")
    with pytest.raises(tf.errors.InvalidArgumentError, match="max_image_pix"):
        decoding.rgb_of(bomb)
    assert decoding.reason(bomb) == "larger than --max_image_pixels"


REASONS = {
    "an empty file": b"",
    "not an image": b"some text",
    "truncated": GALLERY["JPEG: baseline"][:-30],
    "PNG, damaged or of an unknown sort": b"\x89PNG\r\n\x1a\n" + bytes(40),
}


@pytest.mark.parametrize("reason", REASONS)
def test_what_is_unreadable_has_a_reason(reason):
    assert decoding.reason(REASONS[reason]) == reason
    with pytest.raises(tf.errors.InvalidArgumentError):
        decoding.rgb_of(REASONS[reason])


def test_files_that_are_not_there_have_a_reason(tmp_path):
    assert decoding.reason_of_file(str(tmp_path / "gone")) == "missing"
    assert decoding.reason_of_file(str(tmp_path)) == "cannot be opened"


def test_what_pillow_cannot_open_says_what_to_install(monkeypatch):
    monkeypatch.setattr(Image, "OPEN", {})
    monkeypatch.setattr(Image, "init", lambda: None)
    data = b"\0\0\0\x18ftypheic" + bytes(52)
    assert decoding.sniff(data) == "HEIC"
    assert decoding.reason(data) == (
        "HEIC, which needs pip install 'simclr_tf[formats]'"
    )


def test_converted_images_have_a_limit(tmp_path):
    path = tmp_path / "a.bmp"
    path.write_bytes(GALLERY["BMP: P"])
    with pytest.raises(UserError, match="--in_memory_limit_mb"):
        decoding.payload([str(path)], ["BMP"], limit_bytes=10)


def test_a_stream_refuses_what_it_would_misread():
    """No Pillow there: the graph itself sees what it cannot decode rightly."""
    for name, data in GALLERY.items():
        try:
            seen = decoding.rgb_of(data).numpy()
        except tf.errors.OpError:
            continue
        difference = np.abs(seen.astype(int) - shown(data))
        assert difference.mean() <= 3, name
