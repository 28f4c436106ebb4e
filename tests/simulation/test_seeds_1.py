"""Two thousand seeds: nothing is broken in any, and everything that can happen happens in some."""

from __future__ import annotations

from functools import cache

import pytest

from tests.simulation import batch
from tests.simulation.batch import Summary
from tests.simulation.told import told

SEEDS = range(2000)

pytestmark = pytest.mark.timeout(900)  # a time-out is for what hangs, not for a slow machine


@cache
def summary() -> Summary:
    """Made in the first test that asks: a fixture's setup would run under the coverage tracer."""
    return batch.seeds(SEEDS)


def test_no_invariant_is_broken():
    assert not summary().failures, told(summary())


def test_every_fault_tier_end_and_refusal_occurs():
    assert summary().runs == len(SEEDS)
    assert not summary().missing(), summary().text()
