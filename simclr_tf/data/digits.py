"""The embedded data: scikit-learn's 1,797 handwritten digits, for TFDS.

Data sets that need no download, in the form that all others have: the digits
in grey, which is the default, and in colour. Source:
E. Alpaydin and C. Kaynak, Optical Recognition of Handwritten Digits (UCI
Machine Learning Repository, 1998), the test part, as scikit-learn ships it.
"""

import contextlib
import io
import os
import uuid

import numpy as np
import tensorflow as tf
import tensorflow_datasets as tfds

from simclr_tf import counter_hash
from simclr_tf.data import decoding
from simclr_tf.errors import UserError

_MOST_FOLDERS = 100  # looked into for these
_DARKEST = 16  # of scikit-learn's pixels, which are counts of 0..16

# Says to the hash that the number is a colour's: see `counter_hash`.
_COLOR = 2000
_COLOR_SEED = 0
# Least distance of ink and background, edges of the cube of colours being 1.
LEAST_COLOR_DISTANCE = 0.5
# More than a quarter of all pairs of colours are nearer to each other.
_MOST_PAIRS = 64


class Digits(tfds.core.GeneratorBasedBuilder):
    """8x8 grey digits 0..9, with fixed, class-stratified splits."""

    VERSION = tfds.core.Version("1.0.0")
    CHANNELS = 1

    def _info(self):
        return tfds.core.DatasetInfo(
            builder=self,
            description="1,797 handwritten digits of 8x8 pixels.",
            features=tfds.features.FeaturesDict(
                {
                    "image": tfds.features.Image(
                        shape=(8, 8, self.CHANNELS), encoding_format="png"
                    ),
                    "label": tfds.features.ClassLabel(num_classes=10),
                }
            ),
            supervised_keys=("image", "label"),
        )

    def _split_generators(self, dl_manager):
        del dl_manager
        # Slow to import, and needed once for each folder of data.
        from sklearn import datasets

        digits = datasets.load_digits()
        # Every fifth example of the sequence sorted by class is for testing.
        by_class = np.argsort(digits.target, kind="stable")
        for_test = np.zeros(len(by_class), bool)
        for_test[by_class[::5]] = True
        return {
            "train": self._generate_examples(digits, np.flatnonzero(~for_test)),
            "test": self._generate_examples(digits, np.flatnonzero(for_test)),
        }

    def _generate_examples(self, digits, which):
        images = self._painted(digits.images / _DARKEST)
        for i in which:
            yield (
                int(i),
                {
                    "image": np.round(images[i] * 255).astype(np.uint8),
                    "label": int(digits.target[i]),
                },
            )

    def _painted(self, ink):
        """float[n, 8, 8, C] in [0, 1] of the share of ink, float[n, 8, 8]."""
        return ink[..., np.newaxis]


class ColorDigits(Digits):
    """The digits, each with a background and an ink of its own.

    Two crops of one digit have its colours, and hardly two digits have the
    same: colour tells images apart without their shape (paper, section 3.1).
    """

    CHANNELS = 3

    def _painted(self, ink):
        background, color = colors(len(ink))
        background, color = (c[:, None, None] for c in (background, color))
        return background + (color - background) * ink[..., np.newaxis]


BUILDERS = {"digits": Digits, "color_digits": ColorDigits}


def colors(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Backgrounds and inks of the first digits, float64[count, 3] in [0, 1).

    Of independent pairs, uniform in the cube of colours, each digit has its
    first whose distance is at least LEAST_COLOR_DISTANCE.
    """
    digit, pair, channel = np.ogrid[:count, :_MOST_PAIRS, :6]
    words = [tf.constant(w, tf.int64) for w in (digit, pair, channel)]
    drawn = counter_hash.uniform(_COLOR, _COLOR_SEED, *words).numpy()
    pairs = drawn.astype(np.float64).reshape(count, _MOST_PAIRS, 2, 3)
    distances = np.linalg.norm(pairs[:, :, 0] - pairs[:, :, 1], axis=-1)
    first = np.argmax(distances >= LEAST_COLOR_DISTANCE, axis=1)
    return tuple(pairs[np.arange(count), first].swapaxes(0, 1))


def prepare(data_dir: str | None = None, name: str = "digits") -> str:
    """Writes a data set where it is not there yet; takes a second or two.

    Several processes may do so at once: each writes aside, and the first to
    finish puts its copy in place.

    Args:
        data_dir: a TFDS data_dir, by default TFDS's own.
        name: of the data set, in BUILDERS.

    Returns:
        The data_dir.

    Raises:
        UserError: it cannot be written, or would lie among one's pictures:
            they were meant, and --dataset=folder was forgotten.
    """
    root = os.path.expanduser(data_dir or tfds.core.constants.DATA_DIR)
    place = os.path.join(root, name, str(BUILDERS[name].VERSION))
    if _is_prepared(place):
        return root
    if _holds_pictures(root):
        raise UserError(
            f"--dataset={name} would be written among the pictures of "
            f"--data_dir={root}. To train on these, give --dataset=folder; for "
            "the digits, leave --data_dir out."
        )
    aside = os.path.join(root, f".{name}-{uuid.uuid4().hex}")
    try:
        tf.io.gfile.makedirs(os.path.dirname(place))
        written = _write(aside, name)
        try:
            tf.io.gfile.rename(written, place)
        except tf.errors.OpError:
            if not _is_prepared(place):
                raise
    except (OSError, tf.errors.OpError) as error:
        raise UserError(
            f"--dataset={name} cannot be written into --data_dir={root}"
            f" ({error}). Give a --data_dir that can be written."
        ) from error
    finally:
        if tf.io.gfile.exists(aside):
            tf.io.gfile.rmtree(aside)
    return root


def _holds_pictures(root: str) -> bool:
    """Whether a folder of this machine does, beside what TFDS downloads."""
    for number, (_, folders, names) in enumerate(os.walk(root)):
        if any(name.lower().endswith(decoding.SUFFIXES) for name in names):
            return True
        if number == _MOST_FOLDERS:
            break
        folders[:] = [name for name in folders if name != "downloads"]
    return False


def _is_prepared(place: str) -> bool:
    return tf.io.gfile.exists(os.path.join(place, "dataset_info.json"))


def _write(data_dir: str, name: str) -> str:
    """Prepares a data set under data_dir; returns the folder of its files."""
    builder = BUILDERS[name](data_dir=data_dir)
    # TFDS reports every stage of its second of work on both streams.
    with (
        contextlib.redirect_stdout(io.StringIO()),
        contextlib.redirect_stderr(io.StringIO()),
    ):
        builder.download_and_prepare(
            download_config=tfds.download.DownloadConfig(try_download_gcs=False)
        )
    return str(builder.data_dir)
