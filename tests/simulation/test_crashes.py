"""Crash points: killed after callbacks of its first life, restarted, finished, and judged over both lives."""

from __future__ import annotations

from functools import cache

import pytest

from tests.simulation import batch
from tests.simulation.batch import Summary
from tests.simulation.told import told

MANY = range(30000, 31000), 5  # many seeds, points spread over each: every rare state comes up
FEW = range(21000, 22000), 400  # few seeds, every callback of most of them
POINTS = 400

pytestmark = [
    pytest.mark.timeout(900),  # a time-out is for what hangs, not for a slow machine
    pytest.mark.parametrize(("seeds", "of_one"), [MANY, FEW], ids=["many seeds", "few seeds"]),
]


@cache
def summary(seeds: range, of_one: int) -> Summary:
    """Made in the first test that asks: a fixture's setup would run under the coverage tracer."""
    return batch.crashes(seeds, points=of_one, most=POINTS)


def test_no_invariant_is_broken_wherever_the_process_dies(seeds: range, of_one: int):
    found = summary(seeds, of_one)
    assert found.crash_points == POINTS
    assert not found.failures, told(found)


def test_every_rare_state_is_reached_by_many_seeds(seeds: range, of_one: int):
    found = summary(seeds, of_one)
    assert of_one == FEW[1] or not found.missing(), found.text()


def test_plans_are_taken_up_and_closes_go_on(seeds: range, of_one: int):
    found = summary(seeds, of_one)
    assert found.fired["process killed"] >= POINTS
    assert found.ends["closed"] > POINTS / 2
