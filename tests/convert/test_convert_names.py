"""Names, shapes, refusals, preparation of images: no library of others."""

import io
import itertools
import json

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from simclr_tf.augment import geometry
from simclr_tf.config import options
from simclr_tf.convert import folder, formats, names, preprocessing
from simclr_tf.convert.network import Architecture, errors, fixed_images
from simclr_tf.convert.timm_folder import refusal
from simclr_tf.data import decoding
from simclr_tf.data.decoding import grey
from simclr_tf.errors import UserError
from simclr_tf.reports import model_card
from simclr_tf.run_files import owner
from tests.evaluation.test_evaluation_records import write as write_record


@pytest.mark.parametrize(
    ("ours", "torch", "timm"),
    [
        ("stem_conv", "stem.stem_conv", "stem.conv"),
        ("group1_block0_conv1", "groups.0.0.conv1", "stages.0.blocks.0.conv1"),
        (
            "group4_block12_shortcut_norm",
            "groups.3.12.shortcut_norm",
            "stages.3.blocks.12.downsample.norm",
        ),
        ("linear_head", "linear_head", "head.fc"),
    ],
)
def test_names(ours, torch, timm):
    assert names.torch_layer(ours) == torch
    assert names.timm_layer(ours) == timm


def test_layouts(rng):
    kernel, dense = rng.normal(size=[3, 5, 2, 4]), rng.normal(size=[6, 7])
    weights = {
        "group1_block0_conv1/kernel": kernel,
        "linear_head/kernel": dense,
    }
    state = names.state_dict(weights, names.timm_layer, linear_is_conv=True)
    conv = state["stages.0.blocks.0.conv1.weight"]
    assert conv.shape == (4, 2, 3, 5) and conv[1, 0, 2, 3] == kernel[2, 3, 0, 1]
    np.testing.assert_array_equal(state["head.fc.weight"][:, :, 0, 0], dense.T)


@pytest.mark.parametrize(
    ("changed", "word"),
    [
        ({}, None),
        ({"depth": 101, "width": 3}, None),
        ({"depth": 18}, "depths"),
        ({"sk_ratio": 0.0625}, "selective"),
        ({"se_ratio": 0.25}, "squeeze"),
        ({"image_size": 32}, "stem"),
        ({"width": 0.5}, "widths"),
        ({"num_channels": 4}, "RGB"),
        ({"projection": (9,)}, "projection"),
    ],
)
def test_what_timm_holds(changed, word):
    settings = {"depth": 50, "width": 1.0, "image_size": 224, **changed}
    shape = Architecture(**settings)
    why = refusal(shape)
    assert (why is None) is (word is None)
    assert word is None or word in why
    held = formats.that_hold(shape)
    assert held == [n for n in formats.FORMATS if word is None or n != "timm"]


def test_formats_are_those_of_the_option():
    choices = options()["format"][1].metadata["choices"]
    assert tuple(formats.FORMATS) == choices
    for name in choices:
        code = formats.FORMATS[name].code
        compile(code.USE + code.USE_LOGITS, name, "exec")
        assert "features = " in code.USE.replace("(features,)", "features")


def test_errors_are_shares_of_the_largest():
    want = {"features": np.array([0.0, -4.0], np.float32)}
    assert errors(want, {"features": np.array([1.0, -4.0])}) == {
        "features": 0.25
    }
    with pytest.raises(ValueError, match="features must be"):
        errors(want, {})


def test_a_model_without_finite_outputs_is_no_export(tmp_path):
    """Whether or not the library that would read it is there."""

    def network(images):
        return {"features": tf.constant(np.full([2, 3], np.nan))}

    network.architecture = Architecture(depth=10, width=1, image_size=8)
    for form in formats.FORMATS.values():
        with pytest.raises(formats.Disagreement, match=r"features .* finite"):
            formats.check(form, str(tmp_path), network)


def test_fixed_images_are_images():
    for channels in (1, 3, 5):
        images = fixed_images(9, channels)
        assert images.shape == (2, 9, 9, channels)
        assert images.dtype == np.float32
        assert images.min() >= 0 and images.max() <= 1


def preparation(**settings):
    """`preprocess` of a folder."""
    space = {}
    program = preprocessing.program(**settings)
    exec(compile(program, "preprocess.py", "exec"), space)
    return space["preprocess"]


@pytest.mark.parametrize("num_channels", [1, 3])
def test_preprocess_shows_what_training_saw(rng, num_channels):
    """Alpha on the background, and grey as Pillow has it."""
    pixels = rng.integers(0, 256, size=[20, 20, 4], dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    want = decoding.Decoder(background=(9, 200, 80))(file.getvalue())
    want = (grey.grey_of(want) if num_channels == 1 else want).numpy()
    got = preparation(
        size=20,
        crop=1.0,
        antialias=False,
        num_channels=num_channels,
        background=(9, 200, 80),
    )(file)
    assert got.shape == want.shape
    assert np.abs(got * 255 - want.astype(float)).max() < 1.5


@pytest.mark.parametrize("own_range", [True, False])
@pytest.mark.parametrize("num_channels", [1, 3, 5])
def test_preprocess_sees_more_than_8_bits_as_training_does(
    rng, num_channels, own_range
):
    deep = rng.integers(0, 60000, size=[20, 20, num_channels], dtype=np.uint16)
    file = io.BytesIO()
    if num_channels == 5:
        np.save(file, deep)
    else:
        Image.fromarray(deep[..., 0]).save(file, "PNG")
    how = {"num_channels": num_channels, "own_range": own_range}
    content = file.getvalue()
    found = decoding.converted(content, **how)
    image = np.asarray(Image.open(io.BytesIO(found or content)))
    if num_channels == 5:
        image = np.moveaxis(image.reshape(5, 20, 20), 0, -1)
    else:
        shown = image if found else image >> 8
        image = shown if shown.ndim == 3 else shown[..., np.newaxis]
        image = np.broadcast_to(image[..., :1], [20, 20, num_channels])
    prepare = preparation(size=20, crop=1.0, antialias=False, **how)
    got = prepare(deep if num_channels == 5 else file)
    assert np.abs(got * 255 - image.astype(float)).max() < 1e-3
    if num_channels == 5:
        for wrong in (file, deep[..., 0], deep[..., :3]):
            with pytest.raises(ValueError, match=r"\[h, w, 5\]"):
                prepare(wrong)


@pytest.mark.parametrize("antialias", [True, False])
@pytest.mark.parametrize("shape", [(90, 71), (20, 31)])
def test_preprocess_is_the_evaluations(rng, antialias, shape):
    image = rng.integers(0, 256, size=[*shape, 3], dtype=np.uint8)
    prepare = preparation(size=40, crop=0.875, antialias=antialias)
    got = prepare(image) * 255
    want = geometry.eval_view(image, size=40, antialias=antialias).numpy()
    difference = np.abs(got - want.astype(np.float32))
    # TensorFlow's kernel without a filter looks weights up in a table of
    # 1,024: a few values round to the other side.
    assert difference.max() < 1.01 and difference.mean() < 0.06


def test_a_folder_keeps_what_is_not_the_exports(tmp_path):
    there, aside = tmp_path / "there", tmp_path / "aside"
    for path in (there, aside):
        path.mkdir()
    (there / ".git").write_text("theirs")
    folder.require_free(str(there))
    (aside / "one").write_text("1")
    folder.publish(str(aside), str(there), {"a": 1})
    (there / "mine").write_text("kept")
    (aside / "one").rename(aside / "two")
    folder.require_free(str(there))
    folder.publish(str(aside), str(there), {"a": 2})
    found = sorted(path.name for path in there.iterdir())
    assert found == [".git", "export.json", "mine", "two"]
    record = json.loads((there / "export.json").read_text())
    assert record == {"a": 2, "files": ["two"]}
    # Killed while files were exchanged: it can be done again.
    (there / "export.json").write_text('{"files": ["two", "three"]}')
    folder.require_free(str(there))
    # What export.json of a stranger names is removed here, and nowhere else.
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "file").write_text("kept")
    (there / "link").symlink_to(elsewhere)
    names = ["link", "../elsewhere/file", "two"]
    (there / "export.json").write_text(json.dumps({"files": names}))
    folder.publish(str(aside), str(there), {"a": 3})
    assert (elsewhere / "file").exists() and not (there / "link").exists()
    # A name of ours that another has taken.
    (aside / "mine").write_text("ours")
    with pytest.raises(UserError, match="holds mine"):
        folder.publish(str(aside), str(there), {"a": 4})
    (aside / "mine").rename(aside / "nowhere")
    (there / "nowhere").symlink_to(tmp_path / "nothing")
    with pytest.raises(UserError, match="holds nowhere"):
        folder.publish(str(aside), str(there), {"a": 4})
    assert not (tmp_path / "nothing").exists()
    assert (there / "mine").read_text() == "kept"
    assert json.loads((there / "export.json").read_text())["a"] == 3
    for text in ("{", "{}", '{"files": "two"}'):  # another program's, too
        (there / "export.json").write_text(text)
        with pytest.raises(UserError, match=r"export\.json"):
            folder.require_free(str(there))
        with pytest.raises(UserError, match=r"export\.json"):
            folder.publish(str(aside), str(there), {"a": 5})
    (there / "export.json").unlink()
    with pytest.raises(UserError, match="holds other files"):
        folder.require_free(str(there))


def test_an_export_goes_on_from_wherever_one_was_killed(tmp_path, monkeypatch):
    """Before everything that it does to files; and one that writes at the
    same time is refused."""
    aside, want = tmp_path / "aside", {"one": "1", "deep/two": "2"}
    for name, text in want.items():
        (aside / name).parent.mkdir(parents=True, exist_ok=True)
        (aside / name).write_text(text)

    def take(there):
        return owner.take(str(there), name=".owner", check=folder.require_free)

    def export(there):
        with take(there), pytest.raises(UserError, match="is running"):
            take(there)
        with take(there):
            folder.publish(str(aside), str(there), {"a": 1})

    class Killed(BaseException):
        pass

    def killing(name, to_come):
        real = getattr(folder.gfile, name)

        def call(*arguments, **more):
            if next(to_come, False):
                raise Killed
            return real(*arguments, **more)

        return call

    for kill_at in itertools.count():
        there = tmp_path / f"there{kill_at}"
        to_come = iter([False] * kill_at + [True])
        with monkeypatch.context() as patch:
            for name in ("copy", "rename", "remove"):
                patch.setattr(folder.gfile, name, killing(name, to_come))
            try:
                export(there)
            except Killed:
                pass
            else:
                break
        (there / ".owner").unlink(missing_ok=True)  # its process is dead
        export(there)
        found = {p.relative_to(there) for p in there.rglob("*") if p.is_file()}
        assert set(map(str, found)) == {*want, "export.json"}
    assert kill_at > 5


def test_a_card_says_what_is_known(tmp_path):
    record = {
        "format": "torch",
        "architecture": "ResNet-18 (1x)",
        "num_features": 512,
        "image_size": 64,
        "num_channels": 3,
        "crop": 0.875,
        "num_classes": 0,
        "licence": None,
        "global_step": 7,
        "check": {"made": False, "reason": "torch is not installed"},
        "config": {
            "job": {"train_mode": "pretrain"},
            "data": {"dataset": "folder"},
            "model": {"resnet_depth": 18},
        },
        "simclr_tf": "0",
    }
    results = model_card.results_of(str(tmp_path), encoder_sha256={"x"}, step=7)
    form = model_card.Form("pytorch", {"model.py": "a module"}, "use()", "")
    card = model_card.text(
        record, form=form, names=["model.py"], results=results
    )
    for part in (
        'license: "unknown"',
        "| `model.py` | a module |",
        "torch is not installed",
        "| `resnet_depth` | 18 |",
        "a folder of images",
        "none recorded",
    ):
        assert part in card, part


def test_a_licence_is_a_text_of_yaml(tmp_path):
    """Of which JSON is no part where it escapes halves of characters."""
    yaml = pytest.importorskip("yaml")
    for licence in ('a "b": #c', "\U0001f512 \u00e9", "'", "- x", "\\"):
        form = model_card.Form("pytorch", {}, "", "")
        head = model_card._head({"num_classes": 0, "licence": licence}, form)
        assert yaml.safe_load(head.split("---")[1])["license"] == licence


def test_records_are_found_whatever_the_folder_is_called(tmp_path):
    run = tmp_path / "run[1] * ?"
    (run / "evaluations").mkdir(parents=True)
    write_record(run / "evaluations" / "one")
    (found,) = model_card.results_of(str(run), encoder_sha256={"ab12"}, step=7)
    assert found.on.endswith("images of cifar10")
