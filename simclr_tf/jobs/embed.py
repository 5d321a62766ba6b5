"""--mode=embed: features of a data set as a file, and who is near whom.

Reads    images, --checkpoint
Writes   features.npz, neighbours.png, map.png and near_duplicates.tsv in
         --model_dir, or in a folder of RUN/embeddings
Ends     with 0
"""

import os

import numpy as np
import tensorflow as tf

from simclr_tf import files, terminal
from simclr_tf.build import account, batches, encoder, splits
from simclr_tf.data import subset
from simclr_tf.data.corrupt import CorruptLog
from simclr_tf.data.sources import Source
from simclr_tf.evaluation import features, knn
from simclr_tf.evaluation.features import Features
from simclr_tf.jobs import recording
from simclr_tf.jobs.requests import Accepts, Request
from simclr_tf.reports import embedding_map, near_duplicates, neighbours
from simclr_tf.run_files import loading
from simclr_tf.run_files.folder import require_writable
from simclr_tf.train import precision

_NEIGHBOURS = 7


def make(request: Request, accepts: Accepts) -> "Embedding":
    """The job of a command."""
    del accepts  # labels are written where there are any
    return Embedding(request)


class Embedding:
    """A split's features, and its nearest neighbours.

    Args:
        request: the command.

    Raises:
        UserError: something the user can mend.
    """

    def __init__(self, request: Request):
        self._config = config = request.config
        self._stop = request.stop
        placement = request.place(config)
        self._strategy = placement.strategy
        self._corrupt = CorruptLog()
        self._source = splits.open_split(config, config.data.train_split)
        self._encoder = encoder.open_encoder(
            config,
            strategy=self._strategy,
            dtype=precision.dtype_policy(
                config.model.mixed_precision, placement.device_type
            ),
        )
        self._sha256 = self._encoder.sha256()
        self._folder = self._choose_folder()
        require_writable(self._folder)
        files.sweep_asides(self._folder)

    def describe(self) -> str:
        """What will be embedded, by what, to where."""
        source = self._source
        return "\n".join(self._encoder.said) + (
            f"\nData: {account.of(source)}"
            f"\nEmbedding with {self._encoder.description}\n"
            f"Results in {self._folder}"
        )

    def run(self) -> int:
        """Writes features.npz, the pictures and the list."""
        self._stop.outcome = (
            "before all was written. The same command starts again."
        )
        found = features.extract(
            self._encoder.encode,
            self._dataset(self._source),
            strategy=self._strategy,
        )
        self._corrupt.check(
            self._config.data.max_corrupt_fraction, self._source.num_examples
        )
        self._write_features(found)
        if self._source.random_access:
            self._picture_neighbours(found)
            self._draw_map(found)
            self._list_near_duplicates(found)
        else:
            print(
                "No pictures: the images are read as a stream. "
                "Raise --in_memory_limit_mb to hold them."
            )
        if self._corrupt.count():
            print(
                f"{self._corrupt.count()} unreadable images were left out: "
                f"{', '.join(self._corrupt.names()[:10])}"
            )
        return 0

    def _choose_folder(self) -> str:
        """--model_dir, or a folder of the run for what is embedded."""
        config = self._config
        if config.job.model_dir:
            return os.path.expanduser(config.job.model_dir)
        name = recording.name_of(
            config,
            what=f"{config.data.dataset}_{config.data.train_split}",
            encoder_sha256=self._sha256,
            splits={"embedded": self._source},
        )
        folder = loading.results_folder(config, "embeddings")
        return os.path.join(folder, name)

    def _write_features(self, found: Features) -> None:
        path = os.path.join(self._folder, "features.npz")
        arrays = {
            "features": found.values,
            "ids": found.ids,
            "labels": found.labels,
            "class_names": np.array(self._source.class_names, np.str_),
            "encoder_sha256": np.array(self._sha256),
        }
        if self._source.random_access:
            arrays["names"] = self._names(found.ids)
        files.write_npz(path, arrays)
        print(
            f"Features: {path}, float32 {list(found.values.shape)}; with ids, "
            "labels (-1: none) and names."
        )

    def _names(self, ids: np.ndarray) -> np.ndarray:
        examples = self._source.examples
        places = self._places(ids)
        names = examples.name_of(tf.constant(places, tf.int64)).numpy()
        decoded = [name.decode(errors="backslashreplace") for name in names]
        return np.array(decoded, np.str_)

    def _picture_neighbours(self, found: Features) -> None:
        count = min(self._config.eval.embed_queries, len(found.ids))
        k = min(_NEIGHBOURS, len(found.ids) - 1)
        if k < 1:
            print("No picture of neighbours: it takes two images.")
            return
        rng = np.random.default_rng(self._config.job.seed)
        queries = np.sort(rng.choice(len(found.ids), count, replace=False))
        similarity, index = knn.nearest(
            found.values[queries], found.values, k=k, exclude=queries
        )
        rows = np.concatenate([queries[:, np.newaxis], index], axis=1)
        ids = found.ids[rows.ravel()]
        images = self._images(ids)
        picture = neighbours.picture(
            images.reshape(*rows.shape, *images.shape[1:]),
            similarity,
            self._names(ids).reshape(rows.shape).tolist(),
        )
        path = os.path.join(self._folder, "neighbours.png")
        files.write_bytes(path, tf.io.encode_png(picture).numpy())
        print(
            f"Nearest neighbours: {path}; the image on the left, then the {k} "
            "nearest other images, by cosine similarity of their features."
        )

    def _draw_map(self, found: Features) -> None:
        if len(found.ids) < 2:
            return
        rng = np.random.default_rng(self._config.job.seed)
        count = min(embedding_map.MOST_IMAGES, len(found.ids))
        rows = np.sort(rng.choice(len(found.ids), count, replace=False))
        where, method = embedding_map.places(
            found.values[rows], seed=self._config.job.seed
        )
        picture = embedding_map.picture(where, self._images(found.ids[rows]))
        path = os.path.join(self._folder, "map.png")
        files.write_bytes(path, tf.io.encode_png(picture).numpy())
        print(
            f"Map: {path}; {count} images by {method} of their features, "
            "similar ones side by side."
        )

    def _list_near_duplicates(self, found: Features) -> None:
        pairs = near_duplicates.pairs(
            found.values, lambda rows: self._images(found.ids[rows])
        )
        path = os.path.join(self._folder, "near_duplicates.tsv")
        lines = ["levels\tfirst\tsecond"]
        if pairs:
            names = [self._names(found.ids[[i, j]]) for _, i, j in pairs]
            lines += [
                f"{levels:.1f}\t{terminal.printable(first)}"
                f"\t{terminal.printable(second)}"
                for (levels, _, _), (first, second) in zip(
                    pairs, names, strict=True
                )
            ]
        files.write_bytes(path, ("\n".join(lines) + "\n").encode())
        print(
            f"Near-duplicates: {len(pairs)} pairs in {path}; levels: mean "
            "difference of their pixels. A sum of splits, "
            "--train_split=train+test, shows those between splits, too."
        )

    def _images(self, ids: np.ndarray) -> np.ndarray:
        """uint8[n, S, S, 3] as the encoder sees them."""
        wanted = np.unique(ids)
        part = subset.take(self._source, self._places(wanted), name="shown")
        shown = features.extract(
            features.raw_pixels, self._dataset(part), strategy=self._strategy
        )
        size = self._config.data.image_size
        pixels = np.rint(shown.values * 255).astype(np.uint8)
        order = np.argsort(shown.ids)
        places = order[np.searchsorted(shown.ids, ids, sorter=order)]
        return pixels[places].reshape(-1, size, size, 3)

    def _places(self, ids: np.ndarray) -> np.ndarray:
        """Where examples of these ids are in the source."""
        own = subset.ids_of(self._source)
        order = np.argsort(own)
        return order[np.searchsorted(own, ids, sorter=order)]

    def _dataset(self, source: Source):
        return batches.evaluation_dataset(
            self._config,
            source,
            strategy=self._strategy,
            corrupt=self._corrupt,
        )
