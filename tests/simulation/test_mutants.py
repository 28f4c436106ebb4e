"""Planted bugs are caught within a stated number of seeds; one that survives fails the build."""

from __future__ import annotations

from itertools import chain

import pytest

from tests.simulation import batch
from tests.simulation.caught_by import CAUGHT_BY
from tests.simulation.mutants import MUTANTS, Mutant

pytestmark = pytest.mark.timeout(900)  # a time-out is for what hangs, not for a slow machine


@pytest.mark.parametrize("mutant", MUTANTS.values(), ids=list(MUTANTS))
def test_a_planted_bug_is_caught(mutant: Mutant):
    lately = [CAUGHT_BY[mutant.name]] if mutant.name in CAUGHT_BY else []
    found = batch.caught(mutant.name, chain(lately, range(mutant.seeds)), crash=mutant.crash)
    assert found is not None, f"{mutant.text}: survived {mutant.seeds} seeds"


def test_without_a_mutant_those_seeds_are_clean():
    assert not batch.seeds({*range(20), *CAUGHT_BY.values()}).failures


def test_only_mutants_are_named_as_caught():
    assert CAUGHT_BY.keys() <= MUTANTS.keys()
