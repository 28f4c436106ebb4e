"""Planted bugs are caught within a stated number of seeds; one that survives fails the build."""

from __future__ import annotations

import pytest

from tests.simulation import batch
from tests.simulation.mutants import MUTANTS, Mutant

pytestmark = pytest.mark.timeout(900)  # a time-out is for what hangs, not for a slow machine


@pytest.mark.parametrize("mutant", MUTANTS.values(), ids=list(MUTANTS))
def test_a_planted_bug_is_caught(mutant: Mutant):
    found = batch.caught(mutant.name, 0, mutant.seeds, crash=mutant.crash)
    assert found is not None, f"{mutant.text}: survived {mutant.seeds} seeds"


def test_without_a_mutant_those_seeds_are_clean():
    assert not batch.seeds(range(20)).failures
