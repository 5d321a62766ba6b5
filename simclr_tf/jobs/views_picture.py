"""views.png: the first images of training beside their views."""

import numpy as np

from simclr_tf.build import batches
from simclr_tf.config import Config
from simclr_tf.data.sources import Source
from simclr_tf.reports import pictures

_IMAGES = 8
_CAPTIONS = ("image", "view 1", "view 2")


def draw(config: Config, source: Source) -> np.ndarray:
    """The picture, as pixels.

    Args:
        config: of the run.
        source: the split of training.
    """
    seen = batches.sample_views(config, source, _IMAGES)
    note = pictures.note_of(config.model.num_channels)
    captions = [f"{c} ({note})" if note else c for c in _CAPTIONS]
    return pictures.grid(pictures.visible(seen), captions)
