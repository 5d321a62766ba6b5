"""For Keras 3: model.keras, of Keras' own layers, so that safe mode takes it.

    keras.models.load_model("model.keras")

Safe mode loads no layer of anybody else and no Lambda. Our BatchNorm is Keras'
in inference; of selective kernels the two streams become two convolutions,
each with its half of the channels.
"""

import os
import re
from collections.abc import Callable

import numpy as np

from simclr_tf.convert.network import Architecture, Network, Outputs

_BLOCK = re.compile(r"group\d+_block\d+")
_NUMBER = re.compile(r"\d+")
_EPSILON = 1e-5  # of our BatchNorm
_FILE = "model.keras"
FILES = {_FILE: "network and weights, of Keras' own layers"}
USE = f"""import keras  # Keras 3

model = keras.models.load_model("{_FILE}")
features = model(images)["features"]
"""
USE_LOGITS = 'logits = model(images)["logits"]\n'


def refusal(network: Architecture) -> None:
    """Nothing: Keras' layers make all."""
    del network


def write(network: Network, folder: str, **_) -> None:
    """Writes model.keras; what is beside it says the rest."""
    twin = _Twin(network)
    model = twin.model()
    model.save(os.path.join(folder, _FILE))


def readers(folder: str) -> dict[str, Callable[[np.ndarray], Outputs]]:
    """What Keras 3 makes of the file, in safe mode."""
    keras = _keras()
    model = keras.models.load_model(
        os.path.join(folder, _FILE), compile=False, safe_mode=True
    )

    def call(images):
        found = model(images, training=False)
        return {
            name: keras.ops.convert_to_numpy(value)
            for name, value in found.items()
        }

    return {_FILE: call}


def _keras():
    """Keras 3, which is not the Keras of this library (tf_keras)."""
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    import keras

    return keras


class _Twin:
    """The network of `models.resnet`, layer by layer, from its weights.

    Layers have our names; how large one is, and whether it is there at all,
    its weights say.
    """

    def __init__(self, network: Network):
        self._keras = _keras()
        self._layers = self._keras.layers
        self._shape = network.architecture
        self._weights = network.weights
        self._values = {}  # layer -> what `set_weights` takes

    def model(self):
        shape = self._shape
        size = shape.image_size
        images = self._keras.Input(
            [size, size, shape.num_channels], name="images"
        )
        x = self._stem(images)
        for name in _blocks(self._weights):
            x = self._block(x, name)
        h = self._layers.GlobalAveragePooling2D(name="features")(x)
        outputs = {"features": h}
        if self._shape.num_classes:
            outputs["logits"] = self._logits(h)
        model = self._keras.Model(images, outputs, name="simclr")
        for name, values in self._values.items():
            model.get_layer(name).set_weights(values)
        return model

    def _stem(self, x):
        if "stem_conv/kernel" in self._weights:
            strides = 1 if self._shape.has_small_stem else 2
            x = self._norm(self._conv(x, "stem_conv", strides), "stem_norm")
        else:
            for i in (1, 2, 3):
                x = self._conv(x, f"stem_conv{i}", 2 if i == 1 else 1)
                x = self._norm(x, f"stem_norm{i}")
        if self._shape.has_small_stem:
            return x
        return self._layers.MaxPooling2D(
            3, 2, padding="same", name="stem_pool"
        )(x)

    def _block(self, x, name):
        starts = name.endswith("_block0")
        strides = 2 if starts and not name.startswith("group1_") else 1
        shortcut = self._shortcut(x, strides, name) if starts else x
        if not self._shape.has_bottlenecks:
            x = self._conv(x, f"{name}_conv1", strides)
            x = self._norm(x, f"{name}_norm1")
            x = self._conv(x, f"{name}_conv2")
            x = self._norm(x, f"{name}_norm2", relu=False)
        else:
            x = self._norm(self._conv(x, f"{name}_conv1"), f"{name}_norm1")
            if self._shape.sk_ratio:
                x = self._selective_kernel(x, strides, f"{name}_sk")
            else:
                x = self._conv(x, f"{name}_conv2", strides)
                x = self._norm(x, f"{name}_norm2")
            x = self._conv(x, f"{name}_conv3")
            x = self._norm(x, f"{name}_norm3", relu=False)
        if self._shape.se_ratio:
            gate = self._pool(x, f"{name}_se_pool")
            gate = self._conv(gate, f"{name}_se_reduce", activation="relu")
            gate = self._conv(gate, f"{name}_se_expand", activation="sigmoid")
            x = self._layers.Multiply(name=f"{name}_se_scale")([x, gate])
        x = self._layers.Add(name=f"{name}_add")([x, shortcut])
        return self._layers.ReLU(name=f"{name}_relu")(x)

    def _shortcut(self, x, strides, name):
        name = f"{name}_shortcut"
        if self._shape.sk_ratio:
            if strides > 1:
                x = self._layers.ZeroPadding2D(
                    ((0, 1), (0, 1)), name=f"{name}_pad"
                )(x)
            x = self._layers.AveragePooling2D(
                2,
                strides,
                padding="same" if strides == 1 else "valid",
                name=f"{name}_pool",
            )(x)
            strides = 1
        x = self._conv(x, f"{name}_conv", strides)
        return self._norm(x, f"{name}_norm", relu=False)

    def _selective_kernel(self, x, strides, name):
        first, second = (
            self._norm(
                self._conv(x, f"{name}_conv", strides, half=half),
                f"{name}_norm",
                half=half,
            )
            for half in (0, 1)
        )
        pools = [
            self._pool(stream, f"{name}_pool{i}")
            for i, stream in enumerate((first, second), 1)
        ]
        gate = self._layers.Add(name=f"{name}_sum")(pools)
        gate = self._conv(gate, f"{name}_gate_conv1")
        gate = self._norm(gate, f"{name}_gate_norm")
        # A softmax over two is the logistic function of their difference.
        kernel = self._weights[f"{name}_gate_conv2/kernel"]
        margin = np.subtract(*np.split(kernel, 2, axis=-1))
        mixed = [
            self._layers.Multiply(name=f"{name}_scale{i}")(
                [
                    stream,
                    self._conv_of(
                        gate, [sign * margin], f"{name}_gate{i}", 1, "sigmoid"
                    ),
                ]
            )
            for i, (stream, sign) in enumerate(((first, 1), (second, -1)), 1)
        ]
        return self._layers.Add(name=f"{name}_mix")(mixed)

    def _logits(self, x):
        for j, units in enumerate(self._shape.projection, 1):
            name = f"projection_head/dense{j}"
            x = self._dense(x, name, units, use_bias=False)
            whole = self._shape.projection_is_whole
            last = whole and j == len(self._shape.projection)
            x = self._norm(x, f"projection_head/norm{j}", relu=not last)
        return self._dense(x, "linear_head", self._shape.num_classes)

    def _dense(self, x, name, units, *, use_bias=True):
        of_keras = name.replace("/", "_")
        self._values[of_keras] = [
            self._weights[f"{name}/{parameter}"]
            for parameter in ("kernel", "bias")[: 1 + use_bias]
        ]
        return self._layers.Dense(units, use_bias=use_bias, name=of_keras)(x)

    def _conv(self, x, name, strides=1, activation=None, half=None):
        values = [self._weights[f"{name}/kernel"]]
        if f"{name}/bias" in self._weights:
            values.append(self._weights[f"{name}/bias"])
        if half is not None:
            values = [np.split(v, 2, axis=-1)[half] for v in values]
            name = f"{name}_{half + 1}"
        return self._conv_of(x, values, name, strides, activation)

    def _conv_of(self, x, values, name, strides, activation):
        side, *_, filters = values[0].shape
        if strides > 1 and side > 1:
            x = self._layers.ZeroPadding2D((side - 1) // 2, name=f"{name}_pad")(
                x
            )
        self._values[name] = values
        return self._layers.Conv2D(
            filters,
            side,
            strides,
            padding="same" if strides == 1 else "valid",
            use_bias=len(values) == 2,
            activation=activation,
            name=name,
        )(x)

    def _norm(self, x, name, *, relu=True, half=None):
        gamma = self._weights[f"{name}/gamma"]
        values = [
            gamma,
            self._weights.get(f"{name}/beta", np.zeros_like(gamma)),
            self._weights[f"{name}/moving_mean"],
            self._weights[f"{name}/moving_variance"],
        ]
        name = name.replace("/", "_")
        if half is not None:
            values = [np.split(v, 2)[half] for v in values]
            name = f"{name}_{half + 1}"
        self._values[name] = values
        x = self._layers.BatchNormalization(
            momentum=self._shape.bn_momentum, epsilon=_EPSILON, name=name
        )(x)
        return self._layers.ReLU(name=f"{name}_relu")(x) if relu else x

    def _pool(self, x, name):
        return self._layers.GlobalAveragePooling2D(keepdims=True, name=name)(x)


def _blocks(weights) -> list[str]:
    """ "group1_block0", ...: in their order."""
    found = {name[0] for w in weights if (name := _BLOCK.match(w))}
    return sorted(found, key=lambda n: tuple(map(int, _NUMBER.findall(n))))
