"""A folder of images as a source.

source       from a listing to splits, labels and examples
places       what --data_dir may be: folders, a list of them
listing      which images lie there, and what is passed over
walk         every file under a folder, links followed once
results      what our own commands have written among the images
manifest     a listing kept on disk, for folders of many files
layout       which folders are splits, which are classes
label_file   labels from a CSV or TSV
label_columns  which of its columns name the images and the classes
"""

from simclr_tf.data.folder.contents import Reading
from simclr_tf.data.folder.source import (
    folder_splits,
    has_folder_split,
    open_folder,
    survey,
)

__all__ = [
    "Reading",
    "folder_splits",
    "has_folder_split",
    "open_folder",
    "survey",
]
