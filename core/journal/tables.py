"""The journal's tables, and the conversion of a record to a row and of a row to an entry.

The body is the record as JSON. The other columns repeat parts of the body, as keys of a search.
"""

from __future__ import annotations

import re
from typing import Any, get_args

import msgspec
from msgspec import Struct, field

from core.errors import JournalError
from core.records import (
    AccountFrozen,
    AccountStateSet,
    Adopted,
    CancelAsked,
    ClosingEnded,
    ConversionAnswered,
    ConversionAsked,
    Entry,
    EntryApproved,
    EntryEnded,
    FillRecorded,
    Halted,
    IntentAnswered,
    IntentWritten,
    Logged,
    MinimumRefused,
    Opened,
    PlanApproved,
    PlanEnded,
    PositionClosed,
    ProfitPending,
    Record,
    Resumed,
    Scaled,
)
from core.units import utc

SCHEMA = 1  # rises when an older flatdeck can no longer read the tables

CREATE = (
    "CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID",
    "CREATE TABLE journal (seq INTEGER PRIMARY KEY, at TEXT NOT NULL, kind TEXT NOT NULL,"
    " account TEXT, symbol TEXT, plan TEXT, client TEXT, body TEXT NOT NULL)",
    "CREATE INDEX journal_at ON journal (at) WHERE seq % 256 = 0",  # sparse, because times follow the order of writing
    "CREATE INDEX journal_kind ON journal (kind)",
    "CREATE INDEX journal_plan ON journal (plan, kind) WHERE plan IS NOT NULL",
    "CREATE INDEX journal_client ON journal (client, kind) WHERE client IS NOT NULL",
)
# An older journal gets these indexes when an engine opens it. They are partial, so that a query which does not name an
# account or a symbol keeps its index.
FOUND_BY = (
    "CREATE INDEX IF NOT EXISTS journal_account ON journal (account) WHERE account IS NOT NULL",
    "CREATE INDEX IF NOT EXISTS journal_symbol ON journal (symbol) WHERE symbol IS NOT NULL",
)
# The table has no history, only the latest stop, target and peak of each position.
GUARDS = "CREATE TABLE IF NOT EXISTS guards (name TEXT PRIMARY KEY, body TEXT NOT NULL) WITHOUT ROWID"
KEEP = "INSERT INTO guards VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET body = excluded.body"
FORGET = "DELETE FROM guards WHERE name = ?"
# The plans that wait for a person in the engine that runs. Another process reads them to tell of them.
WAITING = "CREATE TABLE IF NOT EXISTS waiting (name TEXT PRIMARY KEY, body TEXT NOT NULL) WITHOUT ROWID"
CLEAR_WAITING = "DELETE FROM waiting"
_WAIT = "INSERT INTO waiting VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET body = excluded.body"
_WAIT_NO_MORE = "DELETE FROM waiting WHERE name = ?"
INSERT = "INSERT INTO journal (at, kind, account, symbol, plan, client, body) VALUES (?, ?, ?, ?, ?, ?, ?)"

# Find a seq by the sparse index: no entry up to that seq is as late as the given time. Exceptions are entries, fewer
# than 256, that a clock running ahead dated too late.
BEFORE_SINCE = """
SELECT coalesce(min(seq), (SELECT max(seq) FROM journal), 0) - 256
FROM journal INDEXED BY journal_at WHERE seq % 256 = 0 AND at >= ?
"""

# The oldest log lines. Entries of the sparse index stay, because they tell where a time begins.
OLD_LINES = (
    "SELECT seq FROM journal WHERE kind = 'log' AND seq > ? AND seq <= ? AND seq % 256 != 0 ORDER BY seq LIMIT ?"
)
DROP_LINE = "DELETE FROM journal WHERE seq = ?"

# Columns: the plan's first seq, then the entry. Entries: the plan's own, and the fills of its intended orders. SQLite
# executes a cross join in the written order.
OPEN_PLANS = """
WITH opened AS (
    SELECT plan, min(seq) AS first FROM journal AS a WHERE kind = 'plan_approved' AND NOT EXISTS (
        SELECT 1 FROM journal AS e WHERE e.plan = a.plan AND e.kind = 'plan_ended'
    ) GROUP BY plan
)
SELECT o.first, j.seq, j.at, j.body FROM opened AS o JOIN journal AS j ON j.plan = o.plan
UNION
SELECT o.first, f.seq, f.at, f.body FROM opened AS o
    CROSS JOIN journal AS i ON i.plan = o.plan AND i.kind = 'intent_written'
    CROSS JOIN journal AS f ON f.client = i.client AND f.kind = 'fill_recorded'
ORDER BY 1, 2
"""

_KIND = {record: re.sub(r"(?<!^)(?=[A-Z])", "_", record.__name__).lower() for record in get_args(Record)}
_KIND[Logged] = "log"
KINDS = tuple(_KIND.values())

Row = tuple[Any, ...]
_DECODER = msgspec.json.Decoder(Record)
_Found = tuple[str | None, str | None, str | None, str | None]


def row_of(record: Record, at: str) -> Row:
    """Return the parameters of INSERT. Lone surrogates, which JSON cannot hold, are written as escapes."""
    try:
        body = msgspec.json.encode(record)
    except UnicodeEncodeError:  # a venue's broken text must not lose a fact
        record = msgspec.convert(encodable(msgspec.to_builtins(record)), Record)
        body = msgspec.json.encode(record)
    return (at, _KIND[type(record)], *_found_by(record), body.decode())


def entry_of(row: Row, name: str) -> Entry:
    """Return the entry of ``(seq, at, body)``. Raises JournalError for a row that this flatdeck cannot read."""
    seq, at, body = row
    try:
        return Entry(seq, utc(at), _DECODER.decode(body))
    except (msgspec.MsgspecError, ValueError, TypeError) as error:
        raise JournalError(
            f"journal {name}: entry {seq} cannot be read ({error}); read it with the flatdeck that wrote it"
        ) from error


def _found_by(record: Record) -> _Found:
    """Return account, symbol, plan and client order id of a record."""
    match record:
        case Logged() | Adopted() | PositionClosed():
            where = record if isinstance(record, Logged) else record.key
            return where.account, where.symbol, None, None
        case PlanApproved():
            return None, None, record.plan.id, None
        case IntentWritten() | IntentAnswered():
            return record.key.account, record.key.symbol, record.plan, record.client_id
        case CancelAsked() | ProfitPending() | MinimumRefused() | EntryApproved() | EntryEnded() | Opened() | Scaled():
            return record.key.account, record.key.symbol, record.plan, None
        case FillRecorded(fill):
            return fill.account, fill.symbol, None, fill.client_id
        case ClosingEnded():
            return record.result.key.account, record.result.key.symbol, record.plan, None
        case PlanEnded():
            return None, None, record.plan, None
        case Halted() | Resumed():
            return None, None, None, None
        case AccountFrozen() | AccountStateSet():
            return record.account, None, None, None
        case ConversionAsked() | ConversionAnswered():
            return record.account, None, record.plan, None


def encodable(value: Any) -> Any:
    """Return the same plain value, with every text made encodable."""
    match value:
        case str():
            return value.encode(errors="backslashreplace").decode()
        case list() | tuple():
            return [encodable(item) for item in value]
        case dict():
            return {encodable(key): encodable(item) for key, item in value.items()}
        case _:
            return value


BARS = (
    "CREATE TABLE IF NOT EXISTS bars (name TEXT NOT NULL, minute INTEGER NOT NULL, body TEXT NOT NULL,"
    " PRIMARY KEY (name, minute)) WITHOUT ROWID"
)

READ = "SELECT name, minute, body FROM bars ORDER BY name, minute"

_WRITE = "INSERT INTO bars VALUES (?, ?, ?) ON CONFLICT (name, minute) DO UPDATE SET body = excluded.body"

_DROP = "DELETE FROM bars WHERE name = ? AND minute = ?"

_FORGET = "DELETE FROM bars WHERE name = ?"


class BarRows(Struct):
    """Bars that wait to be written: first delete all bars of the names in ``gone``, then write ``rows``.

    A row with the body None is deleted.
    """

    gone: set[str] = field(default_factory=set)
    rows: dict[tuple[str, int], str | None] = field(default_factory=dict)

    def add(self, later: BarRows) -> BarRows:
        """Add later changes to this object, and return this object."""
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


class StateRows(Struct):
    """Rows without history that wait to be written: kept stops, waiting plans, bars. A body None deletes its row."""

    guards: dict[str, str | None] = field(default_factory=dict)
    waiting: dict[str, str | None] = field(default_factory=dict)
    bars: BarRows = field(default_factory=BarRows)

    @property
    def urgent(self) -> bool:
        """True when the rows cannot wait for another write, as bars can."""
        return bool(self.guards or self.waiting)

    def add(self, later: StateRows) -> StateRows:
        """Add later changes to this object, and return this object."""
        self.guards.update(later.guards)
        self.waiting.update(later.waiting)
        self.bars.add(later.bars)
        return self

    def statements(self) -> list[tuple[str, list[Row]]]:
        named = ((self.guards, KEEP, FORGET), (self.waiting, _WAIT, _WAIT_NO_MORE))
        parts: list[tuple[str, list[Row]]] = []
        for bodies, write, delete in named:
            parts.append((write, [(name, body) for name, body in bodies.items() if body is not None]))
            parts.append((delete, [(name,) for name, body in bodies.items() if body is None]))
        return [*((sql, rows) for sql, rows in parts if rows), *self.bars.statements()]
