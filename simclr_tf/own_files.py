"""Names of the files that tell a folder of results, and of its pictures.

Whoever writes them and whoever must not take them for something else has them
from here: a run may lie in the folder of pictures that it is trained on.
"""

CONFIG = "config.json"
FLAGS = "flags.json"
FEATURES = "features.npz"
PAIRS = "near_duplicates.tsv"
STUDY = "study.json"
TABLE = "table.md"

VIEWS = "views.png"
NEIGHBOURS = "neighbours.png"
MAP = "map.png"
FIGURE = "figure.png"

# A folder that has all of one of these holds results: of a run, of an
# embedding, of a study. Others write a config.json, too.
SIGNS = ((CONFIG, FLAGS), (FEATURES, PAIRS), (STUDY, TABLE))
PICTURES = (VIEWS, NEIGHBOURS, MAP, FIGURE)
