"""The money that a close brought in and cost: proceeds, realised P&L, fee and slippage. Pure.

A contract is worth ``quantity × multiplier × price`` in its currency. An inverse contract is worth ``quantity ×
multiplier`` US dollars at any price. Its P&L is in the coin, which is valued here at the price of the fills.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal

from msgspec import Struct

from core.model import Instrument, Side
from core.units import ZERO
from core.valuation import USD_LIKE

USD = "USD"
_INVERSE = "1/"  # begins the currency of an inverse contract, see ``Instrument.quote``
AMOUNTS = ("proceeds", "realised", "fee", "slippage")


class Valuation(Struct, frozen=True):
    """The decision price of a planned close, and what turns a price into money."""

    price: Decimal | None  # the price that a close would have got when the plan was made; None: unknown
    multiplier: Decimal
    currency: str  # of quantity × multiplier × price
    rate: Decimal | None  # US dollars for one unit of the currency; None: unknown


class CloseMoney(Struct, frozen=True):
    """The money of one close, in ``currency``: US dollars where a rate was known. None is unknown.

    ``realised`` is before fees. ``slippage`` is what the fills lost against the decision price; a gain is negative.
    """

    currency: str
    decision_price: Decimal | None = None
    proceeds: Decimal | None = None
    realised: Decimal | None = None
    fee: Decimal | None = None
    slippage: Decimal | None = None


class MoneySum(Struct, frozen=True):
    """The sum of several closes in one currency. An amount is None unless it is known of every close.

    ``known`` has the sum of the known amounts, ``unknown`` the number of closes without the amount.
    """

    currency: str
    closes: int
    proceeds: Decimal | None = None
    realised: Decimal | None = None
    fee: Decimal | None = None
    slippage: Decimal | None = None
    known: dict[str, Decimal] = {}
    unknown: dict[str, int] = {}


def valuation_of(instrument: Instrument, price: Decimal | None, rate: Decimal | None) -> Valuation:
    """Return the valuation of a close at ``price``."""
    return Valuation(price, instrument.multiplier, instrument.quote, rate)


def money_of(
    side: Side | None,
    entry: Decimal | None,
    quantity: Decimal,
    price: Decimal | None,
    fee: Decimal | None,
    valuation: Valuation | None,
) -> CloseMoney:
    """Return the money of ``quantity`` closed at the average ``price``. ``fee`` is in the symbol's quote currency."""
    if valuation is None or side is None:
        return CloseMoney("", None if valuation is None else valuation.price)
    size, decided = quantity * valuation.multiplier, valuation.price
    if valuation.currency.startswith(_INVERSE):
        gain, loss = _share(side, price, entry), _share(side, decided, price, of=decided)
        return CloseMoney(
            USD,
            decided,
            proceeds=None if price is None else size,
            realised=None if gain is None else gain * size,
            fee=fee,
            slippage=None if loss is None else loss * size,
        )
    known = valuation.rate is not None
    currency = USD if known or valuation.currency in USD_LIKE else valuation.currency
    unit = size * valuation.rate if valuation.rate is not None else size
    rate = valuation.rate if valuation.rate is not None else 1
    return CloseMoney(
        currency,
        decided,
        proceeds=None if price is None else price * unit,
        realised=None if price is None or entry is None else side.sign * (price - entry) * unit,
        fee=None if fee is None else fee * rate,
        slippage=None if price is None or decided is None else side.sign * (decided - price) * unit,
    )


def _share(side: Side, better: Decimal | None, worse: Decimal | None, of: Decimal | None = None) -> Decimal | None:
    """Return what ``better`` is above ``worse``, for this side, as a share of ``of``, else of ``worse``."""
    base = worse if of is None else of
    if better is None or worse is None or not base:
        return None
    return side.sign * (better - worse) / base


def summed(closes: Iterable[CloseMoney]) -> list[MoneySum]:
    """Return one sum for each currency, sorted by its name."""
    groups: dict[str, list[CloseMoney]] = {}
    for money in closes:
        groups.setdefault(money.currency, []).append(money)
    return [_sum(currency, group) for currency, group in sorted(groups.items())]


def _sum(currency: str, closes: Sequence[CloseMoney]) -> MoneySum:
    known = {name: sum((v for m in closes if (v := getattr(m, name)) is not None), ZERO) for name in AMOUNTS}
    unknown = {name: missing for name in AMOUNTS if (missing := sum(getattr(m, name) is None for m in closes))}
    amounts = {name: None if name in unknown else known[name] for name in AMOUNTS}
    return MoneySum(currency, len(closes), **amounts, known=known, unknown=unknown)
