"""The header's words, most important first, fitted into the available lines. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from rich.cells import cell_len

from core.link.replica import Replica
from tui.present.cells import Cell
from tui.present.labels import Totals, accounts_cells, engine_cells, in_flight
from tui.present.numbers import clock

SEPARATOR = "  "


def pieces(replica: Replica, totals: Totals, now: datetime, *, read_only: bool) -> list[Cell]:
    """Return the header's pieces."""
    value, pnl = totals.money()
    flying = len(in_flight(replica.closings.values()))
    stuck = sum(c.alarm and not c.acknowledged for c in replica.closings.values())
    closing = [Cell(f"{flying} closing", "strong" if flying else "dim")]
    if stuck:
        closing.append(Cell(f"{stuck} STUCK", "alarm"))
    return [
        Cell("flatdeck", "strong"),
        *engine_cells(replica.engine, read_only=read_only),
        *accounts_cells(replica.accounts.values(), now),
        Cell(f"{totals.count} position{'s' * (totals.count != 1)}", "strong"),
        value,
        pnl,
        *closing,
    ]


def lines(parts: Iterable[Cell], now: datetime, width: int) -> list[list[Cell]]:
    """Lay out the pieces in lines of ``width``, with the clock at the end of the first line."""
    time = clock(now)
    rows: list[list[Cell]] = [[]]
    used, limit = 0, width - len(time) - len(SEPARATOR)
    for part in parts:
        size = cell_len(part.text)
        if rows[-1] and used + size > limit:
            rows.append([])
            used, limit = 0, width
        rows[-1] += [part, Cell(SEPARATOR)]
        used += size + len(SEPARATOR)
    first = sum(cell_len(c.text) for c in rows[0])
    rows[0] += [Cell(" " * max(width - first - len(time), 0)), Cell(time)]
    return rows
