"""The diagram in the documentation is the one that the table makes."""

from __future__ import annotations

import runpy
import subprocess
import sys
from pathlib import Path

from core.ladder.step import LIFECYCLE

DOCS = Path(__file__).parents[3] / "docs"
SCRIPT = DOCS / "ladder_diagram.py"


def test_the_documentation_shows_exactly_what_the_table_says():
    made = runpy.run_path(str(SCRIPT))
    page = (DOCS / "architecture.md").read_text(encoding="utf-8")
    assert made["BEGIN"] in page
    assert made["replaced"](page) == page, "run docs/ladder_diagram.py --write"


def test_the_diagram_has_every_transition_and_no_other():
    block = runpy.run_path(str(SCRIPT))["diagram"]()
    arrows = [line.split(" --> ") for line in map(str.strip, block.splitlines()) if " --> " in line]
    shown = {
        (before, after.partition(" : ")[0], event)
        for before, after in arrows
        if " : " in after
        for event in after.partition(" : ")[2].split(", ")
    }
    assert shown == {(p.value, n.value, e.__name__) for (p, e), (_, following) in LIFECYCLE.items() for n in following}
    assert ["ended", "[*]"] in arrows


def test_it_can_be_printed_without_anything_installed():
    printed = subprocess.run([sys.executable, str(SCRIPT)], capture_output=True, check=True, text=True).stdout
    assert printed.startswith("```mermaid\nstateDiagram-v2\n")


def test_the_text_around_the_block_is_left_alone():
    replaced = runpy.run_path(str(SCRIPT))["replaced"]
    made = replaced("before\n<!-- ladder:begin -->\nold\n<!-- ladder:end -->\nafter\n")
    assert made.startswith("before\n<!-- ladder:begin -->\n```mermaid")
    assert made.endswith("```\n<!-- ladder:end -->\nafter\n")
    assert "old" not in made
