"""Convert ccxt's markets to the exchange's rules for an instrument. Pure.

A limit of ``None`` means no limit. At most exchanges a precision is the step itself and can be more than 1.
"""

from __future__ import annotations

from decimal import Decimal

from msgspec.structs import replace

from brokers.ccxt.wire import Row, inner, number, positive, text
from core.model import Instrument, Kind
from core.units import ONE, ZERO
from core.valuation import USD_LIKE

DECIMAL_PLACES, TICK_SIZE = 2, 4  # ccxt's notations of a precision; the third notation has no step
NOT_KNOWN = "ccxt has no market of that name; close it on the exchange's own pages"
NOT_SOLD = "no market that ccxt knows sells it; see to it on the exchange's own pages"
NOT_ACTIVE = "the exchange lists this market as not active"
UNSIZED = "contracts of an unknown size"  # the currency of an unknown value; no rate exists for this name
KINDS = {"spot": Kind.SPOT, "margin": Kind.SPOT, "swap": Kind.PERP, "future": Kind.FUTURE, "option": Kind.OPTION}


def step_of(precision: object, mode: int) -> Decimal | None:
    """Return a precision as a step.

    As a tick size it already is the step (even 10 or 1000); else it counts decimals.
    """
    found = number(precision)
    if found is None:
        return None
    if mode == TICK_SIZE:
        return found if found > 0 else None
    return ONE.scaleb(-int(found)) if mode == DECIMAL_PLACES and found == found.to_integral_value() else None


# Deribit's sizes are US dollars or coins, never contracts ("amount": for perpetual and inverse futures in USD units,
# for options and linear futures in the base coin). Its ``contract_size`` only rounds an order (ccxt#13313).
NOT_IN_CONTRACTS = frozenset({"deribit"})
IN_COINS = frozenset({"bitget"})  # sizes of inverse contracts are coins, not US dollars


def instrument(market: Row, mode: int, *, exempt: bool = False, way_out: str = "", exchange: str = "") -> Instrument:
    """Return the exchange's rules. A missing limit is no limit: krakenfutures has only steps.

    ``exempt``: reduce-only orders may be below its minimums. ``way_out``: how to get rid of amounts too small to
    sell.
    """
    precision, limits = inner(market, "precision"), inner(market, "limits")
    amount, cost, at_market = inner(limits, "amount"), inner(limits, "cost"), inner(limits, "market")
    kind = KINDS.get(text(market, "type"), Kind.SPOT)
    contract = market.get("contract") is True or kind not in (Kind.SPOT,)
    least = [found for part in (amount, at_market) if (found := positive(part.get("min"))) is not None]
    parts = (amount.get("max"), at_market.get("max"), *_most_at_market(market, contract=contract))
    most = [found for value in parts if (found := positive(value)) is not None]
    active = market.get("active") is not False
    size = ONE if exchange in NOT_IN_CONTRACTS else _contract_size(market)
    quote = text(market, "quote") if exchange in IN_COINS and is_inverse(market) else value_currency(market)
    standard = Instrument(symbol=text(market, "symbol"), native_symbol=text(market, "id"))
    return Instrument(
        symbol=text(market, "symbol"),
        native_symbol=text(market, "id"),
        kind=kind,
        step=step_of(precision.get("amount"), mode) or (ONE if contract else standard.step),
        tick=step_of(precision.get("price"), mode) or standard.tick,
        min_quantity=max(least, default=ZERO),
        min_cost=positive(cost.get("min")) or ZERO,
        max_market=min(most, default=None),
        multiplier=(size or ONE) if contract else ONE,
        quote=UNSIZED if contract and size is None else quote,
        reduce_only=contract,
        minimum_exempt=contract and exempt,
        tradable=active,
        way_out=way_out if active else NOT_ACTIVE,
    )


def _most_at_market(market: Row, *, contract: bool) -> tuple[object, ...]:
    """Return the maximum sizes of one market order, which ccxt omits: OKX, KuCoin, Bybit.

    OKX gives the maximum of a coin in USDT, so only the maximum of a contract counts.
    """
    raw = inner(market, "info")
    lots = inner(raw, "lotSizeFilter")
    of_contract = (raw.get("maxMktSz"), raw.get("marketMaxOrderQty")) if contract else ()
    return *of_contract, lots.get("maxMktOrderQty"), lots.get("maxMarketOrderQty")


def _contract_size(market: Row) -> Decimal | None:
    """Return the contract size.

    ccxt reports the minimum order of Bybit's inverse contracts instead; their real size is 1 unit of the quote.
    """
    if market.get("inverse") is True and inner(inner(market, "info"), "lotSizeFilter"):
        return ONE
    return positive(market.get("contractSize"))


def is_inverse(market: Row) -> bool:
    """Return whether a contract is worth its size in the quote and settles in its base.

    ccxt also calls a contract inverse that settles in a third currency (Gate's ETH/USD:BTC).
    """
    return market.get("inverse") is True and text(market, "settle") in ("", text(market, "base"))


def value_currency(market: Row) -> str:
    """Return the currency of ``quantity × multiplier × price``.

    An inverse contract is worth its size in the quote at any price. So the currency of the product is ``1/BTC``; its
    rate is 1 divided by the price of a BTC. An option that settles in its base has its price in that coin. Gate's
    multiplier converts into the currency of the settlement. Another contract that settles in a third currency has an
    unknown value.
    """
    base, quote, settle = text(market, "base"), text(market, "quote"), text(market, "settle")
    inverse = is_inverse(market)
    if inverse and settle and text(market, "type") == "option":
        return settle
    if inverse and quote in USD_LIKE:
        return f"1/{base}"
    if settle and not inverse and settle != quote and not {settle, quote} <= USD_LIKE:
        return settle if "quanto_multiplier" in inner(market, "info") else f"{quote} settled in {settle}"
    return quote or "USD"


def unknown_instrument(symbol: str, native: str, kind: Kind = Kind.PERP) -> Instrument:
    """Return the instrument of a symbol without a market. It has no value and cannot be closed from here."""
    native = native or symbol
    return Instrument(symbol, native, kind=kind, quote=UNSIZED, tradable=False, way_out=NOT_KNOWN)


def unsold(code: str) -> Instrument:
    """Return the instrument of a coin that no market sells. It has no value and cannot be closed from here."""
    return Instrument(code, code, tradable=False, way_out=NOT_SOLD)


def beside(market: Instrument, symbol: str, *, way_out: str = "") -> Instrument:
    """Return the instrument of a second position in one market. Its orders can only reduce the position.

    A closing order names its position. ``way_out``: how to close a position that cannot be closed from here.
    """
    tradable = market.tradable and not way_out
    said = way_out or ("" if market.tradable else market.way_out)
    return replace(market, symbol=symbol, reduce_only=True, tradable=tradable, way_out=said)
