"""Adds up the journal's records to positions, entries and signals. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal

from msgspec import Struct, field, structs

from core.model import OrderSide, Position, PositionKey, Side
from core.records import Adopted, ClosingEnded, Entry, EntryApproved, EntryEnded, Opened, PositionClosed, Scaled
from core.units import ZERO

FOLDED = ("opened", "scaled", "adopted", "position_closed", "closing_ended", "entry_approved", "entry_ended")

GONE = frozenset({"closed", "closed_residual"})


class BelievedPosition(Struct, frozen=True):
    """A position as the journal knows it. ``settings``: fingerprint of the settings that accepted it, "" for none."""

    key: PositionKey
    side: Side
    quantity: Decimal
    entry: Decimal | None
    leverage: Decimal | None
    settings: str = ""
    stop_pct: Decimal | None = None  # own stop of a position that was opened here

    @property
    def position(self) -> Position:
        """Return the position as a broker would report it."""
        where = self.key
        given = (where.account, where.symbol, self.side, self.quantity, self.quantity, self.entry, self.leverage)
        return Position(*given, leg=where.leg)


class BelievedPositions(Struct):
    """The journal's beliefs: positions by key, entries under way, and when each signal was last approved."""

    held: dict[PositionKey, BelievedPosition] = field(default_factory=dict)
    pending: dict[str, EntryApproved] = field(default_factory=dict)
    signals: dict[tuple[str, str, OrderSide], datetime] = field(default_factory=dict)

    def take(self, entry: Entry) -> None:
        """Apply the next entry of the journal. Entries must come in order."""
        match entry.record:
            case Opened() as r:
                self.held[r.key] = BelievedPosition(
                    r.key, r.side, r.quantity, r.entry, r.leverage, r.settings, r.stop_pct
                )
            case Adopted() as r:
                known = self.held.get(r.key)
                stop_pct = known.stop_pct if known is not None and known.side is r.side else None
                self.held[r.key] = BelievedPosition(
                    r.key, r.side, r.quantity, r.entry, r.leverage, r.settings, stop_pct
                )
            case Scaled() as r:
                self._resize(r.key, r.quantity, r.entry)
            case PositionClosed() as r:
                self.held.pop(r.key, None)
            case ClosingEnded() as r:
                self._closed(r)
            case EntryApproved() as r:
                self.pending[r.plan] = r
                if r.what == "open":
                    self.signals[r.owner, r.key.symbol, r.side] = r.at
            case EntryEnded() as r:
                self.pending.pop(r.plan, None)
            case _:
                pass

    def _closed(self, record: ClosingEnded) -> None:
        """Believe what a close, or a part of a close, left. A cancel changes no position."""
        row = record.result
        known = self.held.get(row.key)
        if known is None or row.kind != "close":
            return
        if row.outcome in GONE:
            self._resize(row.key, row.residual or ZERO, known.entry)
        elif row.filled > 0:
            left = known.quantity - row.filled if row.residual is None else row.residual
            self._resize(row.key, left, known.entry)

    def _resize(self, key: PositionKey, quantity: Decimal, entry: Decimal | None) -> None:
        known = self.held.get(key)
        if quantity <= 0:
            self.held.pop(key, None)
        elif known is not None:
            self.held[key] = structs.replace(known, quantity=quantity, entry=entry)


def believed(ours: Mapping[PositionKey, BelievedPosition], account: str) -> dict[PositionKey, BelievedPosition]:
    """Return one account's believed positions."""
    return {k: b for k, b in ours.items() if k.account == account}
