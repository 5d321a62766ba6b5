"""Every file of a run, damaged in every way, read by everything that reads it.

What can be made anew is, and it is said; the rest is named in one line. Never
a traceback, and never a result from half a file without a word.
"""

import contextlib
import dataclasses
import json
import shutil

import numpy as np
import pytest

from simclr_tf import files
from simclr_tf.build import inheritance
from simclr_tf.convert import saved_model
from simclr_tf.errors import UserError
from simclr_tf.evaluation import cache
from simclr_tf.evaluation.__main__ import main as records_main
from simclr_tf.evaluation.features import Features
from simclr_tf.jobs import benchmark_input
from simclr_tf.run_files import checkpoints, loading, start_weights
from simclr_tf.run_files.folder import RunFolder
from simclr_tf.run_files.metrics_file import MetricsFile
from tests.convert.test_convert_saved_model import SIZE, model_of
from tests.evaluation.test_evaluation_records import write as write_record
from tests.run_files.test_run_files_checkpoints import make_variables
from tests.run_files.test_run_files_folder import claim

_KEY = cache.features_key(image_fingerprint="f", encoder_sha256="e", options={})


def _compute():
    rng = np.random.default_rng(1)
    values = rng.normal(size=[5, 3]).astype("float32")
    return cache.Extracted(Features(values, np.arange(5), np.arange(5)))


def _read_cache(folder):
    say = []
    found = cache.cached(
        _compute, folder=str(folder / "features"), key=_KEY, say=say.append
    )
    np.testing.assert_array_equal(
        found.features.values, _compute().features.values
    )
    print(*say)


def _follow_metrics(folder):
    path = str(folder / "metrics.jsonl")
    MetricsFile(path, from_step=20, log_steps=10).append(30, {"a": 1.0})
    benchmark_input._training_rates(str(folder))


def _read_weights(folder):
    inheritance.of_checkpoint({"checkpoint": str(folder / "saved_model" / "7")})
    loading.open_weights(str(folder / "saved_model" / "7"))


def _resume(folder):
    variables = make_variables(seed=0)
    made = checkpoints.Checkpoints(str(folder), variables, max_to_keep=2)
    found = made.restore_newest()
    want = make_variables(seed=checkpoints.step_of(found))
    for name, variable in variables.items():
        np.testing.assert_array_equal(variable, want[name])


def _claim(folder):
    claim(folder)


def _build_upon(folder):
    inheritance.of_checkpoint({"checkpoint": str(folder)})


# Which files are read by what.
READERS = {
    "config.json": (_claim, _build_upon),
    "flags.json": (_claim,),
    "owner.json": (_claim,),
    "checkpoint": (_resume,),
    "ckpt-20.index": (_resume,),
    "ckpt-20.data-00000-of-00001": (_resume,),
    "metrics.jsonl": (_follow_metrics,),
    "result_20.json": (lambda folder: RunFolder(str(folder)).result(20),),
    "start_weights.json": (
        lambda folder: start_weights.are_known(RunFolder(str(folder))),
    ),
    "one.json": (
        lambda folder: _records(folder),
        lambda folder: _records(folder, "--compare"),
        lambda folder: _records(folder, "--details", "--all_metrics"),
    ),
    "one.npz": (
        lambda folder: _records(folder),
        lambda folder: _records(folder, "--compare"),
    ),
    "features/FEATURES": (_read_cache,),
    "saved_model/7/simclr_tf.json": (_read_weights,),
    "saved_model/7/variables/variables.index": (_read_weights,),
    "saved_model/7/variables/variables.data-00000-of-00001": (_read_weights,),
}
# Nobody reads what lies there: the graph of objects, a counter of saves.
_UNREAD = (
    ("ckpt-20.data-00000-of-00001", "all_but_one"),
    ("saved_model/7/variables/variables.data-00000-of-00001", "not_utf8"),
)
# These count for nothing, or are made anew without a loss.
_MADE_ANEW = ("flags.json", "owner.json", "checkpoint")


def _records(folder, *options):
    paths = [str(folder / name) for name in ("one.json", "two.json")]
    if records_main([*paths, *options]) != 0:
        raise UserError("said on stderr")


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A finished run with everything that can lie in it."""
    folder = tmp_path_factory.mktemp("whole")
    claim(folder)
    config = json.loads((folder / "config.json").read_text())["config"]
    for step in (10, 20):
        checkpoints.Checkpoints(
            str(folder), make_variables(seed=step), max_to_keep=2
        ).save(step)
    lines = MetricsFile(
        str(folder / "metrics.jsonl"), from_step=0, log_steps=10
    )
    for step in (10, 20):
        rates = {"images_per_second": 1.5, "input_wait_share": 0.5}
        lines.append(step, {"train/loss": step / 7, **rates})
    RunFolder(str(folder)).write_result(
        20, {"global_step": 20, "eval/a": 0.5, "config": config}
    )
    files.write_json(
        str(folder / "start_weights.json"),
        {"checkpoint": None, "encoder_sha256": "a", "frozen_sha256": "b"},
    )
    files.write_json(
        str(folder / "owner.json"), {"pid": 1, "host": "h", "beat": 0}
    )
    write_record(folder / "one", seed=1)
    write_record(folder / "two", seed=2)
    _read_cache(folder)
    saved_model.export(
        model_of("float32"),
        str(folder / "saved_model"),
        step=7,
        image_size=SIZE,
        keep=1,
        metadata={"config": config, "global_step": 7},
    )
    return folder


def _flip(share):
    def flip(content):
        place = int(len(content) * share)
        changed = bytes([content[place] ^ 0x5A])
        return content[:place] + changed + content[place + 1 :]

    return flip


DAMAGES = {
    "empty": lambda content: b"",
    "half": lambda content: content[: len(content) // 2],
    "all_but_one": lambda content: content[:-1],
    "flipped_first": _flip(0.0),
    "flipped_early": _flip(0.1),
    "flipped_middle": _flip(0.5),
    "flipped_late": _flip(0.95),
    "zeros": lambda content: bytes(len(content)),
    "not_utf8": lambda content: b"\xff\xfe\x00\xd8" + content[4:],
    "null": lambda content: b"null",
    "list": lambda content: b"[1, 2]",
    "number": lambda content: b"7",
    "nested": lambda content: b"[" * 50_000,
    "object": lambda content: b'{"a": {"b": null}}',
}


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("name", READERS)
def test_damage_is_mended_or_named(whole, tmp_path, capsys, name, damage):
    folder = tmp_path / "run"
    shutil.copytree(whole, folder)
    (features,) = (folder / "features").iterdir()
    path = folder / name.replace("FEATURES", features.name)
    before = path.read_bytes()
    path.write_bytes(DAMAGES[damage](before))
    for reader in READERS[name]:
        _read_damaged(reader, folder, path, capsys, name, damage)


def _read_damaged(reader, folder, path, capsys, name, damage):
    said = ""
    try:
        reader(folder)
    except UserError as error:
        said = str(error)
        assert "\n" not in said
    out = capsys.readouterr()
    said += out.out + out.err
    if damage.startswith("flipped") or name in _MADE_ANEW:
        return  # a flipped bit may lie where it changes a value, or a space
    if (name, damage) in _UNREAD:
        return
    if path.name == "one.npz" and reader is READERS["one.npz"][0]:
        return  # the table is not of the predictions
    if name == "metrics.jsonl" and damage in ("all_but_one", "half"):
        return  # as a kill leaves it
    if damage == "all_but_one" and path.suffix == ".json":
        return  # the newline at its end
    known = (path.name, path.stem, "config.json", "saved_model/7")
    assert any(word in said for word in known), said


TYPES = [None, 7, -1.5, "text", [], [None], {}, True]


@pytest.mark.parametrize("value", TYPES, ids=str)
@pytest.mark.parametrize(
    "name",
    [name for name in READERS if name.endswith((".json", ".jsonl"))],
)
def test_another_type_inside_is_mended_or_named(
    whole, tmp_path, capsys, name, value
):
    """Of every key at the top, and of every key one below."""
    folder = tmp_path / "run"
    shutil.copytree(whole, folder)
    path = folder / name
    content = json.loads(path.read_text().splitlines()[-1]) if (
        path.suffix == ".jsonl"
    ) else json.loads(path.read_text())  # fmt: skip
    places = [(key,) for key in content]
    places += [
        (key, inner)
        for key, inside in content.items()
        if isinstance(inside, dict)
        for inner in inside
    ]
    kept = path.read_bytes()
    for place in places:
        changed = json.loads(json.dumps(content))
        inside = changed
        for key in place[:-1]:
            inside = inside[key]
        inside[place[-1]] = value
        path.write_text(json.dumps(changed) + "\n")
        for reader in READERS[name]:
            with contextlib.suppress(UserError):
                reader(folder)
        path.write_bytes(kept)
    capsys.readouterr()


@pytest.mark.parametrize("place", ["saved_model/7", ""])
def test_class_names_of_another_head_are_damage(whole, tmp_path, place):
    """Of weights with a linear head of three."""
    folder = tmp_path / "run"
    shutil.copytree(whole, folder)
    if place:
        beside, where = folder / place / "simclr_tf.json", "class_names"
    else:
        named = checkpoints.named_variables(model_of("float32").variables)
        run = checkpoints.Checkpoints(str(folder), named, max_to_keep=9)
        run.save(30)
        beside, where = folder / "config.json", "data"
    content = json.loads(beside.read_text())
    for names, fine in ((["a", "b", "c"], True), (["a", "b"], False)):
        content[where] = names if place else {"class_names": names}
        beside.write_text(json.dumps(content))
        if fine:
            found = loading.open_weights(str(folder / place))
            assert found.class_names == ("a", "b", "c")
        else:
            with pytest.raises(UserError, match="names of 2"):
                loading.open_weights(str(folder / place))


@pytest.mark.parametrize("dtype", ["float64", "int32", "S9"])
def test_weights_of_another_type_change_nothing(whole, dtype):
    weights = loading.open_weights(str(whole / "saved_model" / "7"))
    model = model_of("float32")
    before = [v.numpy() for v in model.encoder.variables]
    (name, *_) = checkpoints.named_variables(model.encoder.variables)
    harmed = {name: weights.values[name].astype(dtype)}
    weights = dataclasses.replace(weights, values=weights.values | harmed)
    with pytest.raises(UserError, match=f"{name} holds .*{dtype[-2:]}"):
        loading.load(weights, model)
    for variable, value in zip(model.encoder.variables, before, strict=True):
        np.testing.assert_array_equal(variable, value)
