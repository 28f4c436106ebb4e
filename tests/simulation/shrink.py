"""The smallest variation of a failing seed: faults are switched off one after another as long as it still fails."""

from __future__ import annotations

from tests.simulation.checkers import judge
from tests.simulation.evidence import Breach
from tests.simulation.faults import Fault
from tests.simulation.history import History, line
from tests.simulation.play import Run, play


class Smallest:
    """The variation: its run, what it broke and the faults that it still needs."""

    def __init__(self, run: Run, breaches: list[Breach], without: set[Fault], fifo: bool | None) -> None:
        self.run = run
        self.breaches = breaches
        self.without = without
        self.fifo = fifo

    def text(self) -> str:
        """For a person: the trace, what was broken, and what it took."""
        needs = ", ".join(f"{f.value} ({n})" for f, n in self.run.fired.items()) or "none"
        order = "first in, first out" if self.fifo else "as drawn"
        lines = [*trace(self.run.history), "", f"seed {self.run.seed}; callbacks {order}; faults that fired: {needs}"]
        return "\n".join([*lines, *(f"{b.at:10.3f} {b.name}: {b.text}" for b in self.breaches)])


def trace(history: History) -> list[str]:
    """Every event as a line."""
    return [line(event) for event in history.events]


def shrink(seed: int, kill_at: int | None = None) -> Smallest | None:
    """Play a seed; when it fails, with ever fewer faults and, if that is enough, in the plain order of callbacks."""
    best = _try(seed, kill_at, set(), None)
    if best is None:
        return None
    for fault in list(best.run.fired):
        smaller = _try(seed, kill_at, best.without | {fault}, None)
        best = smaller or best
    return _try(seed, kill_at, best.without, True) or best


def _try(seed: int, kill_at: int | None, without: set[Fault], fifo: bool | None) -> Smallest | None:
    run = play(seed, kill_at=kill_at, without=without, fifo=fifo)
    breaches = judge(run.history)
    return Smallest(run, breaches, without, fifo) if breaches else None
