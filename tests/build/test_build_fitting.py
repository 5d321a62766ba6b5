"""What fits the machine: the recipe of a folder, and memory before a step."""

import pytest

from simclr_tf.build import fitting
from simclr_tf.config import resolve, step_memory
from simclr_tf.errors import UserError
from simclr_tf.run_files.folder import RunFolder
from tests import image_files


def resolved(**given):
    return resolve.resolve({"dataset": "folder", **given})


@pytest.fixture
def photos(tmp_path):
    return str(image_files.write_folder(tmp_path / "photos", 20))


def free(monkeypatch, gigabytes):
    monkeypatch.setattr(fitting, "free_bytes", lambda: gigabytes * 1e9)


def test_the_folder_is_looked_at(photos, tmp_path, monkeypatch, capsys):
    free(monkeypatch, 8)
    asked = resolved(data_dir=photos, model_dir=str(tmp_path / "run"))
    found = fitting.folder_options(asked)
    assert found["image_size"] == 32 and found["resnet_depth"] == 18
    assert found["train_batch_size"] <= 20
    said = capsys.readouterr().out
    assert "20 images of about 9 px" in said and said.count("\n") == 1


def test_a_run_keeps_what_it_began_with(photos, tmp_path, monkeypatch):
    free(monkeypatch, 8)
    given = {"data_dir": photos, "model_dir": str(tmp_path / "run")}
    measured = fitting.folder_options(resolved(**given))
    begun = resolve.resolve({"dataset": "folder", **given}, measured=measured)
    run = RunFolder(str(tmp_path / "run"))
    run.claim(
        begun.config,
        origins=begun.origins,
        given=begun.given,
        facts={},
        dtype_policy="float32",
    )
    run.release()
    monkeypatch.setattr(fitting, "_has_accelerator", lambda config: True)
    again = fitting.folder_options(resolved(**given))
    for name, value in measured.items():
        assert again[name] == value, name
    # It has saved nothing: other pictures make another run.
    monkeypatch.undo()
    free(monkeypatch, 8)
    more = str(image_files.write_folder(tmp_path / "more", 64))
    other = fitting.folder_options(resolved(**{**given, "data_dir": more}))
    assert other["train_batch_size"] == 16 != measured["train_batch_size"]


@pytest.mark.parametrize(
    "given",
    [
        {"train_mode": "supervised"},
        {"mode": "embed", "checkpoint": "RUN"},
    ],
)
def test_other_jobs_are_not_fitted(given):
    assert not fitting.folder_options(resolved(data_dir="D", **given))


def test_a_step_that_does_not_fit_is_refused_with_what_does(monkeypatch):
    free(monkeypatch, 8)
    asked = {"data_dir": "D", "resnet_depth": 50, "image_size": 224}
    config = resolved(**asked, train_batch_size=256).config
    with pytest.raises(UserError, match="--train_batch_size=256") as error:
        fitting.require_memory(config, "CPU")
    said = str(error.value)
    batch = step_memory.largest_batch(8e9, depth=50, width=1, image_size=224)
    assert f"--train_batch_size={batch} (the largest that fits)" in said
    assert f"--micro_batch_size={batch} --global_bn=false" in said
    assert "--image_size=96 --resnet_depth=18" in said
    fitting.require_memory(config, "GPU")
    fits = resolved(**asked, train_batch_size=batch).config
    fitting.require_memory(fits, "CPU")
    pieces = resolved(
        **asked, train_batch_size=256, micro_batch_size=batch, global_bn=False
    ).config
    fitting.require_memory(pieces, "CPU")


def test_free_memory_is_a_number():
    assert 0 < fitting.free_bytes() < float("inf")
