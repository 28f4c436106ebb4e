"""The fee of an order or an execution, in the symbol's quote currency. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from decimal import Decimal

from core.units import ZERO
from core.valuation import USD_LIKE

_OPTION = re.compile(r"-[CP]$")


def in_quote(symbol: str, fees: Sequence[tuple[Decimal | None, str]], price: Decimal | None) -> Decimal | None:
    """Return the sum of the fees, each a cost and its currency, in the symbol's quote currency.

    The sum is None where a fee is not told, or is in a third currency, which has no price here.
    """
    parts = [_one(symbol, cost, currency, price) for cost, currency in fees]
    known = [part for part in parts if part is not None]
    return sum(known, ZERO) if known and len(known) == len(parts) else None


def _one(symbol: str, cost: Decimal | None, currency: str, price: Decimal | None) -> Decimal | None:
    pair, _, settled = symbol.partition(":")
    base, _, quote = pair.partition("/")
    settle = settled.partition("-")[0] or quote
    if cost is None:
        return None
    if _OPTION.search(settled):  # an option's price is in the currency of its settlement
        return cost if currency in (settle, "") else None
    if not currency:
        return None if settle == base else cost
    if currency in (quote, settle) and settle != base:
        return cost
    if currency == base:
        return None if price is None else cost * price
    return cost if currency in USD_LIKE and quote in USD_LIKE else None
