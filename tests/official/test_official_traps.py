"""What misled other readers of official checkpoints, and files that are none.

The traps are those that people reported to google-research/simclr: layers told
apart by the order of their names as text, by position among moving averages or
slots of the optimizer, linear heads that read another layer than h.
"""

import pathlib

import numpy as np
import pytest

from simclr_tf.build import inheritance, network
from simclr_tf.errors import UserError
from simclr_tf.official import architecture, layout, reading
from simclr_tf.official.architecture import Architecture
from simclr_tf.run_files import loading, weights_location
from tests.official import tf1_files as tf1


def given(path, **more):
    return {"checkpoint": str(path), "mode": "evaluate", **more}


def read(path, **more):
    """What any job does with --checkpoint: options, then weights."""
    options = inheritance.of_checkpoint(given(path, **more))
    averages = more.get("ema_weights", False)
    return options, loading.open_weights(str(path), averages=averages)


def expect_encoder(weights, variables, prefix=""):
    """Every layer has the variables of its number."""
    for i, layer in enumerate(tf1.ORDER):
        number = f"_{i}" if i else ""
        parts = {("conv", "conv2d", "kernel")} | {
            ("norm", "batch_normalization", part) for part in tf1.PARTS
        }
        for ours, theirs, part in parts:
            name = f"{prefix}base_model/{theirs}{number}/{part}"
            np.testing.assert_array_equal(
                weights.values[f"{layer.format(ours)}:{part}"],
                variables[name],
                err_msg=name,
            )


def test_layers_are_sorted_by_number(tmp_path):
    """As text, conv2d_10 comes before conv2d_2."""
    variables = tf1.encoder()
    options, weights = read(tf1.write(tmp_path, variables))
    expect_encoder(weights, variables)
    assert weights.step == 77
    assert options["resnet_depth"] == 10
    assert options["width_multiplier"] == 1 / 8
    assert options["image_size"] == 32
    assert options["proj_head_mode"] == "none"  # as v1 was released


def test_slots_and_moving_averages_are_no_layers(tmp_path):
    plain = tf1.encoder() | tf1.projection([64, 64, 16])
    averages = tf1.encoder(seed=5, prefix="ema_model/")
    path = tf1.write(tmp_path, tf1.momentum(plain) | averages)
    _, weights = read(path)
    expect_encoder(weights, plain)
    left = weights.official.left_out
    expected = {f"{n}/Momentum" for n in plain} | set(averages)
    assert set(left) == expected | {"global_step"}
    _, weights = read(path, ema_weights=True)
    expect_encoder(weights, averages, "ema_model/")


def test_moving_averages_that_are_not_there(tmp_path):
    path = tf1.write(tmp_path, tf1.encoder())
    with pytest.raises(UserError, match="holds no moving averages"):
        read(path, ema_weights=True)


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        (tf1.projection([64, 16]), ("nonlinear", 2, 16)),
        (tf1.projection([64, 64, 32]), ("nonlinear", 3, 32)),
        (tf1.projection([24], kind="l"), ("linear", 1, 24)),
    ],
)
def test_projection_heads(tmp_path, head, expected):
    options, weights = read(tf1.write(tmp_path, tf1.encoder() | head))
    found = (weights.config.model.proj_head_mode, options["num_proj_layers"])
    assert (*found, options["proj_out_dim"]) == expected
    model = network.build_model(
        weights.config, num_classes=None, dtype="float32"
    )
    loaded = loading.load(weights, model)
    assert loaded.has_projection and not loaded.left_out


def test_the_layer_that_a_linear_head_reads_is_asked_for(tmp_path):
    """A head that was fine-tuned from layer 1 has the shape of one on h."""
    head = tf1.projection([64, 64, 32])
    path = tf1.write(tmp_path, tf1.encoder() | head | tf1.linear())
    tune = {"mode": "train", "train_mode": "finetune"}
    tune["restore_linear_head"] = True
    with pytest.raises(UserError, match=r"--ft_proj_selector=0\|1\|2"):
        read(path, **tune)
    with pytest.raises(UserError, match="Received: 3"):
        read(path, **tune, ft_proj_selector=3)
    read(path, **tune, ft_proj_selector=1)
    without = tf1.write(tmp_path / "b", tf1.encoder() | head)
    with pytest.raises(UserError, match="has no linear head"):
        read(without, **tune)


def test_one_linear_head_reads_h(tmp_path):
    path = tf1.write(tmp_path, tf1.encoder() | tf1.linear())
    tune = {"mode": "train", "train_mode": "finetune"}
    options, weights = read(path, **tune, restore_linear_head=True)
    assert options["ft_proj_selector"] == 0
    model = network.build_model(
        weights.config, num_classes=10, dtype="float32", train_mode="finetune"
    )
    loading.load(weights, model, with_linear_head=True)
    kernel = tf1.linear()["head_supervised/linear_layer/dense/kernel"]
    np.testing.assert_array_equal(model.linear_head.kernel, kernel)


@pytest.mark.parametrize(
    "contradiction",
    [{"resnet_depth": 50}, {"num_channels": 1}, {"image_size": 64}],
)
def test_flags_that_contradict_the_weights(tmp_path, contradiction):
    path = tf1.write(tmp_path, tf1.encoder())
    with pytest.raises(UserError, match=f"--{next(iter(contradiction))}="):
        read(path, **contradiction)


def _without(name):
    variables = tf1.encoder()
    del variables[name]
    return variables


_KERNEL = "base_model/conv2d_4/kernel"


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        (_without(_KERNEL), "another network"),
        (_without("base_model/batch_normalization_4/beta"), "another network"),
        (
            tf1.encoder() | {_KERNEL: np.ones([3, 3, 8, 8], "float32")},
            "another network",
        ),
        (
            tf1.encoder() | {"extra/kernel": np.ones(3, "float32")},
            "no variable extra/kernel",
        ),
        ({"layer1/w": np.ones(3, "float32")}, "no variable layer1/w"),
        (
            tf1.encoder()
            | {"base_model/conv2d/kernel": np.ones([3, 3, 4, 8], "float32")},
            "RGB",
        ),
        (tf1.encoder() | tf1.projection([48, 16]), "projection head"),
        (
            tf1.encoder()
            | {
                "head_supervised/linear_layer/dense/kernel": np.ones(
                    [7, 2], "float32"
                )
            },
            "linear head",
        ),
        ({"global_step": np.int64(3)}, "no encoder"),
        (
            tf1.encoder() | {_KERNEL: np.ones([0, 3, 8, 16], "float32")},
            "few convolutions, or others",
        ),
        (
            tf1.encoder()
            | {"head_contrastive/nl_0/dense/kernel": np.float32(1)},
            "projection head",
        ),
        (
            tf1.encoder()
            | {f"base_model/conv2d_{'9' * 5000}/kernel": np.float32(1)},
            "no variable",
        ),
        # Of two networks; the names of TF2 beside those of TF1.
        (
            tf1.encoder()
            | {f"base_model/x/{_KERNEL[11:]}": np.ones(3, "float32")},
            "several networks: base_model/conv2d_4/kernel and base_model/x/",
        ),
        (
            tf1.encoder() | {"resnet/conv2d/kernel": np.ones(3, "float32")},
            "several networks: base_model/conv2d/kernel and resnet/conv2d/k",
        ),
    ],
)
def test_other_networks_are_refused_in_one_line(tmp_path, variables, said):
    path = tf1.write(tmp_path, variables)
    with pytest.raises(UserError, match=said) as raised:
        read(path)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (np.full([3, 3, 8, 16], np.nan, "float32"), "not finite"),
        (np.full([3, 3, 8, 16], 1e300), "not finite"),
        (np.ones([3, 3, 8, 16], "int32"), "holds int32"),
        (np.full([3, 3, 8, 16], b"x"), "holds object"),
    ],
    ids=lambda v: v if isinstance(v, str) else str(v.dtype),
)
def test_what_is_no_weight_is_refused_by_name(tmp_path, value, said):
    (kernel,) = (n for n, v in tf1.encoder().items() if v.shape == value.shape)
    path = tf1.write(tmp_path, tf1.encoder() | {kernel: value})
    with pytest.raises(UserError, match=f"{kernel} .*{said}"):
        read(path)


@pytest.mark.parametrize("dtype", ["float16", "float64"])
def test_weights_of_another_precision_are_read(tmp_path, dtype):
    variables = {n: v.astype(dtype) for n, v in tf1.encoder().items()}
    _, weights = read(tf1.write(tmp_path, variables))
    assert {v.dtype for v in weights.values.values()} == {np.dtype("float32")}
    expect_encoder(weights, variables)


def test_an_index_that_tells_of_more_than_there_is(tmp_path):
    """Before a network of that size is built."""
    path = tf1.write(tmp_path / "wide", tf1.encoder())
    small = tf1.write(tmp_path / "small", {"x": np.ones(3, "float32")})
    data = pathlib.Path(f"{path}.data-00000-of-00001")
    data.write_bytes(pathlib.Path(f"{small}.data-00000-of-00001").read_bytes())
    with pytest.raises(UserError, match=r"tells of \d+ bytes, and its"):
        inheritance.of_checkpoint(given(path))


@pytest.mark.parametrize("suffix", ["index", "data-00000-of-00001"])
@pytest.mark.parametrize("harm", ["cut", "gone", "text"])
def test_damaged_files_are_named_in_one_line(tmp_path, suffix, harm):
    path = tf1.write(tmp_path, tf1.encoder())
    file = pathlib.Path(f"{path}.{suffix}")
    if harm == "cut":
        content = file.read_bytes()
        file.write_bytes(content[: len(content) // 2])
    elif harm == "gone":
        file.unlink()
    else:
        file.write_text("version https://git-lfs.github.com/spec/v1\n")
    with pytest.raises(UserError, match=r"model\.ckpt-77") as raised:
        read(path)
    assert "\n" not in str(raised.value)


def test_the_newest_of_a_folder_and_a_hub_module(tmp_path):
    old, new = tf1.encoder(seed=1), tf1.encoder(seed=2)
    tf1.write(tmp_path / "run", old, name="model.ckpt-9")
    tf1.write(tmp_path / "run", new, name="model.ckpt-10")
    expect_encoder(read(tmp_path / "run")[1], new)
    variables = tmp_path / "out" / "hub" / "variables"
    tf1.write(variables, old, name="variables")
    for folder in (tmp_path / "out", tmp_path / "out" / "hub"):
        expect_encoder(read(folder)[1], old)


def test_a_run_of_ours_is_no_official_one(tmp_path):
    """Whatever lies beside it: their folders may hold a config.json, too."""
    path = tf1.write(tmp_path, tf1.encoder())
    (tmp_path / "config.json").write_text("{}")
    assert weights_location.locate(path).official == path
    expect_encoder(read(path)[1], tf1.encoder())


@pytest.mark.parametrize(
    "of",
    [
        Architecture(18, 0.125, 0.0, 0.0, True),
        Architecture(34, 1, 0.0, 0.0625, False),
        Architecture(50, 1, 0.0, 0.0, False),
        Architecture(50, 2, 0.0, 0.25, False),
        Architecture(50, 1, 0.0625, 0.0, True),
        Architecture(101, 2, 0.0625, 0.0, False),
        Architecture(152, 3, 0.0625, 0.0, False),
        Architecture(200, 2, 0.25, 0.25, False),
    ],
)
def test_every_architecture_is_in_its_shapes(of):
    convolutions, norms = architecture.layers(of)
    found = architecture.of_shapes(
        [shapes for _, shapes in convolutions], [s for _, s in norms]
    )
    assert found == of
    if of.depth == 152:
        assert (len(convolutions), len(norms)) == (257, 207)


def test_names_of_tf1_and_tf2_are_those_of_one_network():
    """Their full names in TF2 SavedModels carry other scopes."""
    shapes = {name: v.shape for name, v in tf1.encoder().items()}
    tf2 = {
        name.replace(
            "base_model/", "resnet/block_group1/fixed_padding/"
        ).replace("batch_normalization", "sync_batch_normalization"): shape
        for name, shape in shapes.items()
    }
    assert reading.identify(tf2).shapes == reading.identify(shapes).shapes


@pytest.mark.parametrize(
    ("prefix", "kind", "form", "said"),
    [
        ("/home/me/r50/model.ckpt-9", "TF1", "TF1 checkpoint", "model.ckpt-9"),
        (
            "/home/me/hub/variables/variables",
            "TF1",
            "TF1 hub module",
            "variables/variables",
        ),
        ("gs://mine/run/ckpt-9", "TF2", "TF2 checkpoint", "ckpt-9"),
        (
            "gs://simclr-checkpoints-tf2/a/saved_model/variables/variables",
            "TF2",
            "TF2 SavedModel",
            "gs://simclr-checkpoints-tf2/a/saved_model/variables/variables",
        ),
    ],
)
def test_a_private_place_is_not_said(prefix, kind, form, said):
    assert layout.form_of(prefix, kind) == form
    assert layout.public_name(prefix) == said
