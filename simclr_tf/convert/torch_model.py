"""A SimCLR encoder in PyTorch. Needs torch and safetensors, nothing else.

    from model import load

    model = load(".")                 # the folder that this file lies in
    features = model.features(images)   # float32[N, D]
    logits = model(images)              # of a classifier; else the features

Images are float32[N, C, H, W] in [0, 1], without normalisation; preprocess.py
makes them. C is 3, RGB, unless config.json has other num_channels. Written by
simclr_tf (Apache-2.0), whose models/resnet.py this follows layer by layer.
"""

import json
import pathlib

import torch
from torch import nn
from torch.nn import functional

_BLOCKS = {
    10: (1, 1, 1, 1),
    18: (2, 2, 2, 2),
    34: (3, 4, 6, 3),
    50: (3, 4, 6, 3),
    101: (3, 4, 23, 3),
    152: (3, 8, 36, 3),
    200: (3, 24, 36, 3),
}


def load(folder, device="cpu"):
    """The model of a folder, in inference mode."""
    from safetensors.torch import load_file

    folder = pathlib.Path(folder)
    options = json.loads((folder / "config.json").read_text())["model"]
    model = Encoder(**options)
    model.load_state_dict(load_file(str(folder / "model.safetensors")))
    return model.to(device).eval()


class Encoder(nn.Module):
    """The encoder and, where num_classes is above 0, a classifier on it.

    Args:
        depth, width: of the ResNet; a width multiplies every channel count.
        num_channels: C of the images.
        small_stem: a 3x3 convolution of stride 1, without a pool.
        sk_ratio: above 0, selective kernels, and ResNet-D's stem and
            shortcuts.
        se_ratio: above 0, squeeze and excitation.
        projection: units of the layers between features and classifier.
        projection_is_whole: whether the last of them has no ReLU.
        num_classes: of the classifier.
        bn_momentum: weight of the present in BN's moving averages.
    """

    def __init__(
        self,
        depth,
        width=1.0,
        num_channels=3,
        small_stem=False,
        sk_ratio=0.0,
        se_ratio=0.0,
        projection=(),
        projection_is_whole=False,
        num_classes=0,
        bn_momentum=0.1,
    ):
        super().__init__()
        self.stem = Stem(num_channels, width, small_stem, sk_ratio > 0)
        channels = _scaled(64, width)
        groups = []
        for i, count in enumerate(_BLOCKS[depth]):
            filters, blocks = _scaled(64 * 2**i, width), []
            for j in range(count):
                stride = 2 if i > 0 and j == 0 else 1
                blocks.append(
                    Block(channels, filters, stride, j == 0, depth >= 50,
                          sk_ratio, se_ratio)
                )  # fmt: skip
                channels = blocks[-1].channels
            groups.append(nn.Sequential(*blocks))
        self.groups = nn.ModuleList(groups)
        self.num_features = width = channels
        self.projection = nn.ModuleList()
        for units in projection:
            self.projection.append(Projection(width, units))
            width = units
        self.projection_is_whole = projection_is_whole
        if num_classes:
            self.linear_head = nn.Linear(width, num_classes)
        self.num_classes = num_classes
        for module in self.modules():
            if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
                module.momentum = bn_momentum

    def features(self, images):
        x = self.stem(images)
        for group in self.groups:
            x = group(x)
        return x.mean((2, 3))

    def classify(self, features):
        x = features
        for i, layer in enumerate(self.projection, 1):
            x = layer(x)
            if i < len(self.projection) or not self.projection_is_whole:
                x = functional.relu(x)
        return self.linear_head(x)

    def forward(self, images):
        features = self.features(images)
        return self.classify(features) if self.num_classes else features


class Stem(nn.Module):
    def __init__(self, inputs, width, small, resnet_d):
        super().__init__()
        filters, half = _scaled(64, width), _scaled(32, width)
        self.pools = not small
        if small:
            layers = [("", _conv(inputs, filters, 3))]
        elif resnet_d:
            layers = [
                ("1", _conv(inputs, half, 3, 2)),
                ("2", _conv(half, half, 3)),
                ("3", _conv(half, filters, 3)),
            ]
        else:
            layers = [("", _conv(inputs, filters, 7, 2))]
        self.order = [number for number, _ in layers]
        for number, conv in layers:
            self.add_module(f"stem_conv{number}", conv)
            norm = nn.BatchNorm2d(conv.out_channels)
            self.add_module(f"stem_norm{number}", norm)

    def forward(self, x):
        for number in self.order:
            conv = getattr(self, f"stem_conv{number}")
            norm = getattr(self, f"stem_norm{number}")
            x = functional.relu(norm(conv(x)))
        if not self.pools:
            return x
        # TensorFlow's "same": an even side is padded at its end only. After
        # the ReLU, 0 is as low as any padding.
        (top, left) = (side % 2 for side in x.shape[2:])
        x = functional.pad(x, (left, 1, top, 1))
        return functional.max_pool2d(x, 3, 2)


class Block(nn.Module):
    def __init__(
        self, inputs, filters, stride, projects, bottleneck, sk_ratio, se_ratio
    ):
        super().__init__()
        self.bottleneck, self.projects = bottleneck, projects
        self.selects = bottleneck and sk_ratio > 0
        self.channels = channels = 4 * filters if bottleneck else filters
        if projects:
            # ResNet-D pools in front of the shortcut's convolution.
            self.pool_stride = stride if sk_ratio > 0 else 0
            shortcut_stride = 1 if sk_ratio > 0 else stride
            self.shortcut_conv = _conv(inputs, channels, 1, shortcut_stride)
            self.shortcut_norm = nn.BatchNorm2d(channels)
        if not bottleneck:
            self.conv1 = _conv(inputs, filters, 3, stride)
            self.conv2 = _conv(filters, filters, 3)
        else:
            self.conv1 = _conv(inputs, filters, 1)
            self.conv3 = _conv(filters, channels, 1)
            self.norm3 = nn.BatchNorm2d(channels)
        self.norm1 = nn.BatchNorm2d(filters)
        if self.selects:
            hidden = max(int(filters * sk_ratio), 32)
            self.sk_conv = _conv(filters, 2 * filters, 3, stride)
            self.sk_norm = nn.BatchNorm2d(2 * filters)
            self.sk_gate_conv1 = _conv(filters, hidden, 1)
            self.sk_gate_norm = nn.BatchNorm2d(hidden)
            self.sk_gate_conv2 = _conv(hidden, 2 * filters, 1)
        else:
            self.norm2 = nn.BatchNorm2d(filters)
            if bottleneck:
                self.conv2 = _conv(filters, filters, 3, stride)
        self.excites = se_ratio > 0
        if self.excites:
            hidden = max(1, int(filters * se_ratio))
            self.se_reduce = nn.Conv2d(channels, hidden, 1)
            self.se_expand = nn.Conv2d(hidden, channels, 1)

    def forward(self, x):
        shortcut = self._shortcut(x) if self.projects else x
        x = functional.relu(self.norm1(self.conv1(x)))
        if self.selects:
            x = self._select(x)
        else:
            x = self.norm2(self.conv2(x))
            x = functional.relu(x) if self.bottleneck else x
        if self.bottleneck:
            x = self.norm3(self.conv3(x))
        if self.excites:
            gate = functional.relu(self.se_reduce(x.mean((2, 3), True)))
            x = x * torch.sigmoid(self.se_expand(gate))
        return functional.relu(x + shortcut)

    def _shortcut(self, x):
        if self.pool_stride == 2:
            x = functional.pad(x, (0, 1, 0, 1))
            x = functional.avg_pool2d(x, 2, 2)
        elif self.pool_stride == 1:
            # A mean over what is inside only: the border counts twice.
            x = functional.pad(x, (0, 1, 0, 1), mode="replicate")
            x = functional.avg_pool2d(x, 2, 1)
        return self.shortcut_norm(self.shortcut_conv(x))

    def _select(self, x):
        streams = functional.relu(self.sk_norm(self.sk_conv(x)))
        first, second = streams.chunk(2, 1)
        gate = first.mean((2, 3), True) + second.mean((2, 3), True)
        gate = functional.relu(self.sk_gate_norm(self.sk_gate_conv1(gate)))
        to_first, to_second = self.sk_gate_conv2(gate).chunk(2, 1)
        # A softmax over two is the logistic function of their difference.
        margin = to_first - to_second
        return torch.sigmoid(margin) * first + torch.sigmoid(-margin) * second


class Projection(nn.Module):
    def __init__(self, inputs, units):
        super().__init__()
        self.dense = nn.Linear(inputs, units, bias=False)
        self.norm = nn.BatchNorm1d(units)

    def forward(self, x):
        return self.norm(self.dense(x))


def _conv(inputs, outputs, size, stride=1):
    return nn.Conv2d(inputs, outputs, size, stride, size // 2, bias=False)


def _scaled(channels, width):
    return max(1, round(channels * width))
