"""table.csv, table.md, figure.png and figure.svg of a study's folder."""

import os
from collections.abc import Sequence

from simclr_tf import files, own_files
from simclr_tf.studies import effects, figures, tables
from simclr_tf.studies.cells import Cell
from simclr_tf.studies.keeping import StudyFolder
from simclr_tf.studies.study import Study


def write(
    study: Study,
    folder: StudyFolder,
    cells: Sequence[Cell],
    *,
    with_paper: bool,
    with_figure: bool = True,
) -> list[str]:
    """Writes what can be said of the cells that are done.

    Of several that write at once, the last has seen all cells that are done:
    whoever finds, having written, that there are more, writes again.

    Args:
        study, folder, cells: of the study.
        with_paper: whether the paper's numbers are of these settings.
        with_figure: whether the figure is drawn, which takes a second.

    Returns:
        What the study says, in sentences.
    """
    known = None
    while (now := [folder.outcome(cell) for cell in cells]) != known:
        known = now
        found = tables.frame(study, known)
        settings = tables.summary(study, found)
        sentences = effects.sentences(study, found)
        page = tables.markdown(
            study, settings, sentences=sentences, with_paper=with_paper
        )
        contents = {
            "table.csv": tables.csv(found).encode(),
            own_files.TABLE: page.encode(),
        }
        if with_figure:
            canvas = figures.draw(study, settings, with_paper=with_paper)
            contents[own_files.FIGURE] = figures.png(canvas)
            contents["figure.svg"] = figures.svg(canvas)
        for name, content in contents.items():
            files.write_bytes(os.path.join(folder.path, name), content)
    return sentences
