"""Thousands of seeds: nothing is broken in any, and everything that can happen happens in some."""

from __future__ import annotations

from functools import cache

import pytest

from tests.simulation import batch
from tests.simulation.batch import Summary
from tests.simulation.told import told

SEEDS = (range(1000),)

pytestmark = [
    pytest.mark.timeout(900),  # a time-out is for what hangs, not for a slow machine
    pytest.mark.parametrize("seeds", SEEDS, ids=str),
]


@cache
def summary(seeds: range) -> Summary:
    """Made in the first test that asks: a fixture's setup would run under the coverage tracer."""
    return batch.seeds(seeds)


def test_no_invariant_is_broken(seeds: range):
    assert not summary(seeds).failures, told(summary(seeds))


def test_every_fault_tier_end_refusal_and_rare_state_occurs(seeds: range):
    assert summary(seeds).runs == len(seeds)
    assert not summary(seeds).missing(), summary(seeds).text()
