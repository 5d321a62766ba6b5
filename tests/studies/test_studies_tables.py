"""Tables and figures, from planted cells."""

import dataclasses
import io
import pathlib
import re
import xml.dom.minidom

import numpy as np
import pandas as pd
import PIL.Image
import pytest
from scipy import stats

from simclr_tf.studies import (
    Bars,
    Curves,
    HeatMap,
    Measure,
    Setting,
    Study,
    figures,
    report,
    tables,
)
from simclr_tf.studies.cells import cells_of
from simclr_tf.studies.keeping import Outcome
from tests.studies import tiny


def read(folder):
    return {p.name: p.read_bytes() for p in pathlib.Path(folder).glob("*.*")}


def test_every_cell_is_a_row_and_what_is_not_there_is_named(tmp_path):
    folder, cells = tiny.planted(tmp_path, score=tiny.known_score, but=(1, 6))
    folder_of_6 = pathlib.Path(folder.folder_of(cells[6]))
    folder_of_6.mkdir(parents=True)
    folder.write_failed(cells[6], "status 3: the disk is full.")
    report.write(tiny.STUDY, folder, cells, with_paper=False)
    table = pd.read_csv(tmp_path / "table.csv")
    assert list(table.columns) == [
        "index", "seed", "crop", "colour", "score", "near", "contrast",
        "status",
    ]  # fmt: skip
    assert table["status"][1] == "missing"
    assert table["status"][6] == "failed: status 3: the disk is full."
    assert np.isnan(table["score"][[1, 6]]).all()
    np.testing.assert_allclose(table["score"][0], tiny.known_score(cells[0]))
    page = (tmp_path / "table.md").read_text()
    assert "2 of 8 cells are not there" in page
    assert "1 of 2 missing" in page
    assert "1 of 2 failed: status 3: the disk is full." in page
    # Cells that are done and have no such measure.
    assert "| - | - |" in page


def test_mean_and_interval_are_over_seeds(tmp_path):
    folder, cells = tiny.planted(tmp_path, score=tiny.known_score, seeds=3)
    report.write(tiny.STUDY, folder, cells, with_paper=True)
    values = np.array([0.21, 0.212, 0.214])
    low, high = stats.t.interval(
        0.95, 2, values.mean(), values.std(ddof=1) / np.sqrt(3)
    )
    row = f"| 0.1 | 0 | 21.2 [{100 * low:.1f}, {100 * high:.1f}] (3) | 12.5 |"
    assert row in (tmp_path / "table.md").read_text()


def test_the_paper_s_numbers_stand_only_beside_its_settings(tmp_path):
    folder, cells = tiny.planted(tmp_path, score=tiny.known_score)
    report.write(tiny.STUDY, folder, cells, with_paper=False)
    assert "12.5" not in (tmp_path / "table.md").read_text()


def test_tables_and_figures_are_the_same_to_the_byte(tmp_path):
    contents = []
    for name in ("a", "b"):
        folder, cells = tiny.planted(tmp_path / name, score=tiny.known_score)
        report.write(tiny.STUDY, folder, cells, with_paper=True)
        contents.append(read(tmp_path / name))
    assert contents[0] == contents[1]
    assert set(contents[0]) == {
        "table.csv", "table.md", "figure.png", "figure.svg",
    }  # fmt: skip


def test_nothing_done_is_a_table_and_a_figure_all_the_same(tmp_path):
    folder, cells = tiny.planted(
        tmp_path, score=tiny.known_score, but=tuple(range(8))
    )
    tmp_path.mkdir(exist_ok=True)
    said = report.write(tiny.STUDY, folder, cells, with_paper=False)
    assert said == ["8 of 8 cells are not there, and not counted as anything."]
    assert (tmp_path / "figure.png").stat().st_size > 1000


@pytest.mark.parametrize(
    "figure", [HeatMap("$\\frac", "_b|"), Curves("_b|", ("$\\frac",)),
               Bars("$\\frac", ("_b|",))], ids=lambda f: type(f).__name__
)  # fmt: skip
def test_names_are_letters_and_nothing_more(tmp_path, figure):
    """No formula, no cell, no line, no colour of a terminal, no mean."""
    study = Study(
        title="$x_{\x1b[31m",
        base={},
        settings=[
            Setting({"$\\frac": odd, "_b|": other})
            for odd in ("$_{", "| a |\nb", 3)
            for other in ("mean", "_hidden", "\x00")
        ],
        figure=figure,
    )
    folder, cells = tiny.planted(
        tmp_path, study, score=lambda cell: 0.5, seeds=1, but=(4,)
    )
    report.write(study, folder, cells, with_paper=False)
    xml.dom.minidom.parse(str(tmp_path / "figure.svg"))
    page = (tmp_path / "table.md").read_text()
    assert page.replace("\n", "").isprintable()
    rows = [line for line in page.splitlines() if line.startswith("|")]
    assert len(rows) == 2 + 9
    assert {len(re.findall(r"(?<!\\)\|", row)) for row in rows} == {4}


@pytest.mark.parametrize("kind", [Curves, Bars])
def test_the_best_level_is_what_is_drawn(tmp_path, kind):
    study = tiny.study_of(kind(x="a", lines=("b",), best_over=("c",)))

    def score(cell):
        levels = cell.setting.levels
        return 0.1 * len(str(levels["a"])) + 0.3 * levels["c"]

    folder, cells = tiny.planted(
        tmp_path, study, score=score, seeds=1, but=(0, 1)
    )
    found = tables.frame(study, [folder.outcome(c) for c in cells])
    settings = tables.summary(study, found)
    best = tables.best(study, settings)
    assert len(best) == 6
    np.testing.assert_allclose(
        best["linear probe"], [np.nan, 0.4, 0.5, 0.5, 0.6, 0.6]
    )
    canvas = figures.draw(study, settings, with_paper=True)
    (axis,) = canvas.axes
    (missing,) = axis.texts
    assert missing.get_text() == "missing"
    # Above its own level, the first: Bars stand in a row, Curves at numbers.
    assert missing.get_position()[0] == (0 if kind is Bars else 1)
    # The paper's numbers: of each line where it stands, and named once.
    crosses = [c for c in axis.collections if c.get_label() != "paper"]
    crosses = [c.get_offsets() for c in crosses if hasattr(c, "get_sizes")]
    assert [len(offsets) for offsets in crosses] == [3, 3]
    if kind is Bars:
        middles = [p.get_x() + p.get_width() / 2 for p in axis.patches]
        np.testing.assert_allclose(np.concatenate(crosses)[:, 0], middles)
    # All of it is within the axes.
    left, right = axis.get_xlim()
    low, high = axis.get_ylim()
    points = np.concatenate(crosses)
    assert (points > [left, low]).all() and (points < [right, high]).all()
    assert low < 40 and high > 60
    (legend,) = canvas.legends
    named = [text.get_text() for text in legend.get_texts()]
    assert named == ["x", "y", "paper"]
    image = PIL.Image.open(io.BytesIO(figures.png(canvas)))
    assert np.asarray(image.convert("L")).std() > 10
    page = tables.markdown(study, settings, sentences=[], with_paper=True)
    assert "The best over c:" in page


def test_many_panels_stand_in_rows_of_three_and_percent_end_at_100(tmp_path):
    names = [f"measure {number}" for number in range(7)]
    study = dataclasses.replace(
        tiny.study_of(Bars(x="b", best_over=("a", "c"))),
        measures=[Measure(name, ("run:score",)) for name in names],
    )
    cells = cells_of(study, typed={}, seeds=2)
    outcomes = [
        Outcome(cell, values=dict.fromkeys(names, 0.9 + 0.05 * cell.seed))
        for cell in cells
    ]
    settings = tables.summary(study, tables.frame(study, outcomes))
    assert settings["measure 0 high"].max() > 1  # Student's, of two runs
    canvas = figures.draw(study, settings, with_paper=False)
    assert len(canvas.axes) == 7
    grid = canvas.axes[0].get_gridspec()
    assert (grid.nrows, grid.ncols) == (3, 3)
    four = dataclasses.replace(study, measures=study.measures[:4])
    grid = figures.draw(four, settings, with_paper=False).axes[0].get_gridspec()
    assert (grid.nrows, grid.ncols) == (2, 2)
    assert all(axis.get_ylim()[1] <= 102 for axis in canvas.axes)
    assert "95%" in canvas.get_supxlabel()


def from_h_and_behind_it(*tasks):
    return [
        Measure(f"{task} from {part}", ("run:score",), panel=task, line=part)
        for task in tasks
        for part in ("h", "g(h)")
    ]


def drawn_with(study, values):
    outcomes = [
        Outcome(cell, values=values)
        for cell in cells_of(study, typed={}, seeds=1)
    ]
    settings = tables.summary(study, tables.frame(study, outcomes))
    return settings, figures.draw(study, settings, with_paper=False)


def test_a_line_keeps_its_colour_and_name_where_others_are_missing():
    study = dataclasses.replace(
        tiny.study_of(Bars(x="a", best_over=("b", "c"))),
        measures=from_h_and_behind_it("noise", "color"),
    )
    of_all = dict.fromkeys(m.name for m in study.measures)
    values = {name: 0.5 for name in of_all if name != "color from h"}
    settings, canvas = drawn_with(study, values)
    noise, color = (
        {
            group.get_label(): group[0].get_facecolor()
            for group in axis.containers
            if hasattr(group, "patches")
        }
        for axis in canvas.axes
    )
    assert noise.keys() == {"h", "g(h)"} and color.keys() == {"g(h)"}
    assert noise["g(h)"] == color["g(h)"] != noise["h"]
    # The columns of the table are told apart.
    page = tables.markdown(study, settings, sentences=[], with_paper=False)
    assert all(f"| {name}, % |" in page for name in of_all)


@pytest.mark.parametrize("kind", [Curves, Bars])
def test_measures_of_one_panel_stand_side_by_side(kind):
    """Two tasks, each from h and from g(h); a measure that has its own."""
    shared = from_h_and_behind_it("noise", "color")
    alone = Measure("entropy", ("run:score",), scale=1.0)
    study = dataclasses.replace(
        tiny.study_of(kind(x="a", lines=("b",), best_over=("c",))),
        measures=[*shared, alone],
    )
    heights = {m.name: 0.1 * i for i, m in enumerate(study.measures, 1)}
    _, canvas = drawn_with(study, heights)
    labels = [axis.get_ylabel() for axis in canvas.axes]
    assert labels == ["noise, %", "color, %", "entropy"]
    named = [text.get_text() for text in canvas.legends[0].get_texts()]
    assert named == ["x, h", "y, h", "x, g(h)", "y, g(h)", "x", "y"]
    for axis, expected in zip(
        canvas.axes, ([10, 10, 20, 20], [30, 30, 40, 40], [0.5, 0.5]),
        strict=True,
    ):  # fmt: skip
        drawn = [
            group[0].get_height()
            if kind is Bars
            else group.lines[0].get_ydata()[0]
            for group in axis.containers
            if kind is Curves or hasattr(group, "patches")
        ]
        np.testing.assert_allclose(drawn, expected)


def test_the_heat_map_holds_the_numbers(tmp_path):
    folder, cells = tiny.planted(tmp_path, score=tiny.known_score, but=(1, 5))
    found = tables.frame(tiny.STUDY, [folder.outcome(c) for c in cells])
    settings = tables.summary(tiny.STUDY, found)
    (axis,) = figures.draw(tiny.STUDY, settings, with_paper=True).axes
    words = [text.get_text() for text in axis.texts]
    # Values and the mean of the row that is whole; of the other, none.
    assert sorted(words) == ["21.1", "25.1", "45.1", "65.1", "missing"]
