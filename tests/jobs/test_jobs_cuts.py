"""Killed at any write, or without power at any moment: the same at the end.

A command's operations on its files are recorded once (`tests.recorded`). What a
kill or a power cut at a moment leaves is laid out from that record, and the
same command goes on there. It must end with 0 and with the same files, bit for
bit, as if nothing had happened.

What a job removes before it looks at anything else makes no difference to it.
So of contents that are the same without that, one is gone on from.
"""

import json
import random
import shutil
import time

import numpy as np
import pytest

from simclr_tf import files
from simclr_tf.run_files import leftovers
from tests import forked, processes, recorded
from tests.official import tf1_files
from tests.tiny_datasets import write_tfds

pytestmark = pytest.mark.soak

# A log point's rates are of the clock; a record says when it was made.
_OF_THE_CLOCK = (
    "images_per_second",
    "input_wait_share",
    "flops_per_second",
    "created",
)
# Whose the folder of a sweep's finished run was, nobody asks any more.
_IRRELEVANT = ("owner.json",)
_CUTS = 20  # of each of six jobs

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
_ONE_CHECKPOINT = "--keep_checkpoint_max=1"

JOBS = {
    "pretrain": (
        "--mode=train_then_eval",
        *(*_MODEL, *_TRAIN, _ONE_CHECKPOINT),
        "--keep_hub_module_max=1",
        "--linear_eval_labels=",
        "--knn_eval",
    ),
    "finetune": (
        "--mode=train_then_eval",
        "--train_mode=finetune",
        *(*_MODEL, *_TRAIN, _ONE_CHECKPOINT),
        "--keep_hub_module_max=0",
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
    "import": ("--mode=import", "--checkpoint={official}"),
}


class Recorded:
    """A job, what it did to its files, and what came of it."""

    def __init__(self, name, place):
        self._name = name
        self.folder, self._log = place / name, place / f"{name}.log"
        self._scratch = place / f"{name}.scratch"
        self._done = set()
        self.arguments = [
            each.format(
                pretrained=place / "pretrained", official=place / "official"
            )
            for each in JOBS[name]
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

    def is_new(self, content):
        """Whether nothing was gone on from that is the same to the job."""
        recorded.lay_out(content, self._scratch)
        for folder in [self._scratch, *self._scratch.rglob("*")]:
            if folder.is_dir():
                self._remove_left(folder)
        telling = frozenset(
            (path, data)
            for path, data in recorded.content_of(self._scratch).items()
            if "tfevents" not in path and not path.endswith("owner.json")
        )
        new = telling not in self._done
        self._done.add(telling)
        return new

    def _remove_left(self, folder):
        """What the job itself removes there, first of all."""
        if self._name in ("evaluate", "embed"):
            files.sweep_asides(str(folder))
        elif folder == self._scratch:
            if self._name != "sweep":
                leftovers.sweep(str(folder))
        # MODEL_DIR/RECORD/RUN: of a finished run the result is looked at only.
        elif (
            self._name == "sweep"
            and folder.parents[1] == self._scratch
            and not (folder / "result.json").exists()
        ):
            leftovers.sweep(str(folder))

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
        return said


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
    tf1_files.write(place / "official", tf1_files.encoder())
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
    """Contents of the disk after a kill at every write."""
    disk = recorded.Disk()
    for moment, operation in enumerate(recording.operations):
        disk.do(operation)
        yield moment, disk.after_kill()


def each_goes_on(recording, name, contents):
    """Goes on from all; says how many of them were different to the job."""
    started, count, different, wrong = time.monotonic(), 0, 0, []
    for moment, content in contents:
        count += 1
        if recording.is_new(content):
            different += 1
            print(f"{name} after operation {moment}", flush=True)
            try:
                recording.goes_on(content)
            except AssertionError as error:
                wrong.append(f"{name} after operation {moment}: {error}")
                print(wrong[-1], flush=True)
    print(
        f"{name}: {count} of {len(recording.operations)} operations, "
        f"{different} gone on from, {time.monotonic() - started:.0f} s",
        flush=True,
    )
    assert not wrong, "\n".join([str(len(wrong)), *wrong])


@pytest.mark.parametrize("name", JOBS)
def test_killed_at_every_write_it_ends_bit_for_bit(job, name):
    recording = job(name)
    each_goes_on(recording, f"{name} killed", kills(recording))


@pytest.mark.parametrize("name", JOBS)
def test_after_power_cuts_it_goes_on(job, name):
    recording = job(name)
    cuts = power_cuts(recording, _CUTS, f"soak {name}")
    each_goes_on(recording, f"{name} without power", cuts)


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
