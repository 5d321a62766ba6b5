"""run.py many times over, in processes that have TensorFlow already.

Importing TensorFlow takes longer than what a short run does.
"""

import multiprocessing
import os
import sys

_PATIENCE_SECONDS = 600
_forks = multiprocessing.get_context("forkserver")
_forks.set_forkserver_preload(["tests.forked_imports"])


def run(arguments, log):
    """Runs `run.py ARGUMENTS` in a new process.

    Args:
        arguments: after the program's name.
        log: the file that takes what it says.

    Returns:
        Its exit status, and what it said.
    """
    process = _forks.Process(target=_main, args=(arguments, str(log)))
    process.start()
    process.join(_PATIENCE_SECONDS)
    if process.exitcode is None:
        process.kill()
        process.join()
    with open(log) as file:
        return process.exitcode, file.read()


def _main(arguments, log):
    import run as program

    to = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(to, 1)
    os.dup2(to, 2)
    sys.stdout = os.fdopen(1, "w", buffering=1)
    sys.stderr = os.fdopen(2, "w", buffering=1)
    sys.argv = ["run.py", *arguments]
    status = program.main(sys.argv)
    sys.stdout.flush()
    os._exit(status)
