"""What may have been done to an image, for asking features which it was.

Paper: Table 3. Each transformation is a list of one operator (`operators`),
and what it drew for an image is the class of that image. The draws are a
function of (seed, part, sample id).
"""

import dataclasses

import tensorflow as tf

from simclr_tf.augment import draw
from simclr_tf.augment.operator_lists import OperatorLists

# Views of pretraining are 0 and 1.
_VIEW = 2


@dataclasses.dataclass(frozen=True)
class Transformation:
    """An operator, and how what it did is read from what it drew.

    Attributes:
        name: of the transformation.
        operator: (name, probability).
        column: of the operator's row: its coin is 0, what else it drew is 1.
        classes: names of what may have been done, in the order of the numbers
            in that column.
    """

    name: str
    operator: tuple[str, float]
    column: int
    classes: tuple[str, ...]

    def apply(self, images, ids, *, seed: int, part: int):
        """Does to each image what is drawn for it.

        Args:
            images: uint8[N, S, S, 3].
            ids: int64[N], the sample ids.
            seed: of the draws.
            part: another part draws others for the same ids.

        Returns:
            uint8[N, S, S, 3], and int64[N], which of the classes it is.
        """
        lists = OperatorLists([self.operator])
        part = tf.fill(tf.shape(ids), tf.constant(part, tf.int64))
        drawn = lists.draw(draw.sample_seed(seed, part, ids, _VIEW), 0, None)
        images = tf.image.convert_image_dtype(images, tf.float32)
        images = lists.apply(images, drawn, None)
        images = tf.image.convert_image_dtype(images, tf.uint8, saturate=True)
        return images, tf.cast(drawn[:, self.column], tf.int64)


# Paper: the turns, and the colour drop of pretraining, by which the majority
# is right on 80 %. Half of the images are corrupted, as 50 % is chance there;
# how much noise, it doesn't say: as of the operator.
TRANSFORMATIONS = (
    Transformation("color", ("color_drop", 0.2), 0, ("in colour", "grey")),
    Transformation(
        "rotation", ("rotate", 1.0), 1, ("0", "90", "180", "270 degrees")
    ),
    Transformation("noise", ("noise", 0.5), 0, ("original", "noise")),
    Transformation("sobel", ("sobel", 0.5), 0, ("original", "Sobel")),
)
