"""Checkpoints of google-research/simclr, read as names and numbers.

One rule reads TF1 checkpoints, hub modules, TF2 checkpoints and TF2
SavedModels: `names` sorts their variables, `architecture` tells from the shapes
which network they are of, `reading` gives the values under our names, `layout`
finds the files, and `options` says what follows for a job.
"""
