"""What is off is found by name, and what rounding does is not."""

import math

import numpy as np
import pytest

from simclr_tf import agreement
from simclr_tf.agreement import Trace

GROUPS = {"the kernels": ["kernel 0", "kernel 1"], "what is frozen": ["mean"]}
START = {
    "kernel 0": np.ones([3, 2], np.float32),
    "kernel 1": np.ones([4], np.float32),
    "mean": np.zeros([2], np.float32),
}
MOVE = {
    "kernel 0": np.full([3, 2], 0.1, np.float32),
    "kernel 1": np.full([4], -0.2, np.float32),
    "mean": np.zeros([2], np.float32),
}
SCALARS = {"total_loss": [5.0, 4.0], "supervised_acc": [0.5, 0.5]}


def trace(times=1.0, scalars=SCALARS, differing=(), **changes):
    after = {name: START[name] + times * MOVE[name] for name in START}
    return Trace(scalars, {**after, **changes}, differing)


def compare(found, rounded=None):
    found = agreement.compare(
        GROUPS, START, found, trace(), [rounded or trace()], num_images=8
    )
    return {quantity.name: quantity for quantity in found}


def off(found, rounded=None):
    return [n for n, q in compare(found, rounded).items() if not q.agrees]


def test_the_same_is_the_same():
    quantities = compare(trace())
    assert all(q.agrees and q.error == 0 for q in quantities.values())
    assert set(quantities) == {
        *SCALARS,
        *GROUPS,
        "the replicas among themselves",
    }


@pytest.mark.parametrize("times", [0.5, -1.0, 0.75, 4.0, 0.0])
def test_a_gradient_that_is_too_much_or_too_little(times):
    kernels = compare(trace(times))["the kernels"]
    assert not kernels.agrees
    assert kernels.error == pytest.approx(abs(1 - times), rel=1e-4)
    assert f"moved {times:g} times as far" in kernels.describe()


def test_the_error_is_over_how_far_all_moved_together():
    kernel = START["kernel 0"] + MOVE["kernel 0"]
    kernel[0, 0] += 3e-3
    found = compare(trace(**{"kernel 0": kernel}))["the kernels"]
    far = math.sqrt(6 * 0.1**2 + 4 * 0.2**2)
    assert found.error == pytest.approx(3e-3 / far, rel=1e-3)


def test_what_is_frozen_must_not_move_by_a_bit():
    moved = np.array([0.0, 1e-30], np.float32)
    assert off(trace(mean=moved)) == ["what is frozen"]


@pytest.mark.parametrize(
    ("scalars", "expected"),
    [
        ({"total_loss": [5.0, 4.00002]}, []),
        ({"total_loss": [5.0, 4.0002]}, ["total_loss"]),
        ({"total_loss": [5.0, math.nan]}, ["total_loss"]),
        # One of eight images on the other side, and three.
        ({"supervised_acc": [0.625, 0.5]}, []),
        ({"supervised_acc": [0.875, 0.5]}, ["supervised_acc"]),
    ],
)
def test_losses_and_accuracies(scalars, expected):
    assert off(trace(scalars={**SCALARS, **scalars})) == expected


def test_the_step_at_which_a_loss_is_off_is_said():
    found = trace(scalars={**SCALARS, "total_loss": [5.0, 3.0]})
    said = compare(found)["total_loss"].describe()
    assert "at step 2: 3 for 4" in said


def test_what_rounding_does_to_one_device_is_allowed():
    assert off(trace(1.01)) == ["the kernels"]
    assert not off(trace(1.01), rounded=trace(1.005))


def test_half_a_gradient_is_found_whatever_the_rounding():
    assert off(trace(0.5), rounded=trace(2.0)) == ["the kernels"]


def test_replicas_that_differ_are_found():
    found = trace(differing=["kernel 0"])
    assert off(found) == ["the replicas among themselves"]
    assert "1 variables differ" in (
        compare(found)["the replicas among themselves"].describe()
    )


def test_few_digits_may_part_two_runs_but_not_turn_them_round():
    def kernels(times):
        found = agreement.compare(
            GROUPS,
            START,
            trace(times),
            trace(),
            [trace(1.2)],
            num_images=8,
            coarse=True,
        )
        return next(q for q in found if q.name == "the kernels")

    assert kernels(0.5).agrees
    assert not kernels(-1.0).agrees


@pytest.mark.parametrize("groups", [1, 4])
def test_orders_are_others_and_keep_groups_together(groups):
    orders = agreement.orders(32, groups)
    assert len({tuple(order) for order in orders} | {tuple(range(32))}) == 5
    for order in orders:
        assert sorted(order) == list(range(32))
        together = order.reshape(groups, -1) // (32 // groups)
        assert (together == together[:, :1]).all()
        # Groups come in another order, too.
        assert groups == 1 or list(together[:, 0]) != list(range(groups))
