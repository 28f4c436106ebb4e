"""Crash points: killed after callbacks of its first life, restarted, finished, and judged over both lives."""

from __future__ import annotations

from functools import cache

import pytest

from tests.simulation import batch
from tests.simulation.batch import Summary
from tests.simulation.told import told

SEEDS = range(21000, 22000)
POINTS = 800
OF_ONE = 400  # few seeds, every callback of most of them

pytestmark = pytest.mark.timeout(900)  # a time-out is for what hangs, not for a slow machine


@cache
def summary() -> Summary:
    """Made in the first test that asks: a fixture's setup would run under the coverage tracer."""
    return batch.crashes(SEEDS, points=OF_ONE, most=POINTS)


def test_no_invariant_is_broken_wherever_the_process_dies():
    assert summary().crash_points == POINTS
    assert not summary().failures, told(summary())


def test_plans_are_taken_up_and_closes_go_on():
    assert summary().fired["process killed"] >= POINTS
    assert summary().ends["closed"] > POINTS / 2
