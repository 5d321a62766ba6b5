"""The outer loop with a trainer that only counts."""

import io
import itertools
import os
import re
import resource
import signal
import time

import pytest
import tensorflow as tf

from simclr_tf import errors
from simclr_tf.build.schedule import make_plan
from simclr_tf.config import resolve
from simclr_tf.errors import Stopped
from simclr_tf.run_files.folder import RunFolder
from simclr_tf.run_files.metrics_log import MetricsLog
from simclr_tf.train import loop
from simclr_tf.train.profiling import Profiler
from simclr_tf.train.progress import Progress
from simclr_tf.train.startup_clock import StartupClock
from simclr_tf.train.stopping import StopRequest


class StandInOptimizer:
    learning_rate = tf.constant(0.1)


class CountingTrainer:
    """Stands for the trainer: it remembers the inner loops it was given."""

    def __init__(self, start=0, bad_step=None, on_loop=lambda step: None):
        self.global_step = start
        self.first_bad_step = None
        self.loops = []
        self._bad_step = bad_step
        self._on_loop = on_loop

    def train(self, num_steps):
        steps = int(num_steps)
        self.loops.append(steps)
        self.global_step += steps
        if self._bad_step is not None and self._bad_step < self.global_step:
            self.first_bad_step = self._bad_step
        self._on_loop(self.global_step)
        return {"wait_seconds": 0.0}

    def take_means(self):
        return {"train/contrast_loss": 1.0, "train/contrast_acc": 0.5}


def plan(**options):
    given = {"log_steps": 5, "checkpoint_steps": 8, "train_steps": 21}
    given |= {"train_batch_size": 4, "warmup_epochs": 0.0, **options}
    return make_plan(
        resolve.resolve(given).config, num_examples=100, num_replicas=1
    )


def run(
    trainer, *, stop=None, check=lambda: None, profile=(), folder="", **options
):
    saved, logged = [], []
    stream = io.StringIO()
    progress = Progress(total_steps=21, global_batch_size=4, stream=stream)
    with stop or StopRequest() as request:
        try:
            loop.train(
                trainer,
                plan(**options),
                save=saved.append,
                log=lambda step, scalars: logged.append((step, scalars)),
                check=check,
                progress=progress,
                stop=request,
                startup=StartupClock(),
                profiler=Profiler(profile, folder, writes=bool(folder)),
            )
        finally:
            trainer.saved, trainer.logged = saved, logged
            trainer.text = stream.getvalue()


def test_trains_exactly_so_many_steps_and_meets_every_due_point():
    trainer = CountingTrainer()
    run(trainer)
    assert trainer.global_step == 21
    assert trainer.saved == [8, 16, 21]
    assert [step for step, _ in trainer.logged] == [5, 10, 15, 20, 21]
    ends = set(itertools.accumulate(trainer.loops))
    assert {5, 8, 10, 15, 16, 20, 21} <= ends


def test_continues_in_the_middle_of_an_interval():
    trainer = CountingTrainer(start=13)
    run(trainer)
    assert trainer.saved == [16, 21]
    assert [step for step, _ in trainer.logged] == [15, 20, 21]


@pytest.mark.parametrize("start", [0, 5])
def test_a_profile_bounds_the_inner_loops(start):
    # Also on a host that writes none: hosts step together.
    trainer = CountingTrainer(start=start)
    run(trainer, profile=(4, 7))
    ends = {start + n for n in itertools.accumulate(trainer.loops)}
    assert ({3, 7} if start == 0 else {7}) <= ends
    assert trainer.global_step == 21


def test_a_profile_is_of_its_steps(monkeypatch):
    trainer, calls = CountingTrainer(), []
    for name in ("start", "stop"):
        monkeypatch.setattr(
            tf.profiler.experimental,
            name,
            lambda *_, name=name: calls.append((name, trainer.global_step)),
        )
    run(trainer, profile=(4, 7), folder="run")
    assert calls == [("start", 3), ("stop", 7)]
    assert "Profile of steps 4 to 7" in trainer.text


def test_says_how_long_it_took_to_start():
    trainer = CountingTrainer()
    run(trainer)
    first, *_ = trainer.text.splitlines()
    assert re.fullmatch(
        r"First step after \d+\.\d s: first step \d+\.\d\.", first
    )


def test_not_finite_halts_before_anything_is_saved():
    trainer = CountingTrainer(bad_step=14)
    with pytest.raises(errors.Halted, match=r"step 14 is NaN.*learning_rate"):
        run(trainer)
    assert trainer.saved == [8]


def test_check_halts_before_anything_is_saved():
    trainer = CountingTrainer()

    def check():
        if trainer.global_step >= 8:
            raise errors.Halted("enough")

    with pytest.raises(errors.Halted, match="enough"):
        run(trainer, check=check)
    assert trainer.saved == []


@pytest.fixture
def listening():
    """Signals as a terminal's program has them: a shell's background does not,
    nor what nohup starts."""
    usual = {
        signal.SIGINT: signal.default_int_handler,
        signal.SIGHUP: signal.SIG_DFL,
    }
    before = {n: signal.signal(n, handler) for n, handler in usual.items()}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT", "SIGHUP"])
def test_a_signal_saves_the_step_it_found_and_ends(name, listening, capfd):
    number = getattr(signal, name)

    def send(step):
        if step == 7:
            os.kill(os.getpid(), number)
            time.sleep(0.3)  # a thread says so

    trainer = CountingTrainer(on_loop=send)
    # One-step inner loops, so that there is one that ends at step 7.
    with pytest.raises(Stopped) as caught:
        run(trainer, log_steps=1)
    assert (caught.value.signal_number, caught.value.step) == (number, 7)
    assert trainer.saved == [7]
    assert trainer.global_step == 7
    assert f"{name}: finishing the step" in capfd.readouterr().err
    # Handlers are what they were.
    assert signal.getsignal(number) is not None
    assert "StopRequest" not in repr(signal.getsignal(number))


def test_a_signal_in_the_first_inner_loop_is_not_waited_for(listening):
    trainer = CountingTrainer(
        on_loop=lambda step: os.kill(os.getpid(), signal.SIGTERM)
    )
    with pytest.raises(Stopped):
        run(trainer)
    assert trainer.saved == []


@pytest.mark.parametrize("step", [8, 21])
def test_a_signal_while_saving_ends_the_run_with_that(step, listening):
    trainer = CountingTrainer()
    saved = []

    def save(at):
        saved.append(at)
        if at == step:
            os.kill(os.getpid(), signal.SIGHUP)

    with StopRequest() as stop, pytest.raises(Stopped) as caught:
        loop.train(
            trainer,
            plan(),
            save=save,
            log=lambda step, scalars: None,
            check=lambda: None,
            progress=Progress(
                total_steps=21, global_batch_size=4, stream=io.StringIO()
            ),
            stop=stop,
            startup=StartupClock(),
            profiler=Profiler((), "", writes=False),
        )
    assert (caught.value.signal_number, caught.value.step) == (1, step)
    assert saved[-1] == step == trainer.global_step


def test_descriptors_and_memory_are_flat_over_many_log_points(tmp_path):
    """1,000 of them, through the files that a run has."""
    trainer = CountingTrainer()
    folder = RunFolder(str(tmp_path))
    log = MetricsLog(folder, StandInOptimizer(), from_step=0, log_steps=1)
    counts, memory = [], []

    def write(step, scalars):
        log.log(step, scalars)
        if step in (100, 1000):
            counts.append(len(os.listdir("/proc/self/fd")))
            memory.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)

    with StopRequest() as stop:
        loop.train(
            trainer,
            plan(log_steps=1, checkpoint_steps=2000, train_steps=1000),
            save=lambda step: None,
            log=write,
            check=lambda: None,
            progress=Progress(
                total_steps=1000, global_batch_size=4, stream=io.StringIO()
            ),
            stop=stop,
            startup=StartupClock(),
            profiler=Profiler((), "", writes=False),
        )
    log.close()
    assert counts[0] == counts[1]
    print(f"{(memory[1] - memory[0]) / 900:.2f} KB a log point")


def test_progress_line_says_all_that_was_asked():
    trainer = CountingTrainer()
    run(trainer)
    line = next(x for x in trainer.text.splitlines() if "step 10/21" in x)
    for part in (
        "loss 1.000",
        "contrast 50.0%",
        "images/s",
        "input wait",
        "left 0:00:00",
    ):
        assert part in line


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_progress_redraws_on_a_terminal(monkeypatch):
    monkeypatch.setattr("simclr_tf.train.progress._COLUMNS", 100)
    stream = Terminal()
    progress = Progress(total_steps=9, global_batch_size=2, stream=stream)
    progress.ran(steps=3, seconds=2.0, wait_seconds=0.5)
    scalars = {
        "train/contrast_loss": 2.0,
        "train/contrast_acc": 0.25,
        "train/supervised_acc": 0.75,
        **progress.take_rates(),
    }
    progress.show(3, scalars)
    progress.close()
    text = stream.getvalue()
    assert text.startswith("\r") and text.endswith("\n")
    assert "probe 75.0%" in text
    assert "3 images/s" in text
    assert "input wait 25%" in text
    assert "left 0:00:04" in text  # 6 steps of 2 images at 3 a second
    assert "FLOP" not in text


@pytest.mark.parametrize("columns", [10, 40, 80, 100, 200])
def test_progress_fits_the_terminal(columns, monkeypatch):
    monkeypatch.setattr("simclr_tf.train.progress._COLUMNS", columns)
    stream = Terminal()
    progress = Progress(
        total_steps=900_000,
        global_batch_size=4096,
        flops_per_image=1e12,
        stream=stream,
    )
    for step in (123_456, 9):
        progress.ran(steps=3, seconds=2.0, wait_seconds=0.5)
        scalars = {
            "train/contrast_loss": 12.0,
            "train/contrast_acc": 0.25,
            "train/supervised_acc": 0.75,
            **progress.take_rates(),
        }
        progress.show(step, scalars)
    lines = stream.getvalue().split("\r")[1:]
    assert len(lines) == 2 and max(map(len, lines)) < columns
    assert lines[0].startswith("step 123456/900000"[: columns - 1])
    assert ("FLOP" in lines[0]) == (columns == 200)


@pytest.mark.parametrize(
    ("flops_per_image", "shown"),
    [(5e9, "15 GFLOP/s"), (4e12 / 3, "4 TFLOP/s")],
)
def test_progress_says_the_arithmetic(flops_per_image, shown):
    stream = io.StringIO()
    progress = Progress(
        total_steps=9,
        global_batch_size=2,
        flops_per_image=flops_per_image,
        stream=stream,
    )
    progress.ran(steps=3, seconds=2.0, wait_seconds=0.5)
    rates = progress.take_rates()
    assert rates["flops_per_second"] == pytest.approx(3 * flops_per_image)
    progress.show(
        3, {"train/contrast_loss": 2, "train/contrast_acc": 0} | rates
    )
    assert shown in stream.getvalue()
