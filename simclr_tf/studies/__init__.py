"""Studies: grids of commands, and what comes of them.

A study says what is compared (`study`). Its cells are commands (`cells`), known
by what they depend on (`digests`), which workers run and whose numbers they
keep (`keeping`), where all are of the same data (`same_data`); from these alone
come tables (`tables`), figures (`figures`) and a line of words (`effects`).
Those of the paper are in `shipped`.
"""

from simclr_tf.studies.study import (
    Bars,
    Curves,
    HeatMap,
    Measure,
    Setting,
    Study,
)

__all__ = ["Bars", "Curves", "HeatMap", "Measure", "Setting", "Study"]
