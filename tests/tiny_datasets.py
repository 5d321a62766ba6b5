"""Tiny data sets of real names, prepared as TFDS prepares the real ones.

What is written loads through `tfds.builder(name, data_dir=...)` offline, in
any process. Classes differ in colour and pattern, so a model can learn them.
"""

import contextlib
import io

import numpy as np
import tensorflow_datasets as tfds


def image_of(label, number, *, shape, rng):
    """uint8[H, W, C]: stripes whose colour and slant say the class."""
    height, width, channels = shape
    rows, columns = np.mgrid[:height, :width]
    slant = rows * ((label % 3) - 1) + columns * (label % 2) + number
    stripes = 60 * ((slant // 4) % 2)[..., np.newaxis]
    colour = 50 + (label * np.array([37, 91, 53, 17])[:channels]) % 120
    noise = rng.integers(0, 40, shape)
    return np.clip(stripes + colour + noise, 0, 255).astype(np.uint8)


def texture(label, number, *, shape, rng):
    """uint8[H, W, C]: noise whose amplitude falls with frequency, as in
    photographs; no two pixels agree, so no two units of a ReLU do."""
    del label, number
    height, width, channels = shape
    frequency = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.fftfreq(width))
    frequency[0, 0] = 1 / height
    noise = np.fft.fft2(rng.standard_normal((channels, height, width)))
    image = np.fft.ifft2(noise / frequency).real.transpose(1, 2, 0)
    image = 128 + 50 * image / image.std() + rng.uniform(-30, 30, channels)
    return np.clip(image, 0, 255).astype(np.uint8)


def write_tfds(
    name,
    data_dir,
    *,
    splits,
    image_shape=(32, 32, 3),
    sizes=None,
    num_classes=10,
    image_key="image",
    label_key="label",
    supervised=True,
    encoding_format="png",
    config=None,
    version=None,
    extra_features=None,
    num_shards=1,
    file_format="tfrecord",
    edit=None,
    seed=0,
    draw=image_of,
):
    """Prepares a data set into data_dir; returns the builder.

    Args:
        name: "cifar10", "imagenet2012"; need not be known to TFDS.
        data_dir: where to.
        splits: {"train": 40, "test": 10}, numbers of examples.
        image_shape: of the feature, (None, None, 3) for any size.
        sizes: (height, width) of each image in turn, where not static.
        num_classes: None for a data set without labels.
        image_key: name of the image feature.
        label_key: name of the label feature.
        supervised: whether to say supervised_keys.
        encoding_format: "png" or "jpeg".
        config: of the builder: "1pct".
        version: by default that of TFDS's own builder of this name.
        extra_features: {key: (feature, function of the number)}.
        num_shards: files per split.
        file_format: "tfrecord" or "array_record".
        edit: (number, example) -> example, for instance to spoil some: TFDS
            takes an open file for an image, as it is.
        seed: of the images' noise.
        draw: image_of or texture.
    """
    builder = builder_class(
        name,
        features=_features(
            image_key,
            tfds.features.Image(
                shape=image_shape, encoding_format=encoding_format
            ),
            label_key,
            num_classes,
            extra_features or {},
        ),
        keys=(image_key, label_key) if supervised and num_classes else None,
        examples=_Examples(
            splits,
            image_shape,
            sizes,
            num_classes,
            image_key,
            label_key,
            extra_features or {},
            edit or (lambda number, example: example),
            seed,
            draw,
        ),
        config=config,
        version=version or _real_version(name, config),
    )(data_dir=str(data_dir), file_format=file_format)
    return prepare(builder, num_shards=num_shards)


def prepare(builder, *, num_shards=1):
    """Writes the data of a builder, without a word; returns it."""
    quiet = io.StringIO()
    with contextlib.redirect_stdout(quiet), contextlib.redirect_stderr(quiet):
        builder.download_and_prepare(
            download_config=tfds.download.DownloadConfig(
                num_shards=num_shards, try_download_gcs=False
            )
        )
    return builder


class _Examples:
    """The examples of every split, generated anew at each call."""

    def __init__(
        self,
        splits,
        shape,
        sizes,
        classes,
        image,
        label,
        extra,
        edit,
        seed,
        draw,
    ):
        self.splits = splits
        self._shape, self._sizes = shape, sizes or [(32, 32)]
        self._classes, self._image, self._label = classes, image, label
        self._extra, self._edit, self._seed = extra, edit, seed
        self._draw = draw

    def of_split(self, split):
        rng = np.random.default_rng([self._seed, *split.encode()])
        for number in range(self.splits[split]):
            label = number % (self._classes or 10)
            shape = self._shape
            if None in shape:
                shape = (*self._sizes[number % len(self._sizes)], shape[-1])
            example = {
                self._image: self._draw(label, number, shape=shape, rng=rng)
            }
            if self._classes:
                example[self._label] = label
            for key, (_, value_of) in self._extra.items():
                example[key] = value_of(number)
            yield number, self._edit(number, example)


def _features(image_key, image, label_key, num_classes, extra):
    features = {image_key: image}
    if num_classes:
        features[label_key] = tfds.features.ClassLabel(num_classes=num_classes)
    features |= {key: feature for key, (feature, _) in extra.items()}
    return tfds.features.FeaturesDict(features)


def _real_version(name, config):
    try:
        real = tfds.builder_cls(name)
    except tfds.core.DatasetNotFoundError:
        return "1.0.0"
    real_config = real.builder_configs.get(config)
    return str((real_config and real_config.version) or real.VERSION)


def builder_class(dataset, *, features, keys, examples, config, version):
    """A TFDS builder of this name and these features.

    Args:
        dataset, config, version: its name.
        features, keys: what TFDS knows of it.
        examples: .splits, a dict of names, and .of_split(split), which yields
            (key, example).
    """

    class Tiny(tfds.core.GeneratorBasedBuilder, skip_registration=True):
        name = dataset
        VERSION = tfds.core.Version(version)
        BUILDER_CONFIGS = (
            [tfds.core.BuilderConfig(name=config)] if config else []
        )

        def _info(self):
            return tfds.core.DatasetInfo(
                builder=self, features=features, supervised_keys=keys
            )

        def _split_generators(self, dl_manager):
            del dl_manager
            return {s: self._generate_examples(s) for s in examples.splits}

        def _generate_examples(self, split):
            yield from examples.of_split(split)

    return Tiny
