"""How much each factor matters, from planted numbers."""

import os
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from simclr_tf.studies import Bars, Setting, Study, effects, report, tables
from tests.studies import tiny


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
    folder, cells = tiny.planted(tmp_path, score=tiny.known_score)
    found = tables.frame(tiny.STUDY, [folder.outcome(c) for c in cells])
    matters, extremes = effects.sentences(tiny.STUDY, found)
    assert matters.startswith("What matters (score): colour 40.0 points [")
    assert extremes == (
        "Best: crop 0.5, colour 1.0 (65.1); worst: crop 0.1, colour 0.0 (21.1)."
    )


def test_where_the_best_counts_the_sentence_is_of_the_best(tmp_path):
    """b is -20 points in the mean over all c, and +10 in the best c."""
    study = tiny.study_of(Bars(x="b", best_over=("a", "c")))
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


_PRINT_EFFECTS = """
import numpy as np
import pandas as pd
from simclr_tf.studies import effects
rng = np.random.default_rng(0)
for side in range(2, 9):
    a, b = map(np.ravel, np.indices((side, side)))
    score = rng.integers(100, 300, side**2) / 400
    frame = pd.DataFrame({"a": a, "b": b, "score": score})
    print(effects.effects(frame, ["a", "b"], "score"))
    print(effects.effects(frame[rng.random(side**2) < 0.7], ["a"], "score"))
"""


def test_effects_are_the_same_to_the_bit_on_other_processors():
    """OpenBLAS sums in another order for each kind, where it is an x86."""
    printed = {
        subprocess.run(
            [sys.executable, "-c", _PRINT_EFFECTS],
            env={**os.environ, "OPENBLAS_CORETYPE": kind},
            capture_output=True,
            check=True,
            text=True,
        ).stdout
        for kind in ("Prescott", "Haswell")
    }
    assert len(printed) == 1
