"""The list of positions: grouped by owner, sorted, filtered, folded, summed up. Pure.

A row is made only when the screen asks for it, so ten thousand positions cost no more than the visible lines.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple

from core.link.messages import AccountRow, OwnerRow
from core.link.replica import Replica
from core.model import PositionKey
from core.plans.position_row import PositionRow
from tui.present.cells import INDENT, Cell, Column, Row
from tui.present.labels import Totals, account_problem, account_restriction, flags_tone, matches, pnl_usd, tags
from tui.present.numbers import UNKNOWN, age, gauge, number, pct, tone_of, usd
from tui.present.sanitize import sanitize

COLUMNS = (
    Column("symbol", "symbol", 12, 0, grow=1, whole=5),
    Column("account", "account", 14, 4, grow=1, whole=5),
    Column("side", "side", 5, 1),
    Column("quantity", "quantity", 10, 2, right=True, grow=2),
    Column("entry", "entry", 9, 6, right=True),
    Column("mark", "mark", 9, 5, right=True),
    Column("value", "value", 10, 0, right=True),
    Column("pnl", "P&L", 8, 0, right=True),
    Column("roi", "ROI", 8, 7, right=True),
    Column("stop", "stop", 9, 7, right=True),
    Column("orders", "ord", 3, 8, right=True),
    Column("age", "held", 6, 8, right=True),
    Column("priced", "price", 6, 3, right=True),
    Column("flags", "flags", 18, 0, grow=3, least=13),
)

_SORTS: dict[str, Callable[[PositionRow], Any]] = {
    "symbol": lambda p: p.key.symbol,
    "account": lambda p: p.key.account,
    "side": lambda p: p.side,
    "quantity": lambda p: p.quantity,
    "entry": lambda p: p.entry,
    "mark": lambda p: p.mark,
    "value": lambda p: p.usd_value,
    "pnl": lambda p: p.pnl,
    "roi": lambda p: p.roi,
    "stop": lambda p: p.stop,
    "orders": lambda p: p.open_orders,
    "age": lambda p: p.opened_at,
    "priced": lambda p: p.priced_at,
    "flags": lambda p: tags(p.flags) or None,
}


class OwnerKey(NamedTuple):
    """The heading of an owner's positions."""

    owner: str


class _Known(NamedTuple):
    """A position's share of the sums and its place, kept so that both can be taken back exactly."""

    owner: str
    value: Decimal | None
    pnl: Decimal | None
    shown: bool
    place: Any


class PositionList:
    """Follows a replica. ``touch`` takes changed keys, ``order`` returns the table's lines, ``row`` one line."""

    def __init__(self, replica: Replica) -> None:
        self.replica = replica
        self.total = Totals()
        self.folded: set[str] = set()
        self.sort, self.descending = "symbol", False
        self.order_stale = True  # the order no longer fits the values
        self._words: tuple[str, ...] = ()
        self._known: dict[PositionKey, _Known] = {}
        self._owners: dict[str, Totals] = {}

    @property
    def words(self) -> str:
        """The filter, as typed."""
        return " ".join(self._words)

    def look_for(self, text: str) -> None:
        """Show only positions that have every word of ``text`` in symbol, account, owner, side, tags or note."""
        self._words = tuple(text.casefold().split())
        self.load()

    def sort_by(self, column: str, descending: bool) -> None:
        """Sort within each owner; unknown values stay last."""
        self.sort, self.descending = column, descending
        self.load()

    def load(self) -> None:
        """Start over from the replica."""
        self.total = Totals()
        self._known, self._owners = {}, {}
        for row in self.replica.positions.values():
            self._add(row)
        self.order_stale = True

    def touch(self, keys: Iterable[PositionKey]) -> tuple[set[PositionKey | OwnerKey], bool]:
        """Take the replica's rows of ``keys``; return the lines to draw anew, and whether lines came or went."""
        lines: set[PositionKey | OwnerKey] = set()
        moved = False
        for key in keys:
            before, row = self._known.pop(key, None), self.replica.positions.get(key)
            if before is not None:
                self._sum(before, -1)
                lines.add(OwnerKey(before.owner))
            after = self._add(row) if row is not None else None
            if after is not None:
                lines |= {OwnerKey(after.owner), key}
            where = [(k.owner, k.shown) if k else None for k in (before, after)]
            moved |= where[0] != where[1]
            self.order_stale |= before is not None and after is not None and before.place != after.place
        self.order_stale |= moved
        return lines, moved

    def order(self) -> list[PositionKey | OwnerKey]:
        """Return every line in order: each owner's heading, then its positions unless folded."""
        members: dict[str, list[PositionKey]] = {}
        for key, known in self._known.items():
            if known.shown:
                members.setdefault(known.owner, []).append(key)
        owners = sorted(members.keys() if self._words else members.keys() | self.replica.owners.keys())
        lines: list[PositionKey | OwnerKey] = []
        for owner in owners:
            lines.append(OwnerKey(owner))
            if owner not in self.folded:
                lines += self._sorted(members.get(owner, []))
        self.order_stale = False
        return lines

    def row(self, key: PositionKey | OwnerKey, now: datetime) -> Row:
        """Return one line; a line whose position is gone is empty."""
        if isinstance(key, OwnerKey):
            return self._heading(key.owner, now)
        position = self.replica.positions.get(key)
        return Row() if position is None else position_line(position, now)

    def members(self, owner: str) -> list[PositionKey]:
        """Return the positions of an owner that the filter shows."""
        return [k for k, known in self._known.items() if known.owner == owner and known.shown]

    def _add(self, row: PositionRow) -> _Known:
        shown = not self._words or matches(haystack(row), self._words)
        known = _Known(row.owner, row.usd_value, pnl_usd(row), shown, _SORTS[self.sort](row))
        self._known[row.key] = known
        self._sum(known, 1)
        return known

    def _sum(self, known: _Known, sign: int) -> None:
        self.total = self.total.plus(known.value, known.pnl, sign)
        owner = self._owners.get(known.owner, Totals()).plus(known.value, known.pnl, sign)
        self._owners[known.owner] = owner

    def _sorted(self, keys: list[PositionKey]) -> list[PositionKey]:
        keys.sort()
        known = [k for k in keys if self._known[k].place is not None]
        known.sort(key=lambda k: self._known[k].place, reverse=self.descending)
        return known + [k for k in keys if self._known[k].place is None]

    def _heading(self, owner: str, now: datetime) -> Row:
        row = self.replica.owners.get(owner)
        accounts = [a for a in self.replica.accounts.values() if a.owner == owner]
        spans = owner_line(owner, row, accounts, self._owners.get(owner, Totals()), now)
        mark = Cell("▸ " if owner in self.folded else "▾ ", "strong")
        return Row(spans=(mark, *spans), group=owner, heading=True)


def haystack(row: PositionRow) -> str:
    """Return the text that a filter searches."""
    words = (row.key.symbol, row.native_symbol, row.key.account, row.owner, row.side, tags(row.flags), row.note)
    return " ".join(words).casefold()


def position_line(row: PositionRow, now: datetime) -> Row:
    """Return the row of one position."""
    note = sanitize(row.note, 120)
    flags = " ".join(w for w in (tags(row.flags), note) if w)
    return Row(
        cells={
            "symbol": Cell(sanitize(row.key.symbol), "strong"),
            "account": Cell(sanitize(row.key.account.partition("/")[2] or row.key.account)),
            "side": Cell(sanitize(row.side)),
            "quantity": Cell(number(row.quantity), "warn" if row.free < row.quantity else ""),
            "entry": Cell(number(row.entry)),
            "mark": Cell(number(row.mark)),
            "value": Cell(usd(row.usd_value)),
            "pnl": Cell(pct(row.pnl), tone_of(row.pnl)),
            "roi": Cell(pct(row.roi), tone_of(row.roi)),
            "stop": Cell(number(row.stop)),
            "orders": Cell(str(row.open_orders) if row.open_orders else "", "warn"),
            "age": Cell(age(row.opened_at, now)),
            "priced": Cell(age(row.priced_at, now), "bad" if "stale" in row.flags else "dim"),
            "flags": Cell(flags, flags_tone(row.flags)),
        },
        group=row.owner,
        indent=INDENT,
    )


def owner_line(
    owner: str, row: OwnerRow | None, accounts: list[AccountRow], totals: Totals, now: datetime
) -> list[Cell]:
    """``user_123  9/8 ▓▓▓▓▓▓▓▓ +1 over  $1,234  +$12  2 accounts  [STALE] …``; problems last, they may be long."""
    cells = [Cell(sanitize(owner, 32), "strong")]
    if row is None:
        cells.append(Cell(f"  {totals.count}/{UNKNOWN}"))
    else:
        over = row.counted > row.cap
        cells.append(Cell(f"  {gauge(row.counted, row.cap)}", "warn" if over else ""))
        if not row.complete:
            cells.append(Cell("  [PARTIAL]", "bad"))
    if totals.count:
        value, pnl = totals.money()
        cells += [Cell(f"  {value.text}"), Cell(f"  {pnl.text}", pnl.tone)]
    if len(accounts) > 1:
        cells.append(Cell(f"  {len(accounts)} accounts", "dim"))
    problems = [p for a in accounts for p in (account_problem(a, now), account_restriction(a)) if p]
    return cells + [Cell(f"  {p.text}", p.tone) for p in problems]
