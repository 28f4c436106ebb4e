"""Dust that a venue's rules keep from being sold, and what its own conversion would make of it.

A conversion cannot be taken back and costs a fee, so that it is no part of any plan: a person asks for it by name, sees
what it would do, and agrees to exactly that.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from decimal import Decimal
from enum import Enum
from typing import Protocol, runtime_checkable

from msgspec import Struct

WORSE = Decimal("0.05")  # relative drop of the proceeds that voids the confirmation


class Conversion(Struct, frozen=True):
    """What one asset would become. ``gets`` is after the ``fee``; both are in ``into`` and None where the venue does
    not say before. ``reference`` is the venue's name of its offer, where it makes one."""

    asset: str
    quantity: Decimal
    into: str
    gets: Decimal | None = None
    fee: Decimal | None = None
    reference: str = ""

    def stands(self, now: Conversion) -> bool:
        """Whether what is offered ``now`` is still what was agreed to: the same quantity, for about as much or more."""
        if (now.asset, now.quantity, now.into) != (self.asset, self.quantity, self.into):
            return False
        return self.gets is None or (now.gets is not None and now.gets >= self.gets * (1 - WORSE))


class ConversionOutcome(Enum):
    """The known end of a conversion."""

    CONVERTED = "converted"
    REFUSED = "refused"  # nothing happened
    UNKNOWN = "unknown"  # the conversion may have happened; it is looked up and never sent again
    PENDING = "pending"  # the venue took it and has not finished

    @property
    def open(self) -> bool:
        return self in (ConversionOutcome.UNKNOWN, ConversionOutcome.PENDING)


class Converted(Struct, frozen=True):
    """The result of converting one asset. ``quantity`` is what the venue reports as taken."""

    asset: str
    quantity: Decimal
    outcome: ConversionOutcome
    gets: Decimal | None = None
    fee: Decimal | None = None
    error: str | None = None


@runtime_checkable
class Converter(Protocol):
    """The conversion of one account's dust. Every call ends as a Broker's do: in an answer or one of three errors."""

    @property
    def most(self) -> int:
        """Conversions that one request takes; those of different references never share one."""

    async def conversions(self, into: str | None, only: Collection[str] | None = None) -> list[Conversion]:
        """What could be converted now, of everything or ``only`` of these assets. Nothing that could be sold is in it.

        Refused for an ``into`` that the venue does not offer; None takes what it converts into by itself.
        """

    async def convert(self, asked: Sequence[Conversion]) -> list[Converted]:
        """Send it, once. What the answer does not say of an asset is left out."""

    async def look_up(self, asked: Sequence[Conversion], since: datetime) -> list[Converted]:
        """What the venue's records say of a request that left after ``since``; what is not in them is left out."""


@runtime_checkable
class ConversionOffer(Protocol):
    """A Broker that can say what is to be done about dust."""

    @property
    def converter(self) -> Converter | None:
        """None where the venue has no conversion that a program may ask for."""

    @property
    def way_out(self) -> str:
        """What the venue has for dust instead, in one phrase; may be empty."""
