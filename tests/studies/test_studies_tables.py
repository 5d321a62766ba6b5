"""Tables, figures and sentences, from planted cells."""

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
    effects,
    figures,
    report,
    tables,
)
from simclr_tf.studies.cells import cells_of
from simclr_tf.studies.keeping import Outcome
from tests.studies import tiny


def known_score(cell):
    """Colour matters much, the crop a little, the seed less."""
    levels = cell.setting.levels
    return (
        0.2
        + 0.4 * levels["colour"]
        + 0.1 * levels["crop"]
        + (0.002 * cell.seed)
    )


def read(folder):
    return {p.name: p.read_bytes() for p in pathlib.Path(folder).glob("*.*")}


def test_every_cell_is_a_row_and_what_is_not_there_is_named(tmp_path):
    folder, cells = tiny.planted(tmp_path, score=known_score, but=(1, 6))
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
    np.testing.assert_allclose(table["score"][0], known_score(cells[0]))
    page = (tmp_path / "table.md").read_text()
    assert "2 of 8 cells are not there" in page
    assert "1 of 2 missing" in page
    assert "1 of 2 failed: status 3: the disk is full." in page
    # Cells that are done and have no such measure.
    assert "| - | - |" in page


def test_mean_and_interval_are_over_seeds(tmp_path):
    folder, cells = tiny.planted(tmp_path, score=known_score, seeds=3)
    report.write(tiny.STUDY, folder, cells, with_paper=True)
    values = np.array([0.21, 0.212, 0.214])
    low, high = stats.t.interval(
        0.95, 2, values.mean(), values.std(ddof=1) / np.sqrt(3)
    )
    row = f"| 0.1 | 0 | 21.2 [{100 * low:.1f}, {100 * high:.1f}] (3) | 12.5 |"
    assert row in (tmp_path / "table.md").read_text()


def test_the_paper_s_numbers_stand_only_beside_its_settings(tmp_path):
    folder, cells = tiny.planted(tmp_path, score=known_score)
    report.write(tiny.STUDY, folder, cells, with_paper=False)
    assert "12.5" not in (tmp_path / "table.md").read_text()


def test_tables_and_figures_are_the_same_to_the_byte(tmp_path):
    contents = []
    for name in ("a", "b"):
        folder, cells = tiny.planted(tmp_path / name, score=known_score)
        report.write(tiny.STUDY, folder, cells, with_paper=True)
        contents.append(read(tmp_path / name))
    assert contents[0] == contents[1]
    assert set(contents[0]) == {
        "table.csv", "table.md", "figure.png", "figure.svg",
    }  # fmt: skip


def test_nothing_done_is_a_table_and_a_figure_all_the_same(tmp_path):
    folder, cells = tiny.planted(
        tmp_path, score=known_score, but=tuple(range(8))
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


def cells_frame(values, **factors):
    return pd.DataFrame({**factors, "score": values})


def test_effects_are_ranges_of_level_means_the_largest_first():
    frame = cells_frame(
        np.repeat([0.1, 0.2, 0.6, 0.7], 3),
        a=np.repeat([0, 0, 1, 1], 3),
        b=np.repeat([0, 1, 0, 1], 3),
    )
    first, second = effects.effects(frame, ["b", "a"], "score")
    assert (first.factor, second.factor) == ("a", "b")
    np.testing.assert_allclose([first.size, second.size], [0.5, 0.1])
    # No noise: the interval is a point.
    np.testing.assert_allclose([first.low, first.high], 0.5)
    assert first.best == 1 and first.worst == 0
    assert first.matters


def test_a_level_is_compared_where_all_else_is_equal():
    """A head of none has one dimension; that says nothing of dimensions."""
    head = {"none": 0.0, "linear": 0.4, "nonlinear": 0.5}
    dimension = {16: 0.0, 64: 0.1, 256: 0.2}
    settings = [("none", 256)] + [
        (h, d) for h in list(head)[1:] for d in dimension
    ]
    frame = cells_frame(
        [head[h] + dimension[d] for h, d in settings],
        head=[h for h, _ in settings],
        dimension=[d for _, d in settings],
    )
    first, second = effects.effects(frame, ["dimension", "head"], "score")
    assert (first.factor, second.factor) == ("head", "dimension")
    np.testing.assert_allclose([first.size, second.size], [0.5, 0.2])
    assert (first.best, first.worst) == ("nonlinear", "none")
    assert (second.best, second.worst) == (256, 16)
    # So is a study that is not done.
    found = effects.effects(frame.drop([1, 6]), ["dimension", "head"], "score")
    np.testing.assert_allclose([e.size for e in found], [0.5, 0.2])


def grid(rng, *, side, seeds, noise):
    """Two factors of many levels, worth 0.3 and 0.1 in all."""
    a, b = (
        np.tile(np.ravel(i), seeds)
        for i in np.indices((side, side)) / (side - 1)
    )
    scores = 0.3 * a + 0.1 * b + rng.normal(0, noise, len(a))
    return cells_frame(scores, a=a, b=b)


@pytest.mark.parametrize("side", [2, 7, 20])
def test_in_a_full_grid_the_effect_is_the_range_of_means(rng, side):
    frame = grid(rng, side=side, seeds=3, noise=0.01)
    for effect in effects.effects(frame, ["a", "b"], "score"):
        means = frame.groupby(effect.factor)["score"].mean()
        np.testing.assert_allclose(effect.size, np.ptp(means), atol=1e-9)
        assert effect.low <= effect.size <= effect.high
        assert effect.best == means.idxmax()


def test_intervals_of_what_is_half_done_cover_known_effects(rng):
    """Cells are lost at random: those of high levels no less than others."""
    covered = []
    for _ in range(30):
        frame = grid(rng, side=4, seeds=2, noise=0.02)
        found = effects.effects(
            frame.sample(frac=0.6, random_state=rng), ["a", "b"], "score"
        )
        for effect, true in zip(found, (0.3, 0.1), strict=True):
            assert effect.low <= effect.size <= effect.high
            # Of the levels that seemed the best and the worst.
            true *= effect.best - effect.worst
            covered.append(effect.low <= true <= effect.high)
    assert np.mean(covered) > 0.8


def test_what_says_nothing_of_noise_has_no_interval():
    """Three runs of two factors, and one level twice in a block of its own."""
    frame = cells_frame(
        [0.1, 0.2, 0.4, 0.7, 0.8], a=[0, 1, 0, 2, 2], b=[0, 0, 1, 2, 2]
    )
    for effect in effects.effects(frame, ["a", "b"], "score"):
        assert effect.size > 0
        assert np.isnan([effect.low, effect.high, effect.chance]).all()


def test_numbers_of_different_losses_are_not_compared():
    """A margin is compared with a margin, a temperature with its like."""
    frame = cells_frame(
        [0.1, 0.2, 0.6, 0.9], loss=[*"aabb"], number=[0.2, 0.5, 0.4, 0.8]
    )
    number, loss = effects.effects(frame, ["loss", "number"], "score")
    np.testing.assert_allclose(number.size, 0.3)
    assert (number.best, number.worst) == (0.8, 0.4)
    assert np.isnan(loss.size) and not loss.matters


def test_the_interval_covers_a_known_effect(rng):
    """Of 40 experiments, 95 % intervals should miss about 2."""
    covered = 0
    for _ in range(40):
        a = np.repeat([0, 1], 10)
        frame = cells_frame(0.3 * a + rng.normal(0, 0.05, 20), a=a)
        (effect,) = effects.effects(frame, ["a"], "score")
        covered += effect.low <= 0.3 <= effect.high
        assert effect.matters
    assert covered >= 33


def test_chance_is_told_from_an_effect(rng):
    """Of 60 factors that do nothing, about 3 seem to matter."""
    seems = 0
    for _ in range(60):
        a = np.repeat([0, 1, 2], 6)
        frame = cells_frame(rng.normal(0, 1, 18), a=a)
        seems += effects.effects(frame, ["a"], "score")[0].matters
    assert seems <= 9


def test_one_run_a_level_has_no_interval():
    (effect,) = effects.effects(
        cells_frame([0.1, 0.5], a=["x", "y"]), ["a"], "score"
    )
    assert np.isnan([effect.low, effect.high, effect.chance]).all()
    assert not effect.matters


def test_the_sentence_names_what_matters(tmp_path):
    folder, cells = tiny.planted(tmp_path, score=known_score)
    found = tables.frame(tiny.STUDY, [folder.outcome(c) for c in cells])
    matters, extremes = effects.sentences(tiny.STUDY, found)
    assert matters.startswith("What matters (score): colour 40.0 points [")
    assert extremes == (
        "Best: crop 0.5, colour 1.0 (65.1); worst: crop 0.1, colour 0.0 (21.1)."
    )


def test_where_the_best_counts_the_sentence_is_of_the_best(tmp_path):
    """b is -20 points in the mean over all c, and +10 in the best c."""
    study = study_of(Bars(x="b", best_over=("a", "c")))
    scores = {
        ("x", 0.0): 0.5,
        ("x", 1.0): 0.6,
        ("y", 0.0): 0.0,
        ("y", 1.0): 0.7,
    }
    folder, cells = tiny.planted(
        tmp_path,
        study,
        score=lambda cell: scores[
            cell.setting.levels["b"], cell.setting.levels["c"]
        ] + 0.001 * cell.seed,
    )  # fmt: skip
    said = report.write(study, folder, cells, with_paper=False)
    assert said[0].startswith(
        "What matters (linear probe, each the best over a, c): b 10.0 points ["
    )
    assert said[1].startswith("Best: a 1, b y, c 1.0 (")
    assert "; worst of these: a 1, b x, c 1.0 (" in said[1]


def test_a_factor_that_never_changes_alone_is_said_to_be_such():
    study = Study(
        title="Two names for one thing",
        base={},
        settings=[Setting({"a": 1, "b": 2}), Setting({"a": 2, "b": 4})],
        figure=Bars(x="a"),
    )
    cells = pd.DataFrame(
        {"index": [0, 1], "seed": 0, "a": [1, 2], "b": [2, 4],
         "linear probe": [0.1, 0.2], "status": "done"}
    )  # fmt: skip
    assert effects.sentences(study, cells)[0] == (
        "What matters (linear probe): "
        "a (in what is done, it never changes alone); "
        "b (in what is done, it never changes alone)."
    )


def study_of(figure):
    return Study(
        title="A study",
        base={},
        settings=[
            Setting(
                {"a": a, "b": b, "c": c},
                flags={"temperature": 0.1 + c + a, "proj_out_dim": ord(b)},
                paper={"linear probe": 50.0},
            )
            for a in (1, 10, 100)
            for b in "xy"
            for c in (0.0, 1.0)
        ],
        figure=figure,
    )


@pytest.mark.parametrize("kind", [Curves, Bars])
def test_the_best_level_is_what_is_drawn(tmp_path, kind):
    study = study_of(kind(x="a", lines=("b",), best_over=("c",)))

    def score(cell):
        levels = cell.setting.levels
        return 0.1 * len(str(levels["a"])) + 0.3 * levels["c"]

    folder, cells = tiny.planted(
        tmp_path, study, score=score, seeds=1, but=(0, 1)
    )
    found = tables.frame(study, [folder.outcome(c) for c in cells])
    settings = tables.summary(study, found)
    best = tables.best(study, settings, ("c",))
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
        study_of(Bars(x="b", best_over=("a", "c"))),
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
        study_of(Bars(x="a", best_over=("b", "c"))),
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
        study_of(kind(x="a", lines=("b",), best_over=("c",))),
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
    folder, cells = tiny.planted(tmp_path, score=known_score, but=(1, 5))
    found = tables.frame(tiny.STUDY, [folder.outcome(c) for c in cells])
    settings = tables.summary(tiny.STUDY, found)
    (axis,) = figures.draw(tiny.STUDY, settings, with_paper=True).axes
    words = [text.get_text() for text in axis.texts]
    # Values and the mean of the row that is whole; of the other, none.
    assert sorted(words) == ["21.1", "25.1", "45.1", "65.1", "missing"]
