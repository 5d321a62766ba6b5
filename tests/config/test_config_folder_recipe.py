"""A folder's recipe: a table of what is there and what it comes to."""

import pytest

from simclr_tf.config import folder_recipe, resolve, step_memory
from simclr_tf.config.folder_recipe import Survey

GB = 1e9


def recipe(num_images, side=3000, gpu=False, cores=2, free=8 * GB):
    survey = Survey(num_images, side, gpu, cores, free)
    found = folder_recipe.recipe(survey)
    assert str(num_images) in folder_recipe.reason(survey, found)
    assert "epochs" in folder_recipe.reason(survey, found)
    in_steps = folder_recipe.reason(survey, {**found, "train_steps": 17})
    assert "17 steps" in in_steps and "epochs" not in in_steps
    names = ("resnet_depth", "image_size", "train_batch_size", "train_epochs")
    return tuple(found[name] for name in names)


@pytest.mark.parametrize(
    ("there", "expected"),
    [
        ({"num_images": 300}, (18, 96, 64, 53)),
        ({"num_images": 300, "cores": 16}, (18, 96, 64, 100)),
        ({"num_images": 300, "side": 70}, (18, 64, 64, 100)),
        ({"num_images": 300, "free": 3 * GB}, (18, 96, 64, 53)),
        ({"num_images": 5, "side": 20}, (18, 32, 5, 100)),
        ({"num_images": 1}, (18, 96, 1, 100)),
        ({"num_images": 100_000}, (18, 96, 64, 5)),
        ({"num_images": 300, "gpu": True}, (18, 224, 64, 200)),
        ({"num_images": 20_000, "gpu": True}, (50, 224, 256, 200)),
        ({"num_images": 10**6, "gpu": True}, (50, 224, 256, 20)),
    ],
)
def test_table(there, expected):
    assert recipe(**there) == expected


@pytest.mark.parametrize(
    ("there", "shrinks"),
    [
        ({"num_images": 300}, True),
        ({"num_images": 300, "side": 500}, False),  # hardly larger
        ({"num_images": 20_000, "has_accelerator": True}, True),
        ({"num_images": 10**6, "has_accelerator": True}, False),  # 150 GB
    ],
)
def test_large_photos_are_shrunk_once(there, shrinks):
    rest = {"side": 3000, "has_accelerator": False, "cores": 2}
    survey = Survey(**{**rest, "free_bytes": 8 * GB, **there})
    found = folder_recipe.recipe(survey)
    assert (found.get("cache_dataset") == "disk") is shrinks
    assert ("shrunk" in folder_recipe.reason(survey, found)) is shrinks


def test_memory_bounds_the_batch():
    small = recipe(1000, free=2.5 * GB)[2]
    assert 1 <= small < recipe(1000)[2]


def test_the_largest_batch_is_the_largest_that_fits():
    model = {"depth": 50, "width": 1, "image_size": 224}
    for free in (4 * GB, 9 * GB, 100 * GB):
        batch = step_memory.largest_batch(free, **model)
        assert step_memory.step_bytes(**model, batch_size=batch) <= free
        assert step_memory.step_bytes(**model, batch_size=2 * batch) > free


def test_what_was_given_wins_over_what_was_measured():
    resolved = resolve.resolve(
        {"dataset": "folder", "data_dir": "D", "image_size": 48},
        measured={"image_size": 96, "resnet_depth": 18},
    )
    assert resolved.config.data.image_size == 48
    assert resolved.config.model.resnet_depth == 18
    assert resolved.origins["resnet_depth"] == "recipe folder"
