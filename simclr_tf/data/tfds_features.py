"""Which features of a TFDS data set are the image and the label, and reading
these alone."""

from collections.abc import Callable

import tensorflow as tf
import tensorflow_datasets as tfds

from simclr_tf.errors import UserError


def image_key(builder, dataset: str, asked: str | None) -> str:
    """The image feature asked for, or the only one.

    Raises:
        UserError: naming --image_key, or there is no image.
    """
    features = builder.info.features
    images = [
        key
        for key, feature in features.items()
        if type(feature) is tfds.features.Image
    ]
    key = _only(images, asked, "image", dataset)
    if key is None:
        raise UserError(
            f"--dataset={dataset} has no image: its features are"
            f" {', '.join(features)}."
        )
    if not features[key].tf_dtype.is_unsigned:
        raise UserError(
            f"--image_key={key} of --dataset={dataset} holds"
            f" {features[key].dtype} pixels; only 8 and 16 bits can be read."
        )
    return key


def label_key(
    builder, dataset: str, asked: str | None, several: bool
) -> str | None:
    """The label feature: asked for, supervised, the only one, or None.

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
    supervised = builder.info.supervised_keys
    if asked is None and supervised and supervised[-1] in labels:
        return supervised[-1]
    return _only(labels, asked, "label", dataset)


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


def _only(candidates, asked, kind, dataset) -> str | None:
    """The feature asked for, else the only one there is, else None."""
    listed = ", ".join(sorted(candidates)) or "none"
    if asked is not None and asked not in candidates:
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
    """serialized string[] -> (encoded image string[], label int64[] or [K])."""
    sure_key = f"{label_key}_no_difficult"
    keys = [image_key, label_key]
    if several and sure_key in features:
        keys.append(sure_key)
    wanted = tfds.features.FeaturesDict({k: features[k] for k in keys if k})
    label_feature = class_label(features, label_key)

    def shown(example, key):
        """int64[K], 1 for the classes in a list."""
        rows = tf.one_hot(
            example[key], label_feature.num_classes, dtype=tf.int64
        )
        return tf.minimum(tf.reduce_sum(rows, axis=0), 1)

    def parse(serialized):
        example = wanted.deserialize_example(
            serialized, decoders={image_key: tfds.decode.SkipDecoding()}
        )
        if several:
            label = shown(example, label_key)
            if sure_key in wanted:
                sure = shown(example, sure_key)
                label = tf.where(label > sure, -tf.ones_like(label), label)
        else:
            label = example[label_key] if label_key else -1
        return example[image_key], tf.cast(label, tf.int64)

    return parse
