"""Signals to a process that is busy: in Python, in C, saving, leaving."""

import signal
import subprocess
import sys
import time

import pytest

from simclr_tf.train import stopping
from tests.processes import ROOT

# C code that does not come back to Python, as TensorFlow's: Python's handlers
# wait for it.
_PROGRAM = """
import ctypes, sys, time, signal, os
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)
from simclr_tf import errors
from simclr_tf.train import stopping
def in_c(seconds):
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        ctypes.CDLL(None).usleep(int(min(left, 0.9) * 1e6))
def in_c_for_long():
    # One call: sleep is ended by signals, a wait for a mutex is not.
    libc = ctypes.CDLL(None)
    mutex = ctypes.create_string_buffer(256)
    libc.pthread_mutex_lock(mutex)
    libc.pthread_mutex_lock(mutex)
print("ready", flush=True)
try:
    with stopping.StopRequest() as stop:
        stop.grace_seconds = 2
        stopping.PROMPT_SECONDS = 2
        stop.outcome = "after step 3, which is saved."
        {body}
except errors.Stopped as stopped:
    print("raised", flush=True)
    os._exit(128 + stopped.signal_number)
print("end", flush=True)
"""


def start(body):
    process = subprocess.Popen(
        [sys.executable, "-c", _PROGRAM.replace("{body}", body)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )
    assert process.stdout.readline() == "ready\n"
    time.sleep(0.3)
    return process


def finish(process):
    started = time.monotonic()
    out, err = process.communicate(timeout=30)
    return process.returncode, out, err, time.monotonic() - started


SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


@pytest.mark.parametrize("number", SIGNALS)
def test_where_nothing_is_to_be_saved_it_is_raised(number):
    process = start("time.sleep(60)")
    process.send_signal(number)
    status, out, _, seconds = finish(process)
    assert (status, out) == (128 + number, "raised\n")
    assert seconds < 2


@pytest.mark.parametrize("number", SIGNALS)
def test_where_something_is_saved_it_waits(number):
    process = start(
        "with stop.deferred():\n            time.sleep(1.0); print('saved')"
    )
    process.send_signal(number)
    status, out, err, _ = finish(process)
    assert (status, out) == (128 + number, "saved\nraised\n")
    assert f"{number.name}: finishing the step" in err


@pytest.mark.parametrize("defer", ["with stop.deferred(): ", ""])
def test_the_grace_ends_where_c_does_not_come_back(defer):
    process = start(f"{defer}in_c_for_long()")
    process.send_signal(signal.SIGTERM)
    status, out, err, seconds = finish(process)
    assert (status, out) == (128 + signal.SIGTERM, "")
    assert 1.5 < seconds < 6
    assert err.rstrip().endswith(
        "Stopped by SIGTERM after step 3, which is saved."
    )


@pytest.mark.parametrize("second", SIGNALS)
def test_a_second_signal_leaves_at_once(second):
    process = start(
        "stop.grace_seconds = 60\n        with stop.deferred(): in_c_for_long()"
    )
    process.send_signal(signal.SIGTERM)
    time.sleep(1)
    process.send_signal(second)
    status, _, err, seconds = finish(process)
    assert status == 128 + signal.SIGTERM
    assert seconds < 2
    assert "A second signal: left at once." in err


def test_one_signal_passed_on_twice_is_one():
    # A shell that loses its terminal does, and so do launchers.
    process = start(
        "with stop.deferred():\n            time.sleep(1.5); print('saved')"
    )
    process.send_signal(signal.SIGHUP)
    process.send_signal(signal.SIGTERM)
    status, out, _, _ = finish(process)
    assert (status, out) == (128 + signal.SIGHUP, "saved\nraised\n")


def test_a_part_of_what_is_deferred_may_be_interrupted():
    process = start(
        "with stop.deferred():\n            with stop.prompt(): time.sleep(60)"
    )
    process.send_signal(signal.SIGTERM)
    status, out, _, seconds = finish(process)
    assert (status, out) == (128 + signal.SIGTERM, "raised\n")
    assert seconds < 2


def test_in_a_destructor_it_is_not_lost():
    process = start(
        "\n        class C:\n"
        "            def __del__(self): time.sleep(60)\n"
        "        c = C(); del c; time.sleep(60)"
    )
    process.send_signal(signal.SIGTERM)
    status, _, err, seconds = finish(process)
    assert status == 128 + signal.SIGTERM
    assert "Traceback" not in err and "Stopped by SIGTERM" in err
    assert seconds < 2


def test_what_nohup_ignores_stays_ignored():
    process = start(
        "\n        signal.signal(signal.SIGHUP, signal.SIG_IGN)\n"
        "        with stopping.StopRequest() as inner:\n"
        "            time.sleep(1.5)"
    )
    process.send_signal(signal.SIGHUP)
    status, out, _, _ = finish(process)
    assert (status, out) == (0, "end\n")


def test_until_a_signal_comes_it_takes_no_processor_time():
    """The thread that listens is there for as long as a run."""
    with stopping.StopRequest():
        began = time.process_time()
        time.sleep(0.5)
        assert time.process_time() - began < 0.05
