"""Command lines that once hung, failed in a traceback or meant another thing.

Each is one line that names the flag, status 2, within seconds, and nothing is
written. `test_fuzzed_flags` draws others from the declarations.
"""

import time

import pytest
import tensorflow as tf

import run
from simclr_tf.run_files import places

_NOWHERE = [
    (f"--{flag}={place}{rest}", flag)
    for place in ("gs://nowhere", "foo://x", "http://a.b")
    for flag, rest in (("model_dir", "/run"), ("data_dir", "/tfds"))
]
_NO_WEIGHTS = [
    (f"--mode={mode} --checkpoint={place}/run", "checkpoint")
    for place in ("gs://nowhere", "foo://x", "http://a.b")
    for mode in ("evaluate", "embed")
]
_BEYOND = [
    ("--train_split=train[50%:10%]", "train_split"),
    ("--train_split=train+train", "train_split"),
    ("--width_multiplier=1e9", "width_multiplier"),
    ("--width_multiplier=1e-400", "width_multiplier"),
    (f"--proj_out_dim={10**12}", "proj_out_dim"),
    (f"--num_proj_layers={10**9}", "num_proj_layers"),
    ("--image_size=100000", "image_size"),
    ("--virtual_devices=100000", "virtual_devices"),
    (f"--input_threads={10**8}", "input_threads"),
    (f"--train_steps={10**20}", "train_steps"),
    ("--temperature=1e-300", "temperature"),
    ("--learning_rate=1e300", "learning_rate"),
    ("--train_epochs=0 --train_steps=0", "train_epochs"),
    ("--train_epochs=0", "train_epochs"),
    ("--train_epochs=1e300", "train_epochs"),
]
_SAYS_NOTHING = [
    ("--model_dir=", "model_dir"),
    ("--data_dir=", "data_dir"),
    ("--mode=evaluate --checkpoint=", "checkpoint"),
    ("--dataset=", "dataset"),
    ("--train_split=", "train_split"),
    ("--eval_split=", "eval_split"),
    ("--flagfile=", "flagfile"),
    ("--flagfile=LOOP", "flagfile"),
    ("--flagfile=LOOP2", "flagfile"),
    ("--flagfile=BINARY", "flagfile"),
    ("--flagfile=.", "flagfile"),
    ("--flagfile=/nowhere.flags", "flagfile"),
    ("--flagfile=/dev/zero", "flagfile"),
    ("--restore_linear_head", "restore_linear_head"),
    ("--mode=preflight --json=foo://x", "json"),
    ("--mode=preflight --topology=v5e:100000x100000", "topology"),
]


@pytest.fixture
def somewhere(tmp_path, monkeypatch):
    """An empty folder to stand in, and a network without a way out."""
    flagfiles = tmp_path / "flagfiles"
    flagfiles.mkdir()
    for name, content in (
        ("LOOP", f"--flagfile={flagfiles / 'LOOP'}\n".encode()),
        ("LOOP2", f"--flagfile={flagfiles / 'LOOP3'}\n".encode()),
        ("LOOP3", f"--seed=1\n--flagfile={flagfiles / 'LOOP2'}\n".encode()),
        ("BINARY", b"--seed=1\n\xff\xfe\x00"),
    ):
        (flagfiles / name).write_bytes(content)
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    exists = places.gfile.exists

    def offline(path):
        if path.startswith("gs://"):
            raise tf.errors.FailedPreconditionError(
                None, None, "Could not resolve host: www.googleapis.com\n\tat"
            )
        return exists(path)

    monkeypatch.setattr(places.gfile, "exists", offline)
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "tfds"))
    return here, flagfiles


def refused(words, flag, capsys):
    started = time.process_time()
    status = run.main(["run.py", *words])
    said = capsys.readouterr().err.splitlines()
    assert status == 2, said
    assert len(said) == 1 and said[0].startswith("error: "), said
    assert f"--{flag}" in said[0] and said[0].isprintable()
    assert len(said[0]) < 1000
    assert time.process_time() - started < 30


@pytest.mark.parametrize(
    ("command", "flag"),
    [*_NOWHERE, *_NO_WEIGHTS, *_BEYOND, *_SAYS_NOTHING],
)
def test_what_cannot_work_is_one_line(somewhere, command, flag, capsys):
    here, flagfiles = somewhere
    words = command.split()
    words = [
        w.replace("=LOOP", f"={flagfiles}/LOOP").replace(
            "=BINARY", f"={flagfiles}/BINARY"
        )
        for w in words
    ]
    if "--data_dir" not in command:
        words.append(f"--data_dir={here.parent / 'digits'}")
    refused(words, flag, capsys)
    assert not list(here.iterdir())


@pytest.mark.parametrize(
    "text",
    ["[" * 100_000, '{"cluster":' * 100_000, "", "{", "null", "7", "\udcff"],
    ids=lambda text: ascii(text[:12]),
)
def test_a_tf_config_of_something_else_is_one_line(
    somewhere, monkeypatch, capsys, text
):
    monkeypatch.setenv("TF_CONFIG", text)
    here = somewhere[0]
    words = ["--strategy=multi_worker", f"--data_dir={here.parent / 'digits'}"]
    refused(words, "strategy", capsys)
    assert not list(here.iterdir())


@pytest.mark.parametrize("name", ["tpu_name", "tpu_zone", "gcp_project"])
def test_an_empty_tpu_is_none(name):
    from flags import definitions

    given = definitions.parse(["run.py", f"--{name}="]).given
    assert given == {name: ""}
