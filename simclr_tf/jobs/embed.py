"""--mode=embed: features of a data set as a file, and who is near whom.

Reads    images, --checkpoint
Writes   features.npz, neighbours.png, map.png, near_duplicates.tsv and
         unreadable_images.tsv in --model_dir, or in a folder of
         RUN/embeddings
Ends     with 0
"""

import os

import numpy as np

from simclr_tf import files, own_files
from simclr_tf.build import account, batches, encoder, splits
from simclr_tf.data.corrupt import CorruptLog
from simclr_tf.data.sources import Source
from simclr_tf.evaluation import features
from simclr_tf.evaluation.features import Features
from simclr_tf.jobs import recording
from simclr_tf.jobs.embedding_pictures import EmbeddingPictures
from simclr_tf.jobs.requests import Accepts, Request
from simclr_tf.run_files import loading, owner, unreadable_images
from simclr_tf.run_files.room import require_writable
from simclr_tf.train import precision


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
        self._source = splits.open_split(config, config.data.train_split)
        self._corrupt = CorruptLog(self._source.examples.reason_of)
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
        with owner.take(self._folder, name=owner.OF_RESULTS):
            self._embed()
        return 0

    def _embed(self) -> None:
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
            self._pictures(found).draw()
        else:
            print(
                "No pictures: the images are read as a stream. "
                "Raise --in_memory_limit_mb to hold them."
            )
        recording.say_unreadable(
            os.path.join(self._folder, unreadable_images.FILE),
            self._corrupt.lines(),
            [self._source],
        )

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
        path = os.path.join(self._folder, own_files.FEATURES)
        arrays = {
            "features": found.values,
            "ids": found.ids,
            "labels": found.labels,
            "class_names": np.array(self._source.class_names, np.str_),
            "encoder_sha256": np.array(self._sha256),
        }
        if self._source.random_access:
            arrays["names"] = self._pictures(found).names(found.ids)
        files.write_npz(path, arrays)
        print(
            f"Features: {path}, float32 {list(found.values.shape)}; with ids, "
            "labels (-1: none) and names."
        )

    def _pictures(self, found: Features) -> EmbeddingPictures:
        return EmbeddingPictures(
            self._folder,
            config=self._config,
            source=self._source,
            found=found,
            strategy=self._strategy,
        )

    def _dataset(self, source: Source):
        return batches.evaluation_dataset(
            self._config,
            source,
            strategy=self._strategy,
            corrupt=self._corrupt,
        )
