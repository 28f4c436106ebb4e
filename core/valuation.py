"""The worth of a position in US dollars, and its gain. None means unknown. Pure."""

from __future__ import annotations

from decimal import Decimal

from core.model import Instrument, Side
from core.units import ONE, ZERO

USD_LIKE = frozenset({"USD", "USDC", "USDT", "BUSD", "FDUSD", "TUSD", "USDP", "PYUSD", "DAI"})


def move(side: Side, entry: Decimal | None, mark: Decimal | None) -> Decimal | None:
    """Return P&L as a fraction of the entry price, without leverage; None when a price is unknown or not positive."""
    if entry is None or mark is None or entry <= 0 or mark <= 0:
        return None
    return side.sign * (mark - entry) / entry


def roi(
    side: Side, entry: Decimal | None, mark: Decimal | None, leverage: Decimal | None, fees: Decimal = ZERO
) -> Decimal | None:
    """Return ``leverage × (move − fees)``; None when an input is unknown. ``fees`` is the move that pays both ways."""
    moved = move(side, entry, mark)
    return None if moved is None or leverage is None else leverage * (moved - fees)


def usd_value(quantity: Decimal, instrument: Instrument, price: Decimal | None, fx: Decimal | None) -> Decimal | None:
    """Return ``quantity × multiplier × price × fx``; None without a price or a rate."""
    return None if price is None or fx is None else quantity * instrument.multiplier * price * fx


def usd_rate(currency: str, rates: dict[str, Decimal]) -> Decimal | None:
    """Return 1 for USD-like currencies, else the broker's rate. None when the rate is missing or not positive."""
    rate = ONE if currency in USD_LIKE else rates.get(currency)
    return rate if rate is not None and rate.is_finite() and rate > 0 else None
