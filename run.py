"""SimCLR on whatever hardware is there: `python run.py --help`."""

import contextlib
import functools
import os
import sys
import time
import traceback

import simclr_tf  # before TensorFlow: see its __init__
from simclr_tf import errors, terminal
from simclr_tf.train.stopping import StopRequest

_STARTED = time.monotonic()

# For a reader's terminal: without a GPU, TensorFlow logs as an error that there
# is none. What goes wrong in a run arrives as a Python exception.
_HAS_GPU = os.path.exists("/dev/nvidiactl")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2" if _HAS_GPU else "3")

# Exit statuses; see simclr_tf/jobs/table.py.
_FAULT, _USER_ERROR, _HALTED = 1, 2, 3

_REPORT = (
    "This is a fault of simclr_tf {version}, not of your command. Please "
    "report it, with the command and the lines above."
)


def main(argv: list[str]) -> int:
    """Runs a job; returns the exit status."""
    with StopRequest() as stop:
        try:
            return _run(argv, stop)
        except errors.Stopped as stopped:
            return _stopped(stop, stopped.signal_number)
        except BaseException as error:
            # What a signal interrupts may make another error of it.
            if stop.signal_number and not isinstance(error, errors.Halted):
                return _stopped(stop, stop.signal_number)
            return _failed(error)


def _failed(error: BaseException) -> int:
    """Says why a job did not reach its end; returns the exit status."""
    if isinstance(error, errors.UserError | errors.Halted):
        if os.environ.get("SIMCLR_TF_TRACEBACK"):
            traceback.print_exception(error)
        halted = isinstance(error, errors.Halted)
        line = " ".join(str(error).split())
        return _say(line, _HALTED if halted else _USER_ERROR)
    if not isinstance(error, Exception):
        raise error
    traceback.print_exception(error)
    report = _REPORT.format(version=simclr_tf.__version__)
    print(report, file=sys.stderr)
    return _FAULT


def _stopped(stop: StopRequest, number: int) -> int:
    print(stop.sentence(number))
    return 128 + number


def _run(argv: list[str], stop: StopRequest) -> int:
    from flags import definitions
    from simclr_tf.config import resolve

    parsed = definitions.parse(argv)
    if parsed.wants_help:
        print(definitions.help_text(parsed.given))
        return 0
    resolve_with = functools.partial(
        resolve.resolve,
        parsed.given,
        defaults=parsed.defaults,
        inherited=_inherited(parsed.given),
        from_files=parsed.from_files,
    )
    resolved = resolve_with()
    if resolved.config.optim.micro_batch_size:
        # On a CPU, TensorFlow's allocator keeps what it was ever given, and
        # large batches leave it in pieces: twice the memory that is in use.
        os.environ.setdefault("TF_ONEDNN_USE_SYSTEM_ALLOCATOR", "1")
    if measured := _measured(resolved, parsed.defaults):
        resolved = resolve_with(measured=measured)
    for name in parsed.ignored:
        print(f"--{name} belongs to the TF1 code: known, and without effect.")
    _say_options(resolved)
    # TensorFlow takes seconds to import; what is wrong with the flags has been
    # said by now.
    from simclr_tf import endings
    from simclr_tf.jobs import requests, table

    stop.grace_seconds = resolved.config.output.grace_seconds
    request = requests.Request(
        resolved,
        place=functools.partial(_place, stop),
        compile_step=_compile_step,
        started=_STARTED,
        stop=stop,
        program=(sys.executable, os.path.abspath(__file__)),
    )
    try:
        job = table.make(request)
        print(job.describe(), flush=True)
        return job.run()
    except errors.UserError:
        raise
    except Exception as error:
        if line := endings.in_words(error, resolved.config):
            raise errors.Halted(line) from error
        raise


def _measured(resolved, defaults: str):
    """What a folder's recipe makes of its pictures and of this machine."""
    config = resolved.config
    if config.data.dataset != "folder" or defaults != "paper":
        return {}
    if config.job.mode == "study":  # each of its runs measures for itself
        return {}
    from simclr_tf.build import fitting

    return fitting.folder_options(resolved)


def _inherited(given):
    """What a checkpoint that is built upon decides."""
    follows = given.get("mode") == "eval"  # its folder says everything
    if follows or not given.get("checkpoint"):
        return {}
    from simclr_tf.build import inheritance

    return inheritance.of_checkpoint(given)


def _say_options(resolved) -> None:
    """What the run is; of a follower, its folder says it, and a study's
    commands are its own."""
    if resolved.config.job.mode == "study":
        return
    if resolved.config.output.verbose:
        print(resolved.table(), flush=True)
    elif resolved.config.job.mode != "eval":
        print(resolved.summary(), flush=True)
    if resolved.config.job.mode != "eval" and (
        departures := resolved.departures()
    ):
        print(
            "The paper and the official code differ in these defaults; the "
            "paper's are used (--defaults=official takes the others): "
            + ", ".join(departures),
            flush=True,
        )


def _place(stop: StopRequest, config):
    """The devices that a configuration asks for."""
    import tensorflow as tf

    from simclr_tf.errors import UserError
    from tpu.strategy import make_placement

    device, mode = config.device, config.job.mode
    if device.strategy == "multi_worker" and not mode.startswith("train"):
        raise UserError(
            f"--mode={mode} runs on one host. Leave --strategy=multi_worker "
            "out."
        )
    placement = make_placement(
        strategy=device.strategy,
        use_tpu=device.use_tpu,
        tpu_name=device.tpu_name,
        tpu_zone=device.tpu_zone,
        gcp_project=device.gcp_project,
        master=device.master,
        virtual_devices=device.virtual_devices,
        worker_timeout_seconds=device.worker_timeout_seconds,
    )
    stop.listen()
    if device.deterministic:
        tf.config.experimental.enable_op_determinism()
    print(placement.describe(), flush=True)
    return placement


def _compile_step(**options):
    from tpu.slice_compiler import SliceCompiler

    return SliceCompiler(**options)


def _say(message: str, status: int) -> int:
    print(f"error: {terminal.printable(message)}", file=sys.stderr)
    return status


def _exit(status: int) -> None:
    """Leaves without Python's and TensorFlow's clean-up, which waits for
    threads and for other workers, and is deaf to signals meanwhile."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    os._exit(status)


if __name__ == "__main__":
    terminal.keep_going()
    for stream in (sys.stdout, sys.stderr):
        terminal.guard(stream)
    _exit(main(sys.argv))
