"""Killed at any write, or without power at any moment: the same at the end.

A command's operations on its files are recorded once (`tests.recorded`). What a
kill or a power cut at a moment leaves is laid out from that record, and the
same command goes on there. It must end with 0 and with the same files, bit for
bit, as if nothing had happened.
"""

import json
import random
import shutil

import numpy as np
import pytest

from tests import forked, processes, recorded
from tests.tiny_datasets import write_tfds

# A log point's rates are of the clock; a record says when it was made.
_OF_THE_CLOCK = (
    "images_per_second",
    "input_wait_share",
    "flops_per_second",
    "created",
)
# Whose the folder of a sweep's finished run was, nobody asks any more.
_IRRELEVANT = ("owner.json",)
_CUTS, _MANY_CUTS = 4, 20  # of each of five jobs

_MODEL = (
    "--image_size=16",
    "--resnet_depth=10",
    "--width_multiplier=0.25",
    "--proj_out_dim=16",
    "--mixed_precision=none",
    "--eval_batch_size=48",
)
_TRAIN = (
    "--train_batch_size=48",
    "--warmup_epochs=0",
    "--train_steps=4",
    "--checkpoint_steps=2",
    "--log_steps=1",
)
_TWO_CHECKPOINTS = ("--keep_checkpoint_max=1", "--keep_hub_module_max=1")

JOBS = {
    "pretrain": (
        "--mode=train_then_eval",
        *(*_MODEL, *_TRAIN, *_TWO_CHECKPOINTS),
        "--linear_eval_labels=",
        "--knn_eval",
    ),
    "finetune": (
        "--mode=train_then_eval",
        "--train_mode=finetune",
        *(*_MODEL, *_TRAIN, *_TWO_CHECKPOINTS),
        "--checkpoint={pretrained}",
    ),
    "evaluate": (
        "--mode=evaluate",
        "--protocol=knn",
        "--eval_batch_size=48",
        "--checkpoint={pretrained}",
    ),
    "embed": (
        "--mode=embed",
        "--eval_batch_size=48",
        "--embed_queries=2",
        "--checkpoint={pretrained}",
    ),
    "sweep": (
        "--mode=evaluate",
        "--protocol=transfer_finetune",
        *("--train_batch_size=48", "--train_steps=2"),
        *("--checkpoint_steps=1", "--log_steps=1"),
        "--eval_batch_size=48",
        "--sweep_points=0,1",
        "--checkpoint={pretrained}",
    ),
}


class Recorded:
    """A job, what it did to its files, and what came of it."""

    def __init__(self, name, place):
        self.folder, self._log = place / name, place / f"{name}.log"
        self.arguments = [
            each.format(pretrained=place / "pretrained") for each in JOBS[name]
        ] + [
            "--dataset=textures",
            f"--data_dir={place / 'tfds'}",
            f"--model_dir={self.folder}",
        ]
        self.operations = recorded.record(
            [*processes.command(0, 0)[:2], *self.arguments],
            self.folder,
            place / f"{name}.strace",
            cwd=processes.ROOT,
        )
        disk = recorded.Disk()
        for operation in self.operations:
            disk.do(operation)
        # What is laid out below is what was really there.
        real = recorded.content_of(self.folder)
        assert {p: c for p, c in disk.after_kill().items() if p} == real
        self.outcome = outcome(self.folder)

    def goes_on(self, content, *, moved_aside=0):
        """Lays the files out and runs the command again.

        Returns:
            What it said.
        """
        recorded.lay_out(content, self.folder)
        status, said = forked.run(self.arguments, self._log)
        assert status == 0, said[-3000:]
        found = outcome(self.folder)
        aside = [path for path in found if "unreadable/" in path]
        assert len(aside) == moved_aside, said[-3000:]
        found = {p: c for p, c in found.items() if p not in aside}
        assert found.keys() == self.outcome.keys(), said[-3000:]
        for path, content in found.items():
            assert content == self.outcome[path], f"{path}: {said[-3000:]}"


@pytest.fixture(scope="module")
def job(tmp_path_factory):
    if reason := recorded.reason_not_to_record():
        pytest.skip(reason)
    place = tmp_path_factory.mktemp("cuts")
    write_tfds(
        "textures",
        place / "tfds",
        splits={"train": 96, "validation": 48, "test": 48},
        draw=processes.texture,
    )
    made = {"pretrain": Recorded("pretrain", place)}
    shutil.copytree(place / "pretrain", place / "pretrained")

    def get(name):
        if name not in made:
            made[name] = Recorded(name, place)
        return made[name]

    return get


def outcome(folder):
    """{path: content} of what a finished job leaves, without the clock's."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        if path.is_dir() or path.name in _IRRELEVANT or "tfevents" in name:
            continue
        if path.suffix == ".json":
            found[name] = _without_clock(json.loads(path.read_text()))
        elif path.suffix == ".jsonl":
            lines = path.read_text().splitlines()
            found[name] = [_without_clock(json.loads(line)) for line in lines]
        elif path.suffix == ".npz":
            with np.load(path) as arrays:
                found[name] = {k: arrays[k].tobytes() for k in arrays.files}
        elif path.suffix in (".png", ".data-00000-of-00001", ".index"):
            found[name] = path.read_bytes()
        else:
            found[name] = None  # a program's functions are numbered anew
    return found


def _without_clock(content):
    if isinstance(content, dict):
        return {
            key: _without_clock(value)
            for key, value in content.items()
            if key not in _OF_THE_CLOCK
        }
    return content


def power_cuts(recording, count, seed):
    """Contents of the disk after cuts at random moments."""
    moments = random.Random(seed)
    for _ in range(count):
        disk = recorded.Disk()
        moment = moments.randint(1, len(recording.operations))
        for operation in recording.operations[:moment]:
            disk.do(operation)
        yield moment, disk.after_power_cut(moments)


def kills(recording):
    """Contents of the disk after a kill at every write, each content once."""
    disk, seen = recorded.Disk(), set()
    for moment, operation in enumerate(recording.operations):
        disk.do(operation)
        content = disk.after_kill()
        telling = frozenset(
            (path, data)
            for path, data in content.items()
            if "tfevents" not in path and path != "owner.json"
        )
        if telling not in seen:
            seen.add(telling)
            yield moment, content


@pytest.mark.soak
@pytest.mark.parametrize("name", JOBS)
def test_after_power_cuts_it_goes_on(job, name):
    recording = job(name)
    for moment, content in power_cuts(recording, _CUTS, name):
        print(f"{name}: power cut after operation {moment}")
        recording.goes_on(content)


@pytest.mark.soak
@pytest.mark.parametrize("name", ["pretrain", "sweep"])
def test_without_a_whole_first_checkpoint_it_starts_anew(job, name):
    recording, disk = job(name), recorded.Disk()
    for operation in recording.operations:
        disk.do(operation)
        if operation[0] == "rename" and operation[2].endswith(".index"):
            first = operation[2]
            if ".tmp" not in first:
                break
    content = disk.after_kill()
    content[first] = content[first][:100]
    said = recording.goes_on(content, moved_aside=2)
    assert "Starting from step 0" in said


@pytest.mark.soak
@pytest.mark.parametrize("name", JOBS)
def test_killed_at_some_writes_it_ends_bit_for_bit(job, name):
    recording = job(name)
    chosen = random.Random(name).sample(list(kills(recording)), 2)
    for moment, content in chosen:
        print(f"{name}: killed after operation {moment}")
        recording.goes_on(content)


@pytest.mark.soak
@pytest.mark.parametrize("name", JOBS)
def test_after_many_power_cuts_it_goes_on(job, name):
    recording = job(name)
    for moment, content in power_cuts(recording, _MANY_CUTS, f"soak {name}"):
        print(f"{name}: power cut after operation {moment}", flush=True)
        recording.goes_on(content)


@pytest.mark.soak
@pytest.mark.parametrize("name", JOBS)
def test_killed_at_every_write_it_ends_bit_for_bit(job, name):
    recording = job(name)
    count = 0
    for moment, content in kills(recording):
        print(f"{name}: killed after operation {moment}", flush=True)
        recording.goes_on(content)
        count += 1
    print(f"{name}: {count} kills in {len(recording.operations)} operations")
