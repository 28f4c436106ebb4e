"""The conversion of unsellable dust by the venue's own call.

A conversion is final and costs a fee, so no plan contains a conversion. A person requests a conversion by name, sees
the offer, and agrees to exactly that offer.
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
    """The offer to convert one asset.

    ``gets`` is after the ``fee``. Both are in ``into``, and None where the venue does not tell them in advance.
    ``reference`` is the venue's id of its offer; "" where the venue makes no offer.
    """

    asset: str
    quantity: Decimal
    into: str
    gets: Decimal | None = None
    fee: Decimal | None = None
    reference: str = ""

    def stands(self, now: Conversion) -> bool:
        """Return whether the offer ``now`` still matches this agreed offer.

        The asset, the quantity and ``into`` must be equal. The proceeds may be at most ``WORSE`` lower;
        unknown agreed proceeds set no limit.
        """
        if (now.asset, now.quantity, now.into) != (self.asset, self.quantity, self.into):
            return False
        return self.gets is None or (now.gets is not None and now.gets >= self.gets * (1 - WORSE))


class ConversionOutcome(Enum):
    """The outcome of a conversion."""

    CONVERTED = "converted"
    REFUSED = "refused"  # nothing happened
    UNKNOWN = "unknown"  # the conversion may have happened; it is looked up and never sent again
    PENDING = "pending"  # the venue took it and has not finished

    @property
    def open(self) -> bool:
        return self in (ConversionOutcome.UNKNOWN, ConversionOutcome.PENDING)


class Converted(Struct, frozen=True):
    """The result of converting one asset. ``quantity`` is the quantity that the venue reports as converted."""

    asset: str
    quantity: Decimal
    outcome: ConversionOutcome
    gets: Decimal | None = None
    fee: Decimal | None = None
    error: str | None = None


@runtime_checkable
class Converter(Protocol):
    """The converter of one account's dust. Every call ends with an answer or one of a Broker call's three errors."""

    @property
    def most(self) -> int:
        """The number of conversions in one request. Conversions with different references never share a request."""

    async def conversions(self, into: str | None, only: Collection[str] | None = None) -> list[Conversion]:
        """Return the conversions that the venue offers now, of all assets or ``only`` of these.

        Sellable assets are left out. ``into`` None lets the adapter choose a target.
        Raises Refused for an ``into`` that the venue does not offer.
        """

    async def convert(self, asked: Sequence[Conversion]) -> list[Converted]:
        """Send the request once. Assets that the answer does not mention are left out."""

    async def look_up(self, asked: Sequence[Conversion], since: datetime) -> list[Converted]:
        """Return the results of a request sent after ``since``, from the venue's records.

        Assets that the records do not mention are left out.
        """


@runtime_checkable
class ConversionOffer(Protocol):
    """The part of a Broker that offers a way to get rid of dust."""

    @property
    def converter(self) -> Converter | None:
        """The account's converter; None where the venue has no conversion for programs."""

    @property
    def way_out(self) -> str:
        """The venue's other way to get rid of dust, in one phrase; may be empty."""
