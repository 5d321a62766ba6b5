"""From a data set to batches of views.

    sources       open_source: TFDS, folders of images, embedded digits
    arrays        from_arrays: images that are in memory already
    examples      what a source is; the kind with random access
    shards        the streamed kind: TFRecords that memory cannot hold
    subset        parts and sums of sources, and what two of them share
    fingerprint   which images and labels a source holds, as a hash
    split_spec    how a split is written: names, slices, sums
    prepared      TFDS data sets: opening, features, records
    folder        opening folders of images
    digits        scikit-learn's digits as a TFDS data set
    order         which example comes when, from (seed, position)
    corrupt       substitutes for images that cannot be read; counting them
    pipeline      training and evaluation batches, as tf.data

The views come in as callables: nothing here knows of augmentation.
"""

from simclr_tf.data.arrays import from_arrays

__all__ = ["from_arrays"]
