"""--num_channels: what is refused beside it, by name, and what to type."""

import pytest

from simclr_tf.config import operator_list, recipes, resolve, roles
from simclr_tf.config.folder_recipe import Survey, reason, recipe
from simclr_tf.errors import UserError

GB = 1e9


def resolved(**given):
    return resolve.resolve({"num_channels": 5, **given})


def test_the_default_views_need_rgb_and_the_error_says_what_to_type():
    with pytest.raises(UserError) as caught:
        resolved(dataset="cifar10")
    line = str(caught.value)
    for words in (
        "--num_channels=5: colour jitter and colour drop are defined in RGB",
        "--color_jitter_strength=0",
        "--operators=crop,flip,blur",
        "Received: --color_jitter_strength=0.5",
    ):
        assert words in line
    resolved(dataset="cifar10", color_jitter_strength=0.0)
    resolved(dataset="cifar10", operators="crop,flip,blur")


@pytest.mark.parametrize("flag", ["operators", "second_operators"])
@pytest.mark.parametrize("name", operator_list.IN_RGB)
def test_operators_in_rgb_are_refused_by_name(name, flag):
    given = {"operators": "crop,blur", "second_operators": "crop,blur"}
    with pytest.raises(UserError, match=f"{name} is defined in RGB.*--{flag}="):
        resolved(**{**given, flag: f"crop,{name}"})
    resolve.resolve({**given, flag: f"crop,{name}"})


def test_all_other_operators_are_taken():
    others = [n for n in operator_list.NAMES if n not in operator_list.IN_RGB]
    assert len(others) == len(operator_list.NAMES) - 4
    resolved(operators=",".join(others))


@pytest.mark.parametrize("mode", ["pretrain", "supervised"])
def test_a_folder_leaves_colours_out_by_itself(mode):
    given = {"dataset": "folder", "data_dir": "D", "train_mode": mode}
    found = resolved(**given)
    assert found.config.augment.color_jitter_strength == 0
    assert found.origins["color_jitter_strength"].startswith("recipe folder")
    assert "color_jitter_strength" in found.summary()
    with pytest.raises(UserError, match="Received: --color_jitter_strength=1"):
        resolved(**given, color_jitter_strength=1.0)
    rgb = resolve.resolve(given).config.augment
    assert rgb.color_jitter_strength == 1


def test_the_recipe_of_a_folder_says_so_and_keeps_no_copies():
    there = Survey(300, 4000, False, 2, 8 * GB)
    rgb, grey, many = (recipe(there, num_channels=c) for c in (3, 1, 5))
    assert rgb["cache_dataset"] == grey["cache_dataset"] == "disk"
    assert "cache_dataset" not in many
    assert "no colour distortion" not in reason(there, rgb)
    for values in (grey, many):
        assert values["color_jitter_strength"] == 0
        assert "(--color_jitter_strength=0)" in reason(there, values)
    assert "color_jitter_strength" not in recipes.RECIPES["folder"]


def test_jobs_without_colours_are_not_refused():
    for given in (
        {"mode": "evaluate", "encoder": "pixels", "checkpoint": "RUN"},
        {"mode": "embed", "checkpoint": "RUN"},
        {"train_mode": "finetune", "checkpoint": "RUN"},
    ):
        assert resolved(**given).config.model.num_channels == 5


def test_copies_on_disk_are_of_rgb_and_grey():
    given = {"operators": "crop", "cache_dataset": "disk"}
    with pytest.raises(UserError, match=r"--cache_dataset=disk keeps RGB.*=5"):
        resolved(**given)
    resolved(**given | {"num_channels": 1})


@pytest.mark.parametrize("count", [0, 513])
def test_the_number_is_in_a_range(count):
    with pytest.raises(UserError, match="--num_channels"):
        resolve.resolve({"num_channels": count})


def test_a_checkpoint_decides_the_channels_and_suggests_the_range():
    assert "num_channels" in roles.decided_by_checkpoint()
    assert "intensity_range" in roles.suggested_by_checkpoint({}, {})
    for name in ("num_channels", "intensity_range"):
        assert roles.is_fixed(name)
        assert name in roles.of_features(resolve.resolve({}).config)
