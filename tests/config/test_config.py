"""Options, recipes and what resolves to what."""

import dataclasses
import json

import pytest

from simclr_tf import config
from simclr_tf.augment import operators
from simclr_tf.config import operator_list, recipes, resolve, roles
from simclr_tf.errors import UserError
from simclr_tf.losses import named, rows

OFFICIAL = {  # name: default of google-research/simclr tf2/run.py
    "learning_rate": 0.3,
    "learning_rate_scaling": "linear",
    "warmup_epochs": 10,
    "weight_decay": 1e-6,
    "batch_norm_decay": 0.9,
    "train_batch_size": 512,
    "train_split": "train",
    "train_epochs": 100,
    "train_steps": 0,
    "eval_steps": 0,
    "eval_batch_size": 256,
    "checkpoint_epochs": 1,
    "checkpoint_steps": 0,
    "eval_split": "validation",
    "dataset": "imagenet2012",
    "cache_dataset": "false",
    "mode": "train",
    "train_mode": "pretrain",
    "lineareval_while_pretraining": True,
    "checkpoint": None,
    "zero_init_logits_layer": False,
    "fine_tune_after_block": -1,
    "master": None,
    "model_dir": None,
    "data_dir": None,
    "use_tpu": True,
    "tpu_name": None,
    "tpu_zone": None,
    "gcp_project": None,
    "optimizer": "lars",
    "momentum": 0.9,
    "eval_name": None,
    "keep_checkpoint_max": 5,
    "keep_hub_module_max": 1,
    "temperature": 0.1,
    "hidden_norm": True,
    "proj_head_mode": "nonlinear",
    "proj_out_dim": 128,
    "num_proj_layers": 3,
    "ft_proj_selector": 0,
    "global_bn": True,
    "width_multiplier": 1,
    "resnet_depth": 50,
    "sk_ratio": 0,
    "se_ratio": 0,
    "image_size": 224,
    "color_jitter_strength": 1.0,
    "use_blur": True,
}


def value(resolved, name):
    section, _ = config.options()[name]
    return getattr(getattr(resolved.config, section), name)


def test_official_defaults_are_the_official_codes():
    assert len(OFFICIAL) == 48
    resolved = resolve.resolve({}, defaults="official")
    assert {n: value(resolved, n) for n in OFFICIAL} == OFFICIAL
    assert set(resolved.origins.values()) == {"official"}


@pytest.mark.parametrize("train_mode", ["supervised", "distill"])
def test_official_classifiers_see_no_distorted_colours(train_mode):
    given = {"train_mode": train_mode, "checkpoint": "TEACHER"}
    if train_mode == "supervised":
        del given["checkpoint"]
    resolved = resolve.resolve(given, defaults="official")
    assert value(resolved, "color_jitter_strength") == 0
    assert value(resolved, "use_blur") is False
    again = {**given, "color_jitter_strength": 0.5}
    resolved = resolve.resolve(again, defaults="official")
    assert value(resolved, "color_jitter_strength") == 0.5


def test_paper_defaults_are_the_papers():
    resolved = resolve.resolve({"dataset": "imagenet2012"})
    expected = {
        "train_batch_size": 4096,
        "num_proj_layers": 2,
        "proj_out_dim": 128,
        "temperature": 0.1,
        "weight_decay": 1e-6,
        "learning_rate": 0.3,
        "learning_rate_scaling": "linear",
        "optimizer": "lars",
        "warmup_epochs": 10,
        "train_epochs": 100,
        "color_jitter_impl": "simclrv1",
        "color_jitter_strength": 1.0,
        "min_crop_area": 0.08,
        "min_object_covered": 0.0,
        "blur_sigma_per": "image",
        "resnet_depth": 50,
    }
    assert {n: value(resolved, n) for n in expected} == expected


def test_flag_wins_over_recipe_wins_over_default():
    resolved = resolve.resolve({"dataset": "cifar10", "temperature": 0.3})
    assert value(resolved, "temperature") == 0.3
    assert resolved.origins["temperature"] == "flag"
    assert value(resolved, "use_blur") is False
    assert resolved.origins["use_blur"] == "recipe cifar10"
    assert value(resolved, "optimizer") == "lars"
    assert resolved.origins["optimizer"] == "default"


def test_epochs_given_override_steps_of_a_recipe():
    resolved = resolve.resolve({"dataset": "digits", "train_epochs": 3.0})
    assert value(resolved, "train_steps") == 0


@pytest.mark.parametrize(
    ("from_files", "steps"),
    [
        (("train_steps",), 0),
        (("train_steps", "train_epochs"), 800),
        (("train_epochs",), 800),
        ((), 800),
    ],
)
def test_a_length_that_is_typed_wins_over_a_files_in_either_unit(
    from_files, steps
):
    given = {"train_steps": 800, "train_epochs": 2.0}
    resolved = resolve.resolve(given, from_files=from_files)
    assert resolved.config.optim.train_steps == steps


def test_departures_name_every_default_that_is_not_the_official_one():
    lines = resolve.resolve({"dataset": "imagenet2012"}).departures()
    text = "\n".join(lines)
    assert "--num_proj_layers=2 (official: 3)" in text
    assert "--color_jitter_impl=simclrv1 (official: simclrv2)" in text
    assert "--train_batch_size=4096 (official: 512)" in text
    given = resolve.resolve(
        {"dataset": "imagenet2012", "num_proj_layers": 2}
    ).departures()
    assert not any("num_proj_layers" in line for line in given)


@pytest.mark.parametrize("dataset", [*recipes.RECIPES, "nobody/tuned:1.0.0"])
def test_every_recipe_resolves(dataset):
    given = {"dataset": dataset, "data_dir": "somewhere"}
    resolved = resolve.resolve(given)
    name, recipe = recipes.recipe_for(dataset)
    for option, expected in recipe.items():
        assert value(resolved, option) == expected
        assert resolved.origins[option] == f"recipe {name}"


def test_unknown_data_gets_the_small_batch_recipe():
    assert recipes.recipe_for("my_set/config")[0] == "other"
    assert recipes.recipe_for("imagenet2012_subset/1pct")[0] == (
        "imagenet2012_subset"
    )


def test_round_trip_through_json():
    resolved = resolve.resolve({"linear_eval_labels": (10, 20)})
    saved = json.loads(json.dumps(resolved.config.to_dict()))
    assert resolve.from_dict(saved) == resolved.config


def test_config_is_frozen():
    made = config.Config()
    with pytest.raises(dataclasses.FrozenInstanceError):
        made.optim.temperature = 1.0


@pytest.mark.parametrize(
    ("given", "names"),
    [
        ({"temperature": 0.0}, "--temperature"),
        ({"temperature": -1.0}, "--temperature"),
        ({"color_jitter_strength": 1.26}, "--color_jitter_strength"),
        ({"resnet_depth": 19}, "--resnet_depth"),
        ({"image_size": 0}, "--image_size"),
        ({"width_multiplier": 0.0}, "--width_multiplier"),
        ({"mode": "fly"}, "--mode"),
        ({"train_batch_size": 0}, "--train_batch_size"),
        ({"momentum": 1.0}, "--momentum"),
        ({"min_crop_area": 0.0}, "--min_crop_area"),
        ({"max_corrupt_fraction": 1.5}, "--max_corrupt_fraction"),
        ({"ft_proj_selector": 3}, "--ft_proj_selector"),
        ({"proj_head_mode": "none", "ft_proj_selector": 1}, "none head"),
        ({"dataset": "folder"}, "--data_dir"),
        ({"data_dir": "D", "labels": "D/x.csv"}, "for --dataset=folder"),
        ({"train_mode": "finetune"}, "--train_mode"),
        ({"nonsense": 1}, "nonsense"),
        (
            {"checkpoint": "somewhere", "train_mode": "supervised"},
            "--checkpoint",
        ),
        ({"learning_rate": float("inf")}, "--learning_rate"),
        ({"train_epochs": float("nan")}, "--train_epochs"),
        ({"semi_hard": True}, "--semi_hard.*--loss=nt_xent"),
        ({"margin": 0.4}, "--margin=0.4.*--loss=nt_xent"),
        ({"loss": "nt_logistic", "margin": 0.4}, "--margin.*nt_logistic"),
        (
            {"loss": "margin_triplet", "semi_hard": True, "margin": 0.0},
            "--semi_hard.*--margin=0",
        ),
        ({"loss": "margin_triplet", "temperature": 0.3}, "--temperature"),
        ({"operators": "crop,sharpen"}, "--operators.*none.*'sharpen'"),
        ({"operators": "crop,,flip"}, "--operators.*''"),
        ({"linear_eval_of": "features,h"}, "--linear_eval_of.*features,h"),
        ({"linear_eval_of": "pixels,pixels"}, "--linear_eval_of.*each once"),
        (
            {
                "mode": "evaluate",
                "checkpoint": "RUN",
                "l2": 1.0,
                "holdout_fraction": 0.2,
            },
            "--holdout_fraction.*--l2=1",
        ),
        ({"operators": "crop,sobel:2"}, "--operators.*sobel:0.5.*'sobel:2'"),
        ({"operators": "sobel:nan"}, "--operators.*'sobel:nan'"),
        ({"operators": "sobel:"}, "--operators.*'sobel:'"),
        ({"second_operators": "crop"}, "--second_operators.*--operators"),
        (
            {"operators": "crop,blur", "second_operators": "blur"},
            "both begin with crop.*crop,blur and blur",
        ),
        (
            {"operators": "crop,autoaugment", "augment_on": "device"},
            "--augment_on=device is not for autoaugment",
        ),
        ({"operators": "crop", "use_blur": False}, "--use_blur.*--operators"),
        (
            {"operators": "crop", "color_jitter_strength": 0.5},
            "--color_jitter_strength is for color, color_jitter",
        ),
    ],
    ids=str,
)
def test_bad_values_are_named(given, names):
    with pytest.raises(ValueError, match=names):
        resolve.resolve(given)


def test_a_loss_leaves_aside_what_flagfile_and_recipe_say_to_others():
    given = {"dataset": "cifar10", "loss": "margin_triplet"}
    assert resolve.resolve(given).config.optim.temperature == 0.5
    resolve.resolve({**given, "temperature": 0.3}, from_files=["temperature"])


def test_operators_are_those_there_are():
    assert set(operator_list.NAMES) == set(operators.OPERATORS)
    assert operator_list.parsed("operators", "none") == ()
    asked = operator_list.parsed("operators", "crop, sobel:0.25")
    assert asked == (("crop", None), ("sobel", 0.25))
    given = {"operators": "crop,color", "color_jitter_strength": 0.5}
    resolve.resolve({**given, "second_operators": "crop"})


def test_losses_are_those_there_are():
    choices = config.options()["loss"][1].metadata["choices"]
    assert set(choices) == set(named.WORDS)
    choices = config.options()["negative_views"][1].metadata["choices"]
    assert choices == rows.NEGATIVE_VIEWS


def test_what_a_resumed_run_may_change():
    old = resolve.resolve({}).config
    moved = resolve.overlay(
        old, {"model_dir": "b", "virtual_devices": 4, "eval_batch_size": 8}
    )
    assert roles.fixed_differences(old, moved) == []
    changed = resolve.overlay(old, {"temperature": 0.7, "seed": 3})
    assert roles.fixed_differences(old, changed) == [
        "--seed=3, was 0",
        "--temperature=0.7, was 0.2",
    ]


def test_every_option_is_declared_once_with_help():
    names = [
        field.name
        for section in config.sections().values()
        for field in dataclasses.fields(section)
    ]
    assert len(names) == len(set(names))
    for _, field in config.options().values():
        assert field.metadata["help"].endswith(".")


def test_table_shows_every_option_and_its_origin():
    table = resolve.resolve({"temperature": 0.25}).table()
    for name in config.options():
        assert f"    {name} " in table
    (line,) = (x for x in table.splitlines() if " temperature " in x)
    assert line.split() == ["temperature", "0.25", "flag"]


def test_epochs_that_steps_override_are_said_to_be_without_effect():
    made = resolve.resolve({"train_steps": 7, "checkpoint_epochs": 2.0})
    assert "train_epochs" not in made.summary()
    assert "checkpoint_epochs" in made.summary()
    (line,) = (x for x in made.table().splitlines() if "train_epochs" in x)
    assert line.endswith("recipe digits, but --train_steps decides")
    typed = resolve.resolve({"checkpoint_steps": 3, "checkpoint_epochs": 2.0})
    assert "flag, but --checkpoint_steps decides" in typed.summary()


@pytest.mark.parametrize("encoder", ["random", "pixels"])
def test_what_needs_no_weights_needs_no_checkpoint(encoder):
    given = {"mode": "evaluate", "protocol": "knn", "encoder": encoder}
    with pytest.raises(UserError, match="needs --model_dir"):
        resolve.resolve(given)
    made = resolve.resolve({**given, "model_dir": "RESULTS"}).config
    assert made.model.resnet_depth == recipes.RECIPES["digits"]["resnet_depth"]
    with pytest.raises(UserError, match="needs --checkpoint"):
        resolve.resolve({**given, "encoder": "checkpoint"})
