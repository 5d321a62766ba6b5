"""What a run logs: truthful after a kill, flat in memory, quick to open."""

import json
import time
import types

import numpy as np
import pytest
import tensorflow as tf

from simclr_tf.run_files import metrics_file
from simclr_tf.run_files.folder import RunFolder
from simclr_tf.run_files.metrics_file import MetricsFile
from simclr_tf.run_files.metrics_log import MetricsLog


def open_at(path, step, log_steps=10):
    return MetricsFile(str(path), from_step=step, log_steps=log_steps)


def rows(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def write(path, steps):
    path.write_text("".join(f'{{"step": {s}, "a": {s}.5}}\n' for s in steps))


def test_metrics_forget_what_will_be_logged_again(tmp_path, capsys):
    """A killed run logged to step 30 and saved at 20; half a line is gone."""
    path = tmp_path / "metrics.jsonl"
    path.write_text(
        '{"step": 10, "a": 1}\n{"step": 20, "a": 2}\n'
        '{"step": 20, "b": 5}\n{"step": 30, "a": 3}\n{"step": 4'
    )
    lines = open_at(path, 20)
    assert lines.at_start == {"step": 20, "a": 2, "b": 5}
    lines.append(30, {"a": 4.0})
    lines.sync()
    assert rows(path) == [
        {"step": 10, "a": 1},
        {"step": 20, "a": 2},
        {"step": 20, "b": 5},
        {"step": 30, "a": 4.0},
    ]
    assert capsys.readouterr().out == ""


def test_a_row_is_of_the_last_log_point_up_to_a_step(tmp_path):
    path = tmp_path / "metrics.jsonl"
    assert metrics_file.row_at(str(path), 9) is None
    path.write_text(
        '{"step": 10, "train/total_loss": 1}\n'
        '{"step": 20, "train/total_loss": 2}\n'
        '{"step": 20, "eval/knn": 5}\n{"step": 30, "train/total_loss": 3}\n'
    )
    losses = [
        (metrics_file.row_at(str(path), step) or {}).get("train/total_loss")
        for step in (9, 10, 19, 20, 29, 30, 99)
    ]
    assert losses == [None, 1, 1, 2, 2, 3, 3]


def test_from_nothing_nothing_is_kept(tmp_path):
    path = tmp_path / "metrics.jsonl"
    write(path, [10, 20])
    open_at(path, 0)
    assert path.read_bytes() == b""


@pytest.mark.parametrize("seed", range(20))
def test_lines_from_the_end_are_all_the_lines(tmp_path, monkeypatch, seed):
    """Whatever the blocks cut through."""
    rng = np.random.default_rng(seed)
    content = bytes(rng.choice(list(b"ab\n"), rng.integers(0, 60)))
    path = tmp_path / "lines"
    path.write_bytes(content)
    monkeypatch.setattr(metrics_file, "_BLOCK_BYTES", int(rng.integers(1, 9)))
    found = list(metrics_file.lines_from_end(str(path)))[::-1]
    assert [line for _, line in found] == content.splitlines(keepends=True)
    for start, line in found:
        assert content[start : start + len(line)] == line


_BAD = [b"garbage\n", b"\xff\xfe\n", b"[1]\n", b'{"step": "x"}\n', b"{}\n"]


@pytest.mark.parametrize("bad", _BAD)
def test_a_damaged_line_that_goes_is_kept_aside_and_told_of(
    tmp_path, capsys, bad
):
    path = tmp_path / "metrics.jsonl"
    write(path, [10, 20])
    with path.open("ab") as file:
        file.write(bad)
    open_at(path, 20)
    assert [row["step"] for row in rows(path)] == [10, 20]
    assert (tmp_path / "metrics.jsonl.damaged").read_bytes() == bad
    assert f"{path} is damaged: 1 of its last lines" in capsys.readouterr().out


@pytest.mark.parametrize("bad", _BAD)
def test_a_damaged_line_in_the_middle_stays(tmp_path, bad):
    path = tmp_path / "metrics.jsonl"
    path.write_bytes(b'{"step": 10}\n' + bad + b'{"step": 20}\n')
    before = path.read_bytes()
    open_at(path, 20).append(30, {})
    assert path.read_bytes() == before + b'{"step": 30}\n'


@pytest.mark.parametrize("content", [b"", None, b"\0" * 100, b'{"step": 10}\n'])
def test_what_is_missing_is_told_of(tmp_path, capsys, content):
    path = tmp_path / "metrics.jsonl"
    if content is not None:
        path.write_bytes(content)
    open_at(path, 25)
    first = 11 if content and b"step" in content else 1
    assert f"holds nothing of steps {first} to 20" in capsys.readouterr().out


def test_objects_are_written_anew():
    path = "ram://metrics/metrics.jsonl"
    with tf.io.gfile.GFile(path, "w") as file:
        file.write('{"step": 10}\n{"step": 20}\n')
    open_at(path, 10)
    assert metrics_file.last_rows(path, 5) == [{"step": 10}]


def test_a_huge_file_opens_at_once(tmp_path):
    """200 MB; read whole, it would take 15 s and a gigabyte."""
    path = tmp_path / "metrics.jsonl"
    scalars = {f"train/scalar_{k}": k / 7 for k in range(12)}
    with path.open("w") as file:
        for block in range(0, 480_000, 1000):
            file.write(
                "".join(
                    json.dumps({"step": block + n, **scalars}) + "\n"
                    if n in (0, 999)
                    else f'{{"step": {block + n}, "x": "{"y" * 400}"}}\n'
                    for n in range(1000)
                )
            )
    assert path.stat().st_size > 190e6
    started = time.monotonic()
    lines = open_at(path, 479_000, log_steps=1)
    assert time.monotonic() - started < 1.0
    assert lines.at_start["step"] == 479_000
    (last,) = metrics_file.last_rows(str(path), 1)
    assert last["step"] == 479_000


def resident_bytes():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096


def log_points(tmp_path):
    rate = types.SimpleNamespace(learning_rate=tf.Variable(0.1))
    log = MetricsLog(RunFolder(str(tmp_path)), rate, from_step=0, log_steps=1)
    rng = np.random.default_rng(0)

    def points(first, last):
        for step in range(first, last):
            values = rng.normal(size=12).tolist()
            log.log(step, {f"train/{k}": v for k, v in enumerate(values)})

    return points


def test_memory_is_flat_over_log_points(tmp_path):
    """TensorFlow keeps Python numbers that become tensors: 11 KB a point."""
    points = log_points(tmp_path)
    points(1, 200)
    before = resident_bytes()
    points(200, 700)
    assert resident_bytes() - before < 500 * 3000


@pytest.mark.soak
def test_memory_is_flat_over_ten_thousand_log_points(tmp_path):
    points = log_points(tmp_path)
    points(1, 1000)
    before = resident_bytes()
    points(1000, 11_000)
    assert resident_bytes() - before < 10_000 * 200
