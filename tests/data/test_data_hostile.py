"""Prepared data from strangers: nothing that it names acts."""

import json
import pathlib
import sys

import pytest

from simclr_tf.data import sources
from simclr_tf.errors import UserError
from tests.tiny_datasets import write_tfds


@pytest.fixture
def prepared(tmp_path):
    """A data set whose description can be exchanged, and where it lies."""
    builder = write_tfds("strange", tmp_path / "tfds", splits={"train": 4})
    return pathlib.Path(builder.data_dir)


def open_it(folder):
    return sources.open_source(
        dataset="strange", split="train", data_dir=str(folder.parents[1])
    )


@pytest.fixture
def trap(tmp_path, monkeypatch):
    """A module that writes a file when it is imported; the file."""
    trace = tmp_path / "trace"
    (tmp_path / "stranger.py").write_text(
        f"open({str(trace)!r}, 'w').write('I was here')\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    yield trace
    sys.modules.pop("stranger", None)


@pytest.mark.parametrize("form", ["proto", "legacy", "legacy inside"])
def test_a_module_that_features_json_names_is_not_imported(
    prepared, trap, form
):
    path = prepared / "features.json"
    described = json.loads(path.read_text())
    legacy = {"type": "stranger.Feature", "content": {}}
    inner = described["featuresDict"]["features"]
    if form == "proto":
        inner["label"]["pythonClassName"] = "stranger.Feature"
    elif form == "legacy":
        described = legacy
    else:
        described = {
            "type": described["pythonClassName"],
            "content": {"label": legacy},
        }
    path.write_text(json.dumps(described))
    with pytest.raises(UserError, match=r"--dataset=strange .*stranger\.Feat"):
        open_it(prepared)
    assert not trap.exists()
    assert "stranger" not in sys.modules


@pytest.mark.parametrize("name", ["os.path", "os.system", "nodots", "", 7])
def test_other_names_are_no_classes(prepared, name):
    path = prepared / "features.json"
    described = json.loads(path.read_text())
    described["featuresDict"]["features"]["label"]["pythonClassName"] = name
    path.write_text(json.dumps(described))
    with pytest.raises(UserError, match="--dataset=strange"):
        open_it(prepared)


@pytest.mark.parametrize(
    "template",
    [
        "../{DATASET}-{SPLIT}.{FILEFORMAT}-{SHARD_X_OF_Y}",
        "../../../other/{DATASET}-{SPLIT}.{FILEFORMAT}-{SHARD_X_OF_Y}",
        "/etc/{DATASET}-{SPLIT}.{FILEFORMAT}-{SHARD_X_OF_Y}",
        "deeper/{DATASET}-{SPLIT}.{FILEFORMAT}-{SHARD_X_OF_Y}",
    ],
)
def test_shards_outside_their_folder_are_not_opened(prepared, template):
    path = prepared / "dataset_info.json"
    described = json.loads(path.read_text())
    described["splits"][0]["filepathTemplate"] = template
    path.write_text(json.dumps(described))
    with pytest.raises(UserError, match="outside its own folder"):
        open_it(prepared)


@pytest.mark.parametrize("name", ["../train", "../../../other/train"])
def test_a_split_is_no_path(prepared, name):
    path = prepared / "dataset_info.json"
    described = json.loads(path.read_text())
    described["splits"][0]["name"] = name
    path.write_text(json.dumps(described))
    with pytest.raises(UserError, match="--dataset=strange"):
        open_it(prepared)


def test_a_feature_is_no_path(prepared):
    path = prepared / "features.json"
    described = json.loads(path.read_text())
    inner = described["featuresDict"]["features"]
    inner["../../secret"] = inner.pop("label")
    path.write_text(json.dumps(described))
    with pytest.raises(UserError, match="out of its folder"):
        open_it(prepared)


@pytest.mark.parametrize("file", ["features.json", "dataset_info.json"])
@pytest.mark.parametrize(
    "content",
    ["", "{", "[]", "null", "7", '{"a": 1}', "[" * 100_000, "\udcff"],
    ids=lambda text: ascii(text[:8]),
)
def test_descriptions_of_something_else_are_named(prepared, file, content):
    (prepared / file).write_bytes(content.encode("utf8", "surrogateescape"))
    with pytest.raises(UserError, match="--dataset=strange") as raised:
        open_it(prepared)
    assert len(str(raised.value)) < 600


@pytest.mark.parametrize("place", ["ram://x", "://", "foo://x"])
@pytest.mark.parametrize("dataset", ["digits", "cifar10"])
def test_places_that_tfds_does_not_know_are_named(place, dataset):
    with pytest.raises(UserError, match=f"--data_dir={place} is no place"):
        sources.open_source(dataset=dataset, split="train", data_dir=place)


def test_honest_data_is_still_opened(prepared):
    assert open_it(prepared).num_examples == 4
