"""Data sets that TensorFlow Datasets has prepared.

source    opening one
guard     that what its files name does not act
features  which features are read: image and label
storage   how its records are kept: in memory, or streamed
"""
