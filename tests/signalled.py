"""Runs of run.py that get a signal at a chosen moment.

    python tests/signalled.py             a server, for many; see `Server`
    python tests/signalled.py SIGNAL FLAGS...    a signal amid the imports

Importing TensorFlow takes longer than the runs do. The server imports it once,
and forks for each: TensorFlow can be forked until it is used.
"""

import contextlib
import functools
import importlib
import json
import os
import pathlib
import signal
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

# Moment -> module, what is called at that moment, and at which of its calls.
MOMENTS = {
    "building": ("simclr_tf.build.network", "build_model", 1),
    "self-check": ("simclr_tf.train.self_check", "check", 1),
    "tracing": ("simclr_tf.train.step", "apply_gradients", 1),
    "training": ("simclr_tf.run_files.metrics_log", "MetricsLog.log", 2),
    "saving": ("simclr_tf.run_files.checkpoints", "Checkpoints.save", 1),
    "last save": ("simclr_tf.run_files.checkpoints", "Checkpoints.save", 2),
    "export": ("simclr_tf.convert.saved_model", "export", 1),
    "scoring": ("simclr_tf.jobs.result", "_head_scores", 1),
    "few labels": ("simclr_tf.jobs.result", "_few_label_scores", 1),
    "features": ("simclr_tf.evaluation.features", "labelled", 1),
    "regressions": (
        "simclr_tf.jobs.protocols.evaluate",
        "_Progress.__call__",
        2,
    ),
    "record": ("simclr_tf.evaluation.records", "write", 1),
    "embedding": ("simclr_tf.jobs.embed", "Embedding._write_features", 1),
    "following": ("simclr_tf.jobs.follow", "Follow._score", 1),
    "sweep": ("simclr_tf.jobs.protocols.transfer_finetune", "Sweep._train", 2),
}


class Server:
    """A context; `run` starts a run in a process of its own."""

    def __enter__(self):
        self._process = subprocess.Popen(
            [sys.executable, __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        )
        return self

    def __exit__(self, *_):
        self._process.communicate(timeout=60)

    def run(self, arguments, *, moment=None, number=0, plant=None):
        """Returns status, output, and seconds from the signal to the end: of
        the clock and of the processor.

        Args:
            arguments: of run.py.
            moment: of MOMENTS, when the signal is sent.
            number: of the signal.
            plant: name of a function of this module, called first.
        """
        asked = {
            "arguments": list(map(str, arguments)),
            "moment": moment,
            "number": int(number),
            "plant": plant,
        }
        self._process.stdin.write(json.dumps(asked) + "\n")
        self._process.stdin.flush()
        told = json.loads(self._process.stdout.readline())
        return told["status"], told["output"], told["seconds"]


def full_disk():
    """Files end after 200 kB, as the system would have it (EFBIG)."""
    import resource

    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))


def deleted_folder():
    """The folder goes when step 2 is logged."""
    import shutil

    from simclr_tf.run_files.metrics_log import MetricsLog

    log = MetricsLog.log

    def log_and_delete(self, step, scalars):
        log(self, step, scalars)
        if step == 2:
            shutil.rmtree(self._folder.path)

    MetricsLog.log = log_and_delete


def no_memory():
    """The first step asks for more than there is."""
    import tensorflow as tf

    from simclr_tf.train import step

    apply = step.apply_gradients

    def greedy(optimizer, gradients, variables):
        # Grows with a value that is known at run time only.
        side = tf.cast(tf.abs(gradients[0])[0, 0, 0, 0] * 0 + 2e7, tf.int32)
        huge = tf.random.stateless_uniform([side, side], [1, 2])
        with tf.control_dependencies([huge]):
            apply(optimizer, gradients, variables)

    step.apply_gradients = greedy


def _signal_at(moment, number, note):
    module, name, due = MOMENTS[moment]
    owner = importlib.import_module(module)
    *above, last = name.split(".")
    for part in above:
        owner = getattr(owner, part)
    before, calls = getattr(owner, last), 0

    @functools.wraps(before)
    def then(*args, **kwargs):
        nonlocal calls
        calls += 1
        if calls == due:
            note()
            os.kill(os.getpid(), number)
        return before(*args, **kwargs)

    setattr(owner, last, then)


def _child(asked, path):
    import run

    output = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(output, 1)
    os.dup2(output, 2)
    # A shell's background has it ignored.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    if asked["plant"]:
        globals()[asked["plant"]]()
    if asked["moment"]:
        _signal_at(
            asked["moment"],
            asked["number"],
            lambda: pathlib.Path(f"{path}.at").write_text(
                f"{time.monotonic()} {time.process_time()}"
            ),
        )
    run.terminal.keep_going()
    run._exit(run.main(["run.py", *asked["arguments"]]))


def _serve():
    import tempfile

    import tensorflow  # noqa: F401

    import run  # noqa: F401  before TensorFlow
    from simclr_tf.jobs import embed, follow, training  # noqa: F401
    from simclr_tf.jobs.protocols import (  # noqa: F401
        evaluate,
        transfer_finetune,
    )

    with tempfile.TemporaryDirectory() as folder:
        for line in sys.stdin:
            path = os.path.join(folder, "output")
            with contextlib.suppress(FileNotFoundError):
                os.remove(f"{path}.at")
            child = os.fork()
            if not child:
                _child(json.loads(line), path)
            _, status, used = os.wait4(child, 0)
            seconds = None
            if os.path.exists(f"{path}.at"):
                at, worked = pathlib.Path(f"{path}.at").read_text().split()
                seconds = (
                    time.monotonic() - float(at),
                    used.ru_utime + used.ru_stime - float(worked),
                )
            told = {
                "status": os.waitstatus_to_exitcode(status),
                "output": pathlib.Path(path).read_text(errors="replace"),
                "seconds": seconds,
            }
            print(json.dumps(told), flush=True)


class _AmidImports:
    """Sends the signal when TensorFlow imports a module of its own."""

    def __init__(self, number):
        self._number = number

    def find_spec(self, name, *_):
        if name == "tensorflow.python.framework.ops":
            os.kill(os.getpid(), self._number)


if __name__ == "__main__":
    if len(sys.argv) == 1:
        _serve()
    else:
        import run

        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.signal(signal.SIGHUP, signal.SIG_DFL)
        sys.meta_path.insert(0, _AmidImports(int(sys.argv[1])))
        run._exit(run.main(["run.py", *sys.argv[2:]]))
