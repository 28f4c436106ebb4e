"""The journal's table of bars: one row for each minute of a symbol at an account, the one in progress too.

It is no trail. A row is replaced while its minute lasts, and deleted when no indicator needs it any more.
"""

from __future__ import annotations

from typing import Any

from msgspec import Struct, field

Row = tuple[Any, ...]

BARS = (
    "CREATE TABLE IF NOT EXISTS bars (name TEXT NOT NULL, minute INTEGER NOT NULL, body TEXT NOT NULL,"
    " PRIMARY KEY (name, minute)) WITHOUT ROWID"
)
READ = "SELECT name, minute, body FROM bars ORDER BY name, minute"
_WRITE = "INSERT INTO bars VALUES (?, ?, ?) ON CONFLICT (name, minute) DO UPDATE SET body = excluded.body"
_DROP = "DELETE FROM bars WHERE name = ? AND minute = ?"
_FORGET = "DELETE FROM bars WHERE name = ?"


class BarRows(Struct):
    """What waits to be written: nothing at all is left of the names in ``gone``, and then these rows, None to drop."""

    gone: set[str] = field(default_factory=set)
    rows: dict[tuple[str, int], str | None] = field(default_factory=dict)

    def add(self, later: BarRows) -> BarRows:
        """Both, one after the other. This one takes it in."""
        if later.gone:
            self.rows = {place: body for place, body in self.rows.items() if place[0] not in later.gone}
            self.gone |= later.gone
        self.rows.update(later.rows)
        return self

    def statements(self) -> list[tuple[str, list[Row]]]:
        parts: list[tuple[str, list[Row]]] = [
            (_FORGET, [(name,) for name in sorted(self.gone)]),
            (_WRITE, [(*place, body) for place, body in self.rows.items() if body is not None]),
            (_DROP, [place for place, body in self.rows.items() if body is None]),
        ]
        return [(sql, rows) for sql, rows in parts if rows]
