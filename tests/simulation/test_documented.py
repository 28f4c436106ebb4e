"""The page on reliability names every checker and every mutant, and no other."""

from __future__ import annotations

import re
from pathlib import Path

from tests.simulation.checkers import CHECKERS
from tests.simulation.mutants import MUTANTS

PAGE = (Path(__file__).parents[2] / "docs" / "reliability.md").read_text(encoding="utf-8")


def test_the_page_names_every_checker_beside_its_invariant():
    rows = dict(re.findall(r"^\| (I\d+) \| (.*) \|$", PAGE, re.MULTILINE))
    named = {name: set(re.findall(r"`check_\w+\.(\w+)`", row)) for name, row in rows.items()}
    assert named == {name: {c.__name__ for c in checks} for name, checks in CHECKERS.items()}


def test_the_page_names_every_mutant_with_its_bug():
    rows = re.findall(r"^\| `([a-z-]+)` \| (.*) \|$", PAGE, re.MULTILINE)
    assert [name for name, _ in rows] == list(MUTANTS)
    assert all(text.startswith(MUTANTS[name].text) for name, text in rows)
