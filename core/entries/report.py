"""The end of an entry, as it is reported to a person. Pure."""

from __future__ import annotations

from decimal import Decimal

from msgspec import Struct

from core.model import Position
from core.records import EntryApproved
from core.units import ZERO


class Report(Struct, frozen=True):
    """The end of an entry: filled, partial, not_filled, refused, unreachable, not_sent, unknown.

    ``verified``: the position at the broker matches the fills.
    """

    entry: EntryApproved
    outcome: str
    filled: Decimal = ZERO
    average_price: Decimal | None = None
    realised: Decimal | None = None
    position: Position | None = None
    verified: bool = False
    warnings: tuple[str, ...] = ()
    as_asked: bool = True  # False: the venue gave another leverage
    error: str | None = None

    @property
    def success(self) -> bool:
        return self.outcome == "filled" and self.verified and self.as_asked
