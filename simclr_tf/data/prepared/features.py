"""Which features of a TFDS data set are the image and the label, and reading
these alone."""

from collections.abc import Callable, Iterable

import tensorflow as tf
import tensorflow_datasets as tfds

from simclr_tf.errors import UserError


def image_key(builder, dataset: str, asked: str | None) -> str:
    """The image feature asked for, or the only one.

    An Image, or a Tensor of pixels: uint8[H, W, 1 | 3].

    Raises:
        UserError: naming --image_key, or there is no image.
    """
    features = builder.info.features
    images = [
        key
        for key, feature in features.items()
        if type(feature) is tfds.features.Image
    ]
    tensors = [key for key in features if _is_pixels(features[key])]
    if asked in tensors:
        return asked
    key = _only(images or tensors, asked, "image", dataset)
    if key is None:
        raise UserError(
            f"--dataset={dataset} has no image, neither an Image nor a Tensor"
            f" uint8 [H, W, 1 or 3]: its features are {', '.join(features)}."
        )
    if not features[key].tf_dtype.is_unsigned:
        raise UserError(
            f"--image_key={key} of --dataset={dataset} holds"
            f" {features[key].tf_dtype.name} pixels; only 8 and 16 bits can be"
            " read."
        )
    return key


def _is_pixels(feature) -> bool:
    return (
        type(feature) is tfds.features.Tensor
        and feature.tf_dtype == tf.uint8
        and len(feature.shape) == 3
        and feature.shape[-1] in (1, 3)
    )


def label_key(
    builder, dataset: str, asked: str | None, several: bool
) -> str | None:
    """The label feature: asked for, supervised, the only ClassLabel, a text or
    whole number called "label", or None.

    Args:
        builder: of the data set.
        dataset: its name, for messages.
        asked: --label_key.
        several: whether it is to be a list of classes.

    Raises:
        UserError: naming --label_key.
    """
    features = builder.info.features
    if several:
        lists = [key for key in features if _is_list_of_classes(features[key])]
        if not lists:
            raise UserError(
                f"--dataset={dataset} has no feature that lists classes: its"
                f" features are {', '.join(features)}."
            )
        return _only(lists, asked, "label", dataset)
    labels = [
        key
        for key, feature in features.items()
        if isinstance(feature, tfds.features.ClassLabel)
    ]
    values = [key for key in features if is_value(features, key)]
    if asked in values:
        return asked
    supervised = builder.info.supervised_keys
    preferred = supervised[-1] if supervised else None
    if asked is None and preferred in labels + values:
        return preferred
    if asked is None and not labels:
        return "label" if "label" in values else None
    return _only(labels, asked, "label", dataset, others=values)


def is_value(features, key: str | None) -> bool:
    """Whether a feature is a text or a whole number, which no list of names
    numbers: what values there are is known when all have been read."""
    feature = features[key] if key else None
    return (
        isinstance(feature, tfds.features.Tensor)
        and not isinstance(feature, tfds.features.ClassLabel)
        and feature.shape == ()
        and (feature.tf_dtype.is_integer or feature.tf_dtype == tf.string)
    )


def numbering(values: Iterable) -> dict[bytes | int, int]:
    """The number of every value: its position among all, sorted.
    An empty text and -1 are no label, and have none."""
    return {
        value: number
        for number, value in enumerate(sorted(set(values) - {-1, b""}))
    }


def class_names(features, key: str | None, numbers) -> tuple[str, ...]:
    """Of a label feature, in the order of the labels; () without one."""
    if key is None:
        return ()
    if numbers is not None:
        return tuple(
            value.decode(errors="replace")
            if isinstance(value, bytes)
            else str(value)
            for value in numbers
        )
    return tuple(class_label(features, key).names)


def _is_list_of_classes(feature) -> bool:
    return isinstance(feature, tfds.features.Sequence) and isinstance(
        feature.feature, tfds.features.ClassLabel
    )


def class_label(features, key: str | None):
    """The ClassLabel of a feature that is one, or a list of them."""
    if key is None:
        return None
    feature = features[key]
    return feature.feature if _is_list_of_classes(feature) else feature


def _only(candidates, asked, kind, dataset, others=()) -> str | None:
    """The feature asked for, else the only one there is, else None."""
    listed = ", ".join(sorted(candidates)) or "none"
    if asked is not None and asked not in candidates:
        listed = ", ".join(sorted([*candidates, *others])) or "none"
        raise UserError(
            f"--{kind}_key={asked} is not among the {kind} features of"
            f" --dataset={dataset}: {listed}."
        )
    if asked is None and len(candidates) > 1:
        raise UserError(
            f"--dataset={dataset} has several {kind} features; choose one with"
            f" --{kind}_key: {listed}."
        )
    return asked or (candidates[0] if candidates else None)


def parser(
    features, image_key: str, label_key: str | None, several: bool
) -> Callable:
    """serialized string[] -> (encoded image string[], label int64[] or [K]).

    The label of a feature that is text is still the text, string[].
    """
    sure_key = f"{label_key}_no_difficult"
    keys = [image_key, label_key]
    if several and sure_key in features:
        keys.append(sure_key)
    wanted = tfds.features.FeaturesDict({k: features[k] for k in keys if k})
    label_feature = class_label(features, label_key)
    pixels = _is_pixels(features[image_key])
    encoded = {} if pixels else {image_key: tfds.decode.SkipDecoding()}

    def shown(example, key):
        """int64[K], 1 for the classes in a list."""
        rows = tf.one_hot(
            example[key], label_feature.num_classes, dtype=tf.int64
        )
        return tf.minimum(tf.reduce_sum(rows, axis=0), 1)

    def parse(serialized):
        example = wanted.deserialize_example(serialized, decoders=encoded)
        image = example[image_key]
        if pixels:
            # As all the others, from here on; uncompressed, it costs little.
            image = tf.io.encode_png(image, compression=0)
        if several:
            label = shown(example, label_key)
            if sure_key in wanted:
                sure = shown(example, sure_key)
                label = tf.where(label > sure, -tf.ones_like(label), label)
        else:
            label = example[label_key] if label_key else -1
        if label_key and features[label_key].tf_dtype == tf.string:
            return image, label
        return image, tf.cast(label, tf.int64)

    return parse
