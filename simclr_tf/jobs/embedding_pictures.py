"""What features look like: neighbours.png, map.png, near_duplicates.tsv."""

import os

import numpy as np
import tensorflow as tf

from simclr_tf import files, own_files, terminal
from simclr_tf.build import batches, splits
from simclr_tf.config import Config
from simclr_tf.data import subset
from simclr_tf.data.sources import Source
from simclr_tf.evaluation import features
from simclr_tf.evaluation.features import Features
from simclr_tf.reports import (
    embedding_map,
    near_duplicates,
    neighbours,
    pictures,
)

_NEIGHBOURS = 7
_BOTH = "train+test"
# Side of the images on the map, and of those that are compared.
_SMALL = 128
# Images of 224 px that are held as floats at once: 150 MB.
_AT_A_TIME = 256


class EmbeddingPictures:
    """Pictures of the features of a split.

    Args:
        folder: where they are written.
        config: of the job.
        source: the split, with random access.
        found: features of all of it or of a part.
        strategy: where images are read.
    """

    def __init__(
        self,
        folder: str,
        *,
        config: Config,
        source: Source,
        found: Features,
        strategy: tf.distribute.Strategy,
    ):
        self._folder, self._config = folder, config
        self._source, self._found = source, found
        self._strategy = strategy
        # One, so that its step is traced once.
        self._extract = features.extractor(
            features.raw_pixels, strategy=strategy
        )

    def draw(self) -> None:
        """Writes all of them, and says where they are."""
        self._picture_neighbours()
        self._draw_map()
        self._list_near_duplicates()

    def names(self, ids: np.ndarray) -> np.ndarray:
        """str[n], where the images of these ids lie."""
        examples = self._source.examples
        places = self._places(ids)
        names = examples.name_of(tf.constant(places, tf.int64)).numpy()
        decoded = [name.decode(errors="backslashreplace") for name in names]
        return np.array(decoded, np.str_)

    def _picture_neighbours(self) -> None:
        found = self._found
        k = min(_NEIGHBOURS, len(found.ids) - 1)
        if k < 1:
            print("No picture of neighbours: it takes two images.")
            return
        chosen = neighbours.chosen(
            found.values,
            k=k,
            count=self._config.eval.embed_queries,
            seed=self._config.job.seed,
        )
        ids = found.ids[chosen.rows.ravel()]
        images = self._images(ids)
        shape = chosen.rows.shape
        picture = neighbours.picture(
            pictures.visible(images).reshape(*shape, *images.shape[1:3], 3),
            chosen.similarity,
            self.names(ids).reshape(shape).tolist(),
            note=pictures.note_of(self._config.model.num_channels),
            parts=chosen.parts,
        )
        path = os.path.join(self._folder, own_files.NEIGHBOURS)
        files.write_bytes(path, tf.io.encode_png(picture).numpy())
        print(
            f"Nearest neighbours: {path}; on the left an image, beside it the "
            f"{k} whose features are most similar (cosine){self._shown()}."
        )

    def _draw_map(self) -> None:
        found = self._found
        if len(found.ids) < 2:
            return
        rng = np.random.default_rng(self._config.job.seed)
        count = min(embedding_map.MOST_IMAGES, len(found.ids))
        rows = np.sort(rng.choice(len(found.ids), count, replace=False))
        where, method = embedding_map.places(
            found.values[rows], seed=self._config.job.seed
        )
        picture = embedding_map.picture(
            where,
            pictures.visible(self._images(found.ids[rows], _SMALL)),
            method=method,
            note=pictures.note_of(self._config.model.num_channels),
            labels=found.labels[rows],
            class_names=self._source.class_names,
        )
        path = os.path.join(self._folder, own_files.MAP)
        files.write_bytes(path, tf.io.encode_png(picture).numpy())
        print(
            f"Map: {path}; {count} images, placed by {method} of their "
            f"features: similar ones side by side{self._shown()}."
        )

    def _list_near_duplicates(self) -> None:
        found = self._found
        pairs = near_duplicates.pairs(
            found.values, lambda rows: self._images(found.ids[rows], _SMALL)
        )
        path = os.path.join(self._folder, own_files.PAIRS)
        lines = ["levels\tfirst\tsecond"]
        if pairs:
            names = [self.names(found.ids[[i, j]]) for _, i, j in pairs]
            lines += [
                f"{levels:.1f}\t{terminal.printable(first)}"
                f"\t{terminal.printable(second)}"
                for (levels, _, _), (first, second) in zip(
                    pairs, names, strict=True
                )
            ]
        files.write_bytes(path, ("\n".join(lines) + "\n").encode())
        said = f"Near-duplicates: {len(pairs)} pairs in {path}"
        if pairs:
            said += '; "levels" is the mean difference of pixels, of 255'
        if self._may_be_of_more():
            said += f". --train_split={_BOTH} also finds those between splits"
        print(f"{said}.")

    def _may_be_of_more(self) -> bool:
        """Whether the command could embed both splits, and embeds one."""
        config = self._config
        return (
            config.job.mode == "embed"
            and "+" not in config.data.train_split
            and splits.is_there(config, _BOTH)
        )

    def _images(self, ids: np.ndarray, side: int | None = None) -> np.ndarray:
        """uint8[n, S, S, C] as the encoder sees them, shrunk to a side."""
        wanted = np.unique(ids)
        parts = [
            self._pixels(wanted[start : start + _AT_A_TIME], side)
            for start in range(0, len(wanted), _AT_A_TIME)
        ]
        return np.concatenate(parts)[np.searchsorted(wanted, ids)]

    def _pixels(self, wanted: np.ndarray, side: int | None) -> np.ndarray:
        """Of few images, in the order of their ids, which are sorted."""
        part = subset.take(self._source, self._places(wanted), name="shown")
        shown = self._extract(
            batches.evaluation_dataset(
                self._config, part, strategy=self._strategy
            )
        )
        size = self._config.data.image_size
        shape = (-1, size, size, self._config.model.num_channels)
        images = shown.values.reshape(shape)[np.argsort(shown.ids)]
        if side is not None and side < size:
            images = tf.image.resize(images, (side, side), "area").numpy()
        return np.rint(images * 255).astype(np.uint8)

    def _shown(self) -> str:
        """Which bands pictures show, where they cannot show all."""
        note = pictures.note_of(self._config.model.num_channels)
        return f"; shown: {note}" if note else ""

    def _places(self, ids: np.ndarray) -> np.ndarray:
        """Where examples of these ids are in the source."""
        own = subset.ids_of(self._source)
        order = np.argsort(own)
        return order[np.searchsorted(own, ids, sorter=order)]
