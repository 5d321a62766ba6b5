"""One process, several virtual CPUs: replicas can be tested anywhere."""

import gc
import os
import pathlib
import time

import simclr_tf  # noqa: F401  sets TF_USE_LEGACY_KERAS before TF is imported

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np
import pytest
import tensorflow as tf

NUM_VIRTUAL_CPUS = 4
# They take minutes: if begun last, one process would end long after the other.
BEGUN_FIRST = (
    "test_train_replicas.py",
    "test_jobs_kill.py",
    "test_tpu_libtpu.py",
    "test_tpu_multi_worker.py",
    "test_jobs_ram.py",
)


def pytest_configure(config):
    del config
    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(
        cpu, [tf.config.LogicalDeviceConfiguration()] * NUM_VIRTUAL_CPUS
    )


def pytest_collection_finish(session):
    """What was imported stays; looking through it again and again is slow."""
    del session
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def garbage_goes_at_once():
    """Graphs of one run are freed in 0.3 s, those of three in 8 s."""
    start = time.process_time()
    yield
    if time.process_time() - start > 1:
        gc.collect()


@pytest.fixture
def rng():
    return np.random.default_rng(20020505)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    """Long files first. What runs on the mesh is a test of GPUs, too."""
    items.sort(key=lambda item: item.path.name not in BEGUN_FIRST)
    for item in items:
        if "mesh" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.gpu)


@pytest.fixture(scope="session")
def mesh(request):
    """MirroredStrategy over four virtual CPUs: the code that 4 GPUs run.

    And run, under `pytest -m gpu`, where there are so many.
    """
    kind = "CPU"
    if request.config.option.markexpr == "gpu":
        kind, found = "GPU", len(tf.config.list_logical_devices("GPU"))
        if found < NUM_VIRTUAL_CPUS:
            pytest.skip(f"{found} GPUs here; needs {NUM_VIRTUAL_CPUS}")
    return tf.distribute.MirroredStrategy(
        [f"{kind}:{i}" for i in range(NUM_VIRTUAL_CPUS)]
    )


@pytest.fixture(scope="session")
def fashion_mnist_dir():
    """Where Fashion-MNIST is prepared for TFDS; skips where it is not."""
    beside = pathlib.Path(__file__).parents[2] / "shared" / "tfds"
    place = os.environ.get("SIMCLR_TF_TFDS", str(beside))
    if not os.path.isdir(os.path.join(place, "fashion_mnist")):
        pytest.skip(f"no fashion_mnist in {place}; set SIMCLR_TF_TFDS")
    return place
