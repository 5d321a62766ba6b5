"""Errors of disks, memory and other hosts, in words; faults stay faults."""

import errno
import os
import tempfile

import pytest
import tensorflow as tf

from simclr_tf import endings
from simclr_tf.config import resolve


def in_words(error, **given):
    return endings.in_words(error, resolve.resolve(given).config)


def op_error(kind, message):
    return kind(None, None, message)


STORAGE = [
    *(
        OSError(code, os.strerror(code), "/gone/ckpt-4.index")
        for code in (
            errno.ENOSPC,
            errno.EDQUOT,
            errno.EROFS,
            errno.EFBIG,
            errno.EIO,
            errno.ESTALE,
        )
    ),
    PermissionError(errno.EACCES, "Permission denied", "/gone/metrics.jsonl"),
    FileNotFoundError(errno.ENOENT, "No such file or directory", "/gone/a"),
    op_error(
        tf.errors.ResourceExhaustedError,
        "{{function_node __wrapped__SaveV2}} /gone/ckpt-4_temp/part-00000-of-"
        "00001.data; No space left on device [Op:SaveV2]",
    ),
    op_error(
        tf.errors.PermissionDeniedError,
        "/gone/metrics.jsonl; Permission denied",
    ),
    op_error(
        tf.errors.NotFoundError,
        "Failed to create a file: /gone/x; No such file or directory",
    ),
]


@pytest.mark.parametrize("error", STORAGE, ids=lambda e: str(e)[:40])
def test_storage(error):
    said = in_words(error, model_dir="/gone")
    assert said.startswith("--model_dir=/gone can no longer be written: ")
    assert "(/gone/" in said and "same command" in said and "\n" not in said


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        MemoryError("Unable to allocate 8.00 GiB for an array with shape (9,)"),
        OSError(errno.ENOMEM, "Cannot allocate memory"),
        op_error(
            tf.errors.ResourceExhaustedError,
            "Graph execution error:\n\nOOM when allocating tensor with shape"
            "[1024,1024,512] and type float on /job:localhost/replica:0/task:0"
            "/device:GPU:0 by allocator GPU_0_bfc",
        ),
        op_error(
            tf.errors.ResourceExhaustedError,
            "XLA:TPU compile permanent error. Ran out of memory in memory "
            "space hbm. Used 20.50G of 15.48G hbm.",
        ),
        op_error(tf.errors.UnknownError, "std::bad_alloc"),
    ],
    ids=lambda e: str(e)[:40],
)
def test_memory(error):
    said = in_words(error)
    assert said.startswith("Out of memory: ") and "\n" not in said
    assert "--train_batch_size" in said and "--image_size" in said
    assert "--mixed_precision" in said and "--micro_batch_size" in said


def test_memory_says_what_was_asked_for():
    text = (
        "OOM when allocating tensor with shape[1024,1024,512] and type float "
        "on /job:localhost/replica:0/task:0/device:GPU:0 by allocator GPU_0_bfc"
    )
    said = in_words(op_error(tf.errors.ResourceExhaustedError, text))
    assert "a float tensor [1024,1024,512], 2.0 GiB, on GPU:0" in said


def test_features_are_extracted_in_batches_of_their_own():
    said = in_words(MemoryError(), mode="embed", checkpoint="nowhere")
    assert "--eval_batch_size" in said and "--train_batch_size" not in said


def test_descriptors():
    said = in_words(OSError(errno.EMFILE, "Too many open files"))
    assert "ulimit -n" in said


LOST = "Collective ops is aborted by: {}\nThe error could be from a previous"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (
            "Graph execution error:\n\nThe following tasks are unhealthy "
            "(stopped sending heartbeats): /job:worker/replica:0/task:1",
            "worker 1 gave no sign of life",
        ),
        (
            "Graph execution error:\n\nfailed to connect to /job:worker/"
            "replica:0/task:0",
            "worker 0 cannot be reached",
        ),
        ("Graph execution error:\nConnection reset by peer", "was lost"),
        (
            "Aborted: simclr_tf: worker 0 left: no space :simclr_tf [..]",
            "worker 0 left: no space",
        ),
        (
            "simclr_tf: worker 0 left: Graph execution error: Connection reset "
            "by peer. Additional GRPC error information from remote target "
            "/job:worker/replica:0/task:1 :simclr_tf /job:worker/task:0",
            "worker 1 cannot be reached",
        ),
        ("Graph execution error:", "a sum over all hosts did not come about"),
    ],
)
def test_a_lost_host(text, reason):
    error = op_error(tf.errors.UnavailableError, text)
    said = in_words(error, strategy="multi_worker")
    assert reason in said and "Graph execution error" not in said
    assert in_words(error) is None  # a run of one process has lost nobody


def test_the_disk_for_temporary_files_is_another():
    place = os.path.join(tempfile.gettempdir(), "tmpx/ckpt_temp/part-0")
    error = op_error(
        tf.errors.ResourceExhaustedError, f"{place}; No space left on device"
    )
    said = in_words(error, model_dir="/gone")
    assert said.startswith("The folder TMPDIR=") and place in said
    inside = in_words(error, model_dir=os.path.dirname(place))
    assert inside.startswith("--model_dir=")


def test_the_full_disk_of_another_host_is_not_this_ones():
    said = in_words(
        op_error(
            tf.errors.AbortedError,
            "Graph execution error:\n\nCollective ops is aborted by: "
            "simclr_tf: worker 0 left: {{function_node __wrapped__SaveV2}} "
            "/gone/ckpt-1.index; No space left on device [Op:SaveV2] "
            ":simclr_tf\nThe error could be from a previous operation.",
        ),
        model_dir="/gone",
        strategy="multi_worker",
    )
    assert said.startswith(
        "another worker has gone, so this one stops: worker 0 left: "
        "/gone/ckpt-1.index; No space left on device. What was saved stays"
    )


@pytest.mark.parametrize(
    "error",
    [
        ValueError("shapes differ"),
        FileNotFoundError(errno.ENOENT, "No such file", "/elsewhere/x"),
        op_error(tf.errors.InvalidArgumentError, "/gone/x: shapes differ"),
        op_error(tf.errors.InternalError, "a bug"),
        KeyError("/gone"),
    ],
    ids=repr,
)
def test_a_fault_stays_a_fault(error):
    assert in_words(error, model_dir="/gone") is None


@pytest.mark.parametrize(
    ("path", "is_inside"),
    [
        ("run/x", True),
        (os.path.abspath("run/x"), True),
        ("/data/run/x", False),
        ("runs/x", False),
        ("brun/x", False),
        ("run.old/x", False),
    ],
)
def test_a_short_name_is_no_part_of_others(path, is_inside):
    denied = PermissionError(errno.EACCES, "Permission denied", path)
    told = op_error(tf.errors.PermissionDeniedError, f"{path}; {denied}")
    for error in (denied, told):
        assert bool(in_words(error, model_dir="run")) is is_inside
