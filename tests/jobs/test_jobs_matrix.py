"""Protocol x encoder x labels x form of split: a result, or one line.

What goes together is stated once, in `jobs.table`. Here every combination is
tried through run.py: it ends in a record of what was asked, or in one line
before any work, with nothing written.
"""

import itertools
import json
import shutil

import pytest
import tensorflow_datasets as tfds

import run
from simclr_tf.config import job_kinds
from simclr_tf.evaluation.fitted import mlp
from simclr_tf.jobs.table import JOBS
from tests.tiny_datasets import write_tfds

ENCODERS = ("checkpoint", "random", "pixels")
LABELS = {
    "one": ("--dataset=flags",),
    "several": (
        "--dataset=flags",
        "--label_key=colours",
        "--several_labels",
    ),
    "none": ("--dataset=unlabelled",),
}
SPLITS = {
    "name": "test",
    "slice": "test[:50%]",
    "sum": "test[:5]+validation",
    "misspelt": "tset",
}
_SHORT = {
    "probe": ("--train_steps=2", "--train_batch_size=16"),
    "transfer_finetune": (
        "--train_steps=2",
        "--train_batch_size=16",
        "--sweep_points=0",
    ),
    "logistic": ("--holdout_fraction=0.3",),
}


def asks_something_new(labels, form):
    """Of a protocol that reads no labels, and the splits as others do."""
    return labels == "none" and form in ("name", "misspelt")


# The transfer protocols name their splits themselves.
CELLS = [
    (protocol, encoder, labels, form)
    for protocol, encoder, labels, form in itertools.product(
        job_kinds.PROTOCOLS, ENCODERS, LABELS, SPLITS
    )
    if not protocol.startswith("transfer") or form == "name"
    if protocol != "knowledge" or asks_something_new(labels, form)
    if protocol != "own_head"  # which this checkpoint has not
]


def is_accepted(protocol, encoder, labels, form):
    accepts = JOBS[job_kinds.PROTOCOLS[protocol]].accepts
    return (
        encoder in accepts.encoders
        and labels in accepts.labels
        and form != "misspelt"
    )


def is_long(cell):
    protocol, _, _, form = cell
    trains = protocol in ("probe", "transfer_finetune", "knowledge")
    return is_accepted(*cell) and (trains or form != "name")


def marked():
    """The cells; of those that are long, one of each group is often run.

    A group has the same protocol, encoder and kind of labels; the form of the
    split is another one from group to group. The others soak.
    """
    long = [cell for cell in CELLS if is_long(cell)]
    groups = itertools.groupby(long, key=lambda cell: cell[:3])
    often = set()
    for number, (_, group) in enumerate(groups):
        forms = list(group)
        often.add(forms[number % len(forms)])
    for cell in CELLS:
        mark = pytest.mark.slow if cell in often else pytest.mark.soak
        marks = [mark] if cell in long else []
        yield pytest.param(cell, id="-".join(cell), marks=marks)


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    folder = str(tmp_path_factory.mktemp("tfds"))
    shared = {
        "splits": {"train": 48, "validation": 16, "test": 20},
        "image_shape": (16, 16, 3),
    }
    colours = tfds.features.Sequence(tfds.features.ClassLabel(num_classes=3))
    write_tfds(
        "flags",
        folder,
        num_classes=4,
        extra_features={
            "colours": (colours, lambda number: sorted({0, number % 3}))
        },
        **shared,
    )
    write_tfds("unlabelled", folder, num_classes=None, **shared)
    return folder


@pytest.fixture(scope="module")
def checkpoint(data_dir, tmp_path_factory):
    folder = tmp_path_factory.mktemp("pretrained")
    status = run.main(
        [
            "run.py",
            "--dataset=unlabelled",
            "--image_size=16",
            "--resnet_depth=10",
            "--width_multiplier=0.125",
            "--proj_out_dim=8",
            "--train_batch_size=16",
            "--train_steps=1",
            "--keep_hub_module_max=0",
            f"--data_dir={data_dir}",
            f"--model_dir={folder}",
        ]
    )
    assert status == 0
    return folder


@pytest.fixture
def evaluate(checkpoint, data_dir, tmp_path, capsys):
    def call(protocol, encoder, labels, form):
        arguments = [
            "--mode=evaluate",
            f"--protocol={protocol}",
            f"--encoder={encoder}",
            f"--checkpoint={checkpoint}",
            f"--data_dir={data_dir}",
            f"--model_dir={tmp_path}/out",
            "--eval_batch_size=16",
            *LABELS[labels],
            *_SHORT.get(protocol, ()),
        ]
        if not protocol.startswith("transfer"):
            arguments.append(f"--eval_split={SPLITS[form]}")
        status = run.main(["run.py", *arguments])
        said = capsys.readouterr()
        call.out, call.err = said.out, said.err
        return status

    return call


@pytest.mark.parametrize("cell", list(marked()))
def test_cell(evaluate, tmp_path, monkeypatch, cell):
    protocol, encoder, labels, form = cell
    monkeypatch.setattr(mlp, "MAX_UPDATES", 20)
    status = evaluate(*cell)
    if not is_accepted(*cell):
        assert status == 2, evaluate.out
        assert len(evaluate.err.strip().splitlines()) == 1, evaluate.err
        assert "--" in evaluate.err
        assert not (tmp_path / "out").exists()
        return
    assert status == 0, evaluate.err
    (path,) = (tmp_path / "out").glob("*.json")
    record = json.loads(path.read_text())
    assert record["protocol"] == protocol
    assert record["encoder_kind"] == encoder
    assert record["splits"]["test"]["split"] == SPLITS[form]
    assert record["overlap"] == 0
    several = labels == "several"
    if protocol == "knowledge":  # labels of its own
        assert record["class_names"] == ["in colour", "grey"]
    else:
        assert ("voc_map" in record["metric"]) is several
        assert len(record["class_names"]) == (3 if several else 4)
    # A random encoder has nothing of the checkpoint but its shape.
    assert ("ckpt-1" in record["encoder"]) is (encoder == "checkpoint")
    shutil.rmtree(tmp_path / "out")


def test_what_must_not_go_together_is_known_here_too():
    """The table is not its own oracle."""
    assert not is_accepted("knn", "checkpoint", "several", "name")
    assert not is_accepted("probe", "pixels", "one", "name")
    assert not is_accepted("logistic", "checkpoint", "none", "name")
    assert not is_accepted("transfer_finetune", "pixels", "one", "name")
    assert is_accepted("probe", "random", "several", "sum")
    assert is_accepted("knowledge", "pixels", "none", "name")
    assert is_accepted("logistic", "pixels", "several", "slice")
