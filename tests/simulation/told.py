"""How a failing run is told by a test: what to type, and the smallest variation with its trace."""

from __future__ import annotations

from tests.simulation.batch import Summary
from tests.simulation.shrink import shrink

SHOWN = 5


def told(summary: Summary) -> str:
    """For the failures of a summary."""
    lines = []
    for failure in summary.failures[:SHOWN]:
        kill = "" if failure.kill_at is None else f" --kill-at {failure.kill_at}"
        lines.append(f"python -m tests.simulation --seed {failure.seed}{kill}")
        lines += [f"    {b.name}: {b.text}" for b in failure.breaches[:SHOWN]]
    first = summary.failures[0] if summary.failures else None
    smallest = shrink(first.seed, first.kill_at) if first else None
    return "\n".join([f"{len(summary.failures)} runs failed", *lines, smallest.text() if smallest else ""])
