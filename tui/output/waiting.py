"""The plans that wait for a person: the first lines of a status, its problems, its JSON. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from core.link.messages import PlanRow, Snapshot
from core.units import iso
from tui.present.numbers import span
from tui.present.sanitize import sanitize

NAMED = 3  # exits that the first line names


def waiting(snapshot: Snapshot) -> list[PlanRow]:
    """Return the plans that wait for a person: exits first, then the oldest."""
    rows = [row for row in snapshot.plans if row.state == "waiting"]
    return sorted(rows, key=lambda row: (row.cause != "exit", row.created_at))


def waiting_lines(snapshot: Snapshot) -> list[str]:
    """Return ``1 exit waits for you: BTC-USD eve/fut emergency stop, since 8 s``; a line for each other plan."""
    rows, now = waiting(snapshot), snapshot.taken_at
    exits = [row for row in rows if row.cause == "exit"]
    lines = [_exits_line(exits, now)] if exits else []
    return lines + [f"{_what(row)}, since {_since(row, now)}" for row in rows if row.cause != "exit"]


def reason(row: PlanRow) -> str:
    """Return the name of the exit's rule as words; for another plan its cause."""
    return (row.text.partition(" (")[0] or row.cause).replace("_", " ")


def _exits_line(rows: list[PlanRow], now: datetime) -> str:
    named = "; ".join(f"{_where(row)} {sanitize(reason(row))}, since {_since(row, now)}" for row in rows[:NAMED])
    more = f"; and {len(rows) - NAMED} more" if len(rows) > NAMED else ""
    what = "1 exit waits" if len(rows) == 1 else f"{len(rows)} exits wait"
    return f"{what} for you: {named}{more}"


def _what(row: PlanRow) -> str:
    parts = ((row.closes, "close"), (row.cancels, "cancel"))
    counts = ", ".join(f"{number} {noun}{'s' * (number != 1)}" for number, noun in parts if number)
    return f"1 plan waits for you: {sanitize(row.cause)}, {counts}"


def _where(row: PlanRow) -> str:
    keys = row.request.keys if row.request else ()
    return ", ".join(f"{sanitize(key.symbol)} {sanitize(key.account)}" for key in keys)


def _since(row: PlanRow, now: datetime) -> str:
    return span((now - row.created_at).total_seconds())


def problems_of_plans(rows: Iterable[PlanRow]) -> list[str]:
    """Return one sentence for each plan that waits."""
    return [
        f"an exit waits for a person: {_where(row)}, {row.text}" if row.cause == "exit" else _what(row) for row in rows
    ]


def waiting_document(row: PlanRow) -> dict[str, object]:
    """Return a plan that waits for a person. An exit has one position; another plan has none here."""
    keys = row.request.keys if row.request else ()
    only = keys[0] if len(keys) == 1 else None
    return {
        "plan": row.id,
        "cause": row.cause,
        "account": only.account if only else None,
        "symbol": only.symbol if only else None,
        "leg": only.leg.value if only else None,
        "reason": row.text.partition(" (")[0] or row.cause,
        "text": row.text,
        "closes": row.closes,
        "cancels": row.cancels,
        "since": iso(row.created_at),
    }
