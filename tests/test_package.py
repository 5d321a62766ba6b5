"""`import simclr_tf`: light, lazy, and before or after TensorFlow."""

import os
import subprocess
import sys

import pytest

import simclr_tf

LEGACY = "TF_USE_LEGACY_KERAS"
USES_OURS = """
import numpy as np
from simclr_tf import models
import tensorflow as tf
encoder = models.resnet(depth=10, width=0.1, image_size=8)
model = tf.keras.Sequential([encoder, tf.keras.layers.Dense(3)])
print(model(np.ones([2, 8, 8, 3], "float32")).shape)
"""


def python(code, **environment):
    inherited = {k: v for k, v in os.environ.items() if k != LEGACY}
    return subprocess.run(
        [sys.executable, "-c", code],
        env={**inherited, "TF_CPP_MIN_LOG_LEVEL": "3", **environment},
        capture_output=True,
        text=True,
        timeout=120,
    )


def slowly(*cases):
    """Each is a process that imports TensorFlow."""
    return [pytest.param(case, marks=pytest.mark.slow) for case in cases]


@pytest.mark.parametrize(
    "first",
    [
        "",
        *slowly(
            "import tensorflow as tf",
            "from tensorflow import keras",
            "import keras",
            "import tf_keras",
            "import orbit",
        ),
    ],
)
def test_any_order_that_leaves_tf_keras_alone_works(first):
    done = python(f"{first}\nimport simclr_tf\n{USES_OURS}")
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.strip() == "(2, 3)"


@pytest.mark.parametrize(
    "first",
    [
        "import tensorflow as tf; tf.keras.layers",
        *slowly(
            "from tensorflow.keras import layers",
            "from tensorflow import keras; keras.Model",
        ),
    ],
)
def test_tf_keras_in_use_as_keras_3_is_one_line(first):
    done = python(f"{first}\nimport simclr_tf")
    last = done.stderr.strip().splitlines()[-1]
    assert done.returncode == 1
    assert last.startswith("ImportError: simclr_tf needs tf_keras")
    assert "import simclr_tf before" in last and f"{LEGACY}=1" in last
    # With what the line says, it works.
    done = python(f"{first}\nimport simclr_tf\n{USES_OURS}", **{LEGACY: "1"})
    assert done.returncode == 0, done.stderr[-2000:]


def test_keras_3_by_choice_is_one_line():
    done = python("import simclr_tf", **{LEGACY: "0"})
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("ImportError: simclr_tf needs tf_keras")
    assert f"{LEGACY}=0" in last


def test_importing_it_imports_nothing_else():
    done = python(
        "import sys\nimport simclr_tf\n"
        "print([m for m in ('tensorflow', 'numpy', 'tf_keras', 'keras', "
        "'simclr_tf.config') if m in sys.modules])"
    )
    assert done.stdout.strip() == "[]", done.stderr


def test_every_attribute_that_it_lists_is_there():
    for name in dir(simclr_tf):
        assert getattr(simclr_tf, name) is not None, name
    assert {"load", "views", "features", "knn_accuracy", "data"} <= {
        *dir(simclr_tf)
    }
    with pytest.raises(AttributeError, match=r"'simclr_tf' has no .*'nothing'"):
        simclr_tf.nothing  # noqa: B018
