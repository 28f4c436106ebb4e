"""The selection of the journal's entries, as SQL over the indexed columns."""

from __future__ import annotations

from datetime import datetime

from msgspec import Struct

from core.units import iso

COLUMNS = "seq, at, body"
PREFIX_END = "\U0010ffff"  # sorts after every character of a name
_ORDERS_OF = "SELECT client FROM journal WHERE kind = 'intent_written' AND plan"

# Find a seq that no entry of before the given time exceeds, as ``tables.BEFORE_SINCE`` does for the other end. Without
# this bound a query for an early time would walk through all later entries.
AFTER_UNTIL = """
SELECT coalesce(max(seq), (SELECT min(seq) FROM journal), 0) + 256
FROM journal INDEXED BY journal_at WHERE seq % 256 = 0 AND at <= ?
"""


class EntryFilter(Struct, frozen=True):
    """The conditions of a selection of entries. Empty fields match every entry. Times compare with the time of writing.

    An account, a symbol or an owner matches the entries that carry it. A plan matches its own entries and the fills
    of its orders.
    """

    since: datetime | None = None
    until: datetime | None = None
    kinds: tuple[str, ...] = ()  # of ``tables.KINDS``
    owners: tuple[str, ...] = ()
    accounts: tuple[str, ...] = ()
    symbols: tuple[str, ...] = ()
    plans: tuple[str, ...] = ()

    def select(self, after: int, before: int | None, limit: int, *, tail: bool) -> tuple[str, tuple[object, ...]]:
        """Return the query for the first ``limit`` entries with ``after < seq < before``, or for the last."""
        found = [("seq > ?", (after,)), *self._terms()]
        if before is not None:
            found.append(("seq < ?", (before,)))
        terms, order = " AND ".join(term for term, _ in found), "DESC" if tail else "ASC"
        sql = f"SELECT {COLUMNS} FROM journal WHERE {terms} ORDER BY seq {order} LIMIT ?"  # noqa: S608
        return sql, (*(value for _, values in found for value in values), limit)

    def _terms(self) -> list[tuple[str, tuple[object, ...]]]:
        """Return the conditions, each with its parameters."""
        found: list[tuple[str, tuple[object, ...]]] = []
        if self.since is not None:
            found.append(("at >= ?", (iso(self.since),)))
        if self.until is not None:
            found.append(("at <= ?", (iso(self.until),)))
        if self.kinds:
            narrow = self.owners or self.accounts or self.symbols or self.plans
            column = "+kind" if narrow else "kind"  # the plus keeps SQLite off the index of kinds
            found.append((f"{column} {_among(self.kinds)}", self.kinds))
        if self.plans:
            among = _among(self.plans)
            found.append((f"(plan {among} OR client IN ({_ORDERS_OF} {among}))", self.plans * 2))
        if self.symbols:
            found.append((f"symbol {_among(self.symbols)}", self.symbols))
        if self.accounts:
            found.append((f"account {_among(self.accounts)}", self.accounts))
        if self.owners:
            ranges = " OR ".join("(account >= ? AND account < ?)" for _ in self.owners)
            bounds = tuple(edge for o in self.owners for edge in (f"{o}/", f"{o}/{PREFIX_END}"))
            found.append((f"({ranges})", bounds))
        return found


EVERYTHING = EntryFilter()


def _among(values: tuple[str, ...]) -> str:
    return "= ?" if len(values) == 1 else f"IN ({', '.join('?' * len(values))})"
