"""A held position as plans report it and consoles show it. Pure."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

from msgspec import Struct

from core.exits.view import ExitView
from core.model import PositionKey


class PositionRow(Struct, frozen=True):
    """One position. ``pnl`` and ``roi`` are fractions (0.01 is 1 %). None means unknown."""

    key: PositionKey
    owner: str
    native_symbol: str
    side: str
    quantity: Decimal
    free: Decimal
    entry: Decimal | None
    mark: Decimal | None
    leverage: Decimal | None
    usd_value: Decimal | None
    pnl: Decimal | None
    roi: Decimal | None
    opened_at: datetime | None
    open_orders: int
    flags: tuple[str, ...] = ()  # dust cap open_orders stale unsellable legacy closing waiting
    reason: str = ""  # behind a flag or an unknown, for a person
    priced_at: datetime | None = None  # when the price was received
    guard: ExitView | None = None
    protective: Decimal | None = None  # the trigger of our stop for the position at the venue

    @property
    def stop(self) -> Decimal | None:
        return self.guard.stop if self.guard else None

    @property
    def target(self) -> Decimal | None:
        return self.guard.target if self.guard else None

    @property
    def note(self) -> str:
        """The reason behind a flag or an unknown, and what the exit rules have to say."""
        return "; ".join(text for text in (self.reason, self.guard.note if self.guard else "") if text)
