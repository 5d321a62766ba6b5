"""From a data set to batches of views.

    sources       open_source: TFDS, folders of images, embedded digits
    examples      what a source is; the random-access kind
    shards        the streamed kind: TFRecords that memory cannot hold
    tfds_source   opening a prepared TFDS data set
    tfds_features which features are read: image and label
    tfds_storage  how its records are kept: in memory, or streamed
    folder        opening a folder of images
    digits        scikit-learn's digits as a TFDS data set
    order         which example comes when, from (seed, position)
    corrupt       substitutes for images that cannot be read; counting them
    pipeline      training and evaluation batches, as tf.data

The views come in as callables: nothing here knows of augmentation.
"""
