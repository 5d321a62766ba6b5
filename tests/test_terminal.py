"""What strangers named reaches a terminal as text, and nothing else."""

import io
import json
import pathlib
import sys

import pytest

import run
from simclr_tf import terminal
from simclr_tf.evaluation import __main__ as side_by_side
from tests import fuzzed_flags, image_files
from tests.evaluation import test_evaluation_records as of_records

# Clears the screen, renames the window, and begins a line that looks like
# ours.
EVIL = "a\x1b[2J\x1b]0;owned\x07\nerror: owned\r\u202etxt\x9b31m"


def test_a_name_is_one_line_of_printable_letters():
    assert terminal.printable("a\x1b[31m\nb\u00e9") == "a\\x1b[31m\\nb\u00e9"
    assert terminal.printable(EVIL).isprintable()
    assert terminal.printable("\udcff") == "\\udcff"
    assert terminal.printable("日本 ü.png") == "日本 ü.png"


def test_a_guarded_stream_keeps_our_lines():
    stream = io.StringIO()
    terminal.guard(stream)
    print("one\n\ttwo", file=stream)
    stream.write("\rdrawn anew")
    stream.write(EVIL)
    text = stream.getvalue()
    assert text.startswith("one\n\ttwo\n\rdrawn anew")
    assert_harmless(text.replace("\r", "", 1))


def assert_harmless(text):
    """Nothing but lines and tabs, and no line that a stranger wrote."""
    for line in text.splitlines():
        assert line.replace("\t", "").isprintable(), ascii(line)


def no_stranger(text):
    assert "error: owned" not in [x.strip() for x in text.splitlines()]
    assert not any(x.startswith("error: owned") for x in text.splitlines())


@pytest.fixture
def pictures(tmp_path):
    """Two classes of pictures with evil names; one picture is none."""
    root = tmp_path / "pictures"
    for split in ("train", "test"):
        for kind in ("cat", EVIL):
            for number in range(6):
                name = f"{number}{EVIL}.png"
                image_files.write(root / split / kind / name, number, "PNG")
        (root / split / EVIL / f"broken{EVIL}.png").write_bytes(b"none")
    return root


@pytest.mark.slow
@pytest.mark.parametrize(
    ("more", "status"),
    [(("--max_corrupt_fraction=1",), 0), (("--max_corrupt_fraction=0",), 2)],
    ids=str,
)
@pytest.mark.parametrize("job", ["train_then_eval", "embed"])
def test_a_job_on_pictures_with_evil_names(
    pictures, tmp_path, monkeypatch, job, more, status
):
    small = [f"--{n}={v}" for n, v in fuzzed_flags.SMALL.items()]
    said = {name: io.StringIO() for name in ("stdout", "stderr")}
    for name, stream in said.items():
        terminal.guard(stream)
        monkeypatch.setattr(sys, name, stream)
    data = [f"--data_dir={pictures}", "--dataset=folder"]
    training = [
        "--mode=train_then_eval",
        *small,
        *data,
        f"--model_dir={tmp_path / 'run'}",
        "--train_batch_size=4",
        "--train_steps=1",
        "--warmup_epochs=0",
    ]
    if job == "embed":
        lenient = ("--max_corrupt_fraction=1",)
        assert run.main(["run.py", *training, *lenient]) == 0
        training = [
            "--mode=embed",
            *data,
            f"--checkpoint={tmp_path / 'run'}",
        ]
    assert run.main(["run.py", *training, *more]) == status
    for stream in said.values():
        text = stream.getvalue()
        assert_harmless(text)
        no_stranger(text)
    if status:
        assert "broken" in text and "owned" in text


def test_records_with_evil_fields(tmp_path, capsys):
    of_records.write(tmp_path / "a")
    path = pathlib.Path(tmp_path / "a.json")
    record = json.loads(path.read_text())
    record |= {"scored": EVIL, "encoder": EVIL, "dataset": EVIL}
    record["class_names"] = [EVIL for _ in record["class_names"]]
    record["splits"]["test"]["split"] = EVIL
    path.write_text(json.dumps(record))
    for flags in ([], ["--details"], ["--all_metrics"]):
        side_by_side.main([str(path), *flags])
        said = capsys.readouterr()
        for text in said:
            assert_harmless(text)
            no_stranger(text)
