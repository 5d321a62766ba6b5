"""Large JPEGs at a reduced scale: the views of full decoding, nearly."""

import io

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from simclr_tf import picture
from simclr_tf.augment import draw, geometry
from simclr_tf.augment.policy import Policy
from simclr_tf.build import splits, views
from simclr_tf.config import resolve
from simclr_tf.data import decoding
from simclr_tf.picture import Crops, Picture

SIZE = 32


def photograph(height, width, seed=0):
    """Shapes of every scale, as in a photograph."""
    rng = np.random.default_rng(seed)
    image = np.zeros((height, width, 3))
    for cells in (3, 8, 30, 90):
        coarse = rng.integers(0, 256, (cells, cells, 3), np.uint8)
        layer = Image.fromarray(coarse).resize((width, height), Image.BICUBIC)
        image += np.asarray(layer, float) / cells
    image *= 255 / image.max()
    return Image.fromarray(image.astype(np.uint8))


def jpeg(image, **options):
    file = io.BytesIO()
    image.save(file, "JPEG", quality=92, **options)
    return file.getvalue()


def oriented(number):
    exif = Image.Exif()
    exif[0x0112] = number
    return exif


def crops_of(*boxes, size=SIZE):
    return Crops(lambda shape: tf.constant(boxes), size)


def both(data, box, *others, **how):
    """The view of a box of a picture, and of the image decoded in full."""
    read = decoding.Decoder()
    made = read.picture(data, crops_of(box, *others))
    seen = geometry.crop_resize(made, box, size=SIZE, **how)
    whole = geometry.crop_resize(read(data), box, size=SIZE, **how)
    return made, seen.numpy().astype(int), whole.numpy().astype(int)


@pytest.mark.parametrize("number", range(1, 9))
@pytest.mark.parametrize(
    ("box", "ratio"),
    [
        ((0, 0, 301, 401), 8),
        ((11, 7, 170, 203), 4),
        ((33, 141, 64, 100), 2),
        ((200, 300, 101, 101), 2),
    ],
)
def test_views_are_those_of_full_decoding(number, box, ratio):
    image = photograph(301, 401)
    if number >= 5:
        image = image.transpose(Image.Transpose.TRANSPOSE)
    data = jpeg(image, exif=oriented(number))
    made, seen, whole = both(data, box, antialias=True)
    assert int(made.ratio[0]) == ratio
    assert tuple(made.shape.numpy()) == (301, 401, 3)
    assert np.abs(seen - whole).mean() < 2.5


def test_the_smallest_box_decides():
    data = jpeg(photograph(301, 401))
    large, small = (0, 0, 301, 401), (50, 60, 70, 64)
    made, _, _ = both(data, large, small)
    assert int(made.ratio[0]) == 2
    one, _, _ = both(data, small, small)
    # No more than what the boxes touch is decoded.
    assert one.pixels.shape == (35, 32, 3)
    assert tuple(one.corner.numpy()) == (25, 30)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "BMP"])
def test_the_rest_is_equal_to_the_bit(kind):
    """Small JPEGs, small boxes of large ones, and all that is no JPEG."""
    side = 63 if kind == "JPEG" else 300
    file = io.BytesIO()
    photograph(side, side).save(file, kind)
    for box in ((0, 0, side, side), (3, 4, 20, 50)):
        made, seen, whole = both(file.getvalue(), box)
        assert int(made.ratio[0]) == 1
        np.testing.assert_array_equal(seen, whole)
    data = jpeg(photograph(300, 300))
    made, seen, whole = both(data, (3, 4, 63, 150))
    assert int(made.ratio[0]) == 1
    np.testing.assert_array_equal(seen, whole)


def test_policies_and_evaluation_ask_for_the_boxes_that_they_cut():
    policy = Policy(SIZE, antialias=True)
    drawn = [
        {k: v[0] for k, v in policy.draw(seed[None]).items()}
        for seed in (draw.sample_seed(1, 2, 3, view) for view in (0, 1))
    ]
    shape = tf.constant([300, 500, 3])
    boxes = policy.crops(drawn).boxes(shape)
    for row, one in zip(boxes, drawn, strict=True):
        np.testing.assert_array_equal(row, policy.box(shape, one))
    data, read = jpeg(photograph(300, 500)), decoding.Decoder()
    made = read.picture(data, policy.crops(drawn))
    assert isinstance(made, Picture)
    for one in drawn:
        seen = policy.host_view(made, one).numpy().astype(int)
        whole = policy.host_view(read(data), one).numpy().astype(int)
        assert np.abs(seen - whole).mean() < 2.5

    made = read.picture(data, geometry.eval_crops(size=SIZE))
    assert int(made.ratio[0]) == 8
    seen = geometry.eval_view(made, size=SIZE, antialias=True)
    whole = geometry.eval_view(read(data), size=SIZE, antialias=True)
    difference = seen.numpy().astype(int) - whole.numpy()
    assert np.abs(difference).mean() < 2.5


def test_a_ratio_keeps_every_box_as_large_as_a_view():
    for shortest, ratio in ((63, 1), (64, 2), (127, 2), (128, 4), (256, 8)):
        boxes = tf.constant([[0, 0, shortest, 900], [5, 5, 600, 700]])
        assert int(picture.largest_ratio(boxes, 32)) == ratio


def test_larger_images_are_not_decoded_at_a_reduced_scale_either():
    read = decoding.Decoder(max_pixels=300 * 300 - 1)
    data = jpeg(photograph(300, 300))
    with pytest.raises(tf.errors.InvalidArgumentError, match="max_image_pix"):
        read.picture(data, crops_of((0, 0, 300, 300)))


def test_antialiasing_is_pillows_filter():
    """Within two levels: Pillow's kernel has 8 bits, TensorFlow's is float."""
    image = photograph(200, 200)
    seen = geometry.crop_resize(
        np.asarray(image), (0, 0, 200, 200), size=SIZE, antialias=True
    )
    expected = image.resize((SIZE, SIZE), Image.BICUBIC)
    assert np.abs(seen.numpy().astype(int) - np.asarray(expected)).max() <= 2


@pytest.mark.parametrize(
    ("side", "kind", "reduces"),
    [(2 * SIZE, "JPEG", True), (2 * SIZE - 1, "JPEG", False)]
    + [(2 * SIZE, "PNG", False)],
)
def test_the_graph_of_reducing_is_made_where_something_is_reduced(
    side, kind, reduces
):
    file = io.BytesIO()
    photograph(side, 3 * SIZE).save(file, kind)
    read = decoding.Decoder(**decoding.of_contents([file.getvalue()]))
    assert read.reduces(SIZE) is reduces
    assert decoding.joined([decoding.Decoder(), read]).reduces(SIZE)


def test_pixels_in_memory_are_cut_without_a_graph_of_reducing():
    config = resolve.resolve({}).config
    source = splits.open_split(config, "train")
    assert not source.reduces(config.data.image_size)
    assert views.crops_of(config, source) is None
    assert views.central_crops(config, source) is None
