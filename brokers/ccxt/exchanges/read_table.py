"""The calls of one complete read at each known exchange, and a guess for the other exchanges.

A position or order that a list lacks looks closed. So each list is requested in all its parts: settlement currencies,
conditional orders, pages.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from msgspec import Struct

from brokers.ccxt.wire import Row, inner, text
from brokers.ccxt.wire_balances import DOLLARS, TETHER_FIRST

Params = dict[str, Any]


class ReadCalls(Struct, frozen=True):
    """The calls of one complete read. ``positions`` and ``orders`` have the parameters of each call.

    ``balance`` is None where no balance is a position.
    """

    balance: Params | None = None
    positions: tuple[Params, ...] = ()
    positions_method: str = "fetch_positions"  # or a raw call; ``parse`` names the parser of its rows
    parse: str = ""
    optional: bool = False  # the exchange refuses the list to an account without derivatives
    trades_at_once: bool = False  # a single request for all own trades, instead of a request per symbol
    margin: bool = False  # positions are spot margin positions, beside balances of the same symbols
    orders: tuple[Params, ...] = ({},)
    orders_method: str = "fetch_open_orders"  # or a raw call of a paged list
    paged: bool = False  # both raw lists come in pages with a cursor (``pagination``)
    page: int | None = None  # rows of a full page, after which there may be more
    cursor: str = ""  # the parameter that requests the next page; "": ccxt collects all pages itself
    cursor_in: str = ""  # the raw row's field with the cursor; "": the cursor is the smallest id of the page
    counted: bool = False  # the cursor is a page number
    worth: Params = {}  # parameters of the balance call that tells the account's worth
    worth_each: bool = False  # the ``worth`` call covers one settlement currency at a time
    pledged: str = ""  # the field of that balance with the margin of all positions; no position is without margin
    markets: Params = {}  # parameters of the call that loads the markets
    currencies: bool = False  # the list of currencies names the money of some markets
    # the raw call that tells whether the account is unified; we do not know the calls of a unified account
    kind: str = ""
    prefer: tuple[str, ...] = TETHER_FIRST
    exempt: bool = False  # reduce-only orders may be below its minimums
    guessed: bool = False  # the calls are those that ccxt's features suggest
    way_out: str = ""  # how an amount too small to sell can be got rid of
    options: Params = {}  # ccxt's options


class EachMarket(Struct, frozen=True):
    """A parameter's value: one call for each value that the markets have in this raw field."""

    field: str


def split(asked: Iterable[Params], markets: Mapping[str, Row]) -> list[Params]:
    """Return the parameters of each call, with a call of its own for each value of an ``EachMarket``."""
    made: list[Params] = []
    for params in asked:
        each = {key: value for key, value in params.items() if isinstance(value, EachMarket)}
        if not each:
            made.append(params)
        for key, value in each.items():
            found = {text(inner(market, "info"), value.field) for market in markets.values()} - {""}
            made += ({**params, key: name} for name in sorted(found))
    return made


_BINANCE: Params = {
    "fetchOpenOrders": {"warnWithoutSymbol": False},
    "warnOnFetchOpenOrdersWithoutSymbol": False,
    "fetchMargins": False,  # the list of margin pairs takes two signed calls
}
_ALGO = ("conditional", "oco", "trigger", "move_order_stop", "iceberg", "twap", "chase")
_BYBIT: tuple[Params, ...] = (
    {"category": "linear", "settleCoin": "USDT"},
    {"category": "linear", "settleCoin": "USDC"},
    {"category": "inverse"},
)
_CODED: dict[str, ReadCalls] = {
    "binance": ReadCalls(
        balance={"type": "spot"},
        orders=({"type": "spot"},),
        way_out="Binance converts small balances to BNB",
        options={**_BINANCE, "fetchMarkets": {"types": ["spot"]}},
    ),
    # ccxt's list omits a position whose entry price is 0, and first requests the brackets of every symbol.
    "binanceusdm": ReadCalls(
        positions=({},),
        positions_method="fapiPrivateV3GetPositionRisk",
        parse="parse_position_risk",
        orders=({}, {"trigger": True}),
        exempt=True,
        options={**_BINANCE, "fetchMarkets": {"types": ["linear"]}},
    ),
    "binancecoinm": ReadCalls(
        positions=({},),
        positions_method="dapiPrivateGetPositionRisk",
        parse="parse_position_risk",
        orders=({}, {"trigger": True}),
        exempt=True,
        options={**_BINANCE, "fetchMarkets": {"types": ["inverse"]}},
    ),
    # ccxt's list cannot read rows that are not consolidated, and drops the closed part of each row.
    "kraken": ReadCalls(
        balance={},
        positions=({"consolidation": "market"},),
        positions_method="privatePostOpenPositions",
        parse="parse_position",
        trades_at_once=True,
        margin=True,
        prefer=DOLLARS,
        way_out="Kraken's app converts small balances",
    ),
    # ccxt silently leaves accounts of a type that it does not list out of the balance.
    "coinbase": ReadCalls(
        balance={"v3": True},
        positions=({},),
        optional=True,
        page=100,
        cursor="cursor",
        cursor_in="cursor",
        prefer=("USD", "USDC"),
        way_out="Coinbase converts no small balances; buy up to the minimum, then sell all of it",
        options={"v3Accounts": ["ACCOUNT_TYPE_CRYPTO", "ACCOUNT_TYPE_FIAT", "CRYPTO", "FIAT"]},
    ),
    "okx": ReadCalls(
        balance={"type": "trading"},
        positions=({},),
        orders=({}, *({"trigger": True, "ordType": kind} for kind in _ALGO)),
        page=100,
        cursor="after",
        way_out="OKX converts small balances (easy convert)",
        options={"fetchMarkets": {"types": ["spot", "future", "swap"]}},
    ),
    # The options say "unified account"; otherwise ccxt asks for the account's kind, possibly just before an order.
    # Conditional orders are in the same lists. An order that closes is exempt from the minimum value, not from the
    # minimum size (help centre, "Derivatives Trading Rules").
    "bybit": ReadCalls(
        balance={"type": "unified"},
        positions=tuple({**asked, "limit": 200} for asked in _BYBIT),
        positions_method="privateGetV5PositionList",
        parse="parse_position",
        orders=tuple({**asked, "limit": 50} for asked in ({"category": "spot"}, *_BYBIT)),
        orders_method="privateGetV5OrderRealtime",
        paged=True,
        exempt=True,
        way_out="Bybit converts small balances",
        options={
            "fetchMarkets": {"types": ["spot", "linear", "inverse"]},
            "enableUnifiedMargin": False,
            "enableUnifiedAccount": True,
            "unifiedMarginStatus": 6,
        },
    ),
    "krakenfutures": ReadCalls(positions=({},)),
    # ccxt asks for the orders of one currency. The list of positions has every currency.
    "deribit": ReadCalls(
        balance={},
        positions=({},),
        orders=({"currency": EachMarket("settlement_currency")},),
        prefer=("USDC", "USDT"),
    ),
    # Each builder-deployed exchange (``dex``) has lists of its own. ccxt loads the markets of ten such exchanges.
    "hyperliquid": ReadCalls(
        balance={"type": "spot"},
        positions=({}, {"dex": EachMarket("dex")}),
        orders=({}, {"dex": EachMarket("dex")}),
        worth={"type": "swap"},
        currencies=True,
        prefer=("USDC", "USDT", "USDH"),
        options={"fetchMarkets": {"hip3": {"limit": 100}}},
    ),
    # Finding the pairs for borrowing, and whether the account trades spot by the newer calls, takes a signed call
    # each.
    "kucoinfutures": ReadCalls(
        positions=({},),
        orders=({"type": "swap", "pageSize": 50}, {"type": "swap", "trigger": True, "pageSize": 50}),
        page=50,
        cursor="currentPage",
        counted=True,
        worth_each=True,
        pledged="positionMargin",
        markets={"marginables": False},
        kind="utaPrivateGetAccountMode",
        options={"hf": True, "uta": False},
    ),
}
_CODED |= dict.fromkeys(("myokx", "okxus"), _CODED["okx"])


# Exchanges whose contract orders ccxt cannot mark as reduce-only. ccxt sends its own parameter, which the exchange
# ignores (its source: ``create_order``).
UNBOUND = frozenset({"bullish", "cryptocom", "zebpay"})


# Exchanges at which ccxt sends a kind of market (``type``) on, instead of choosing the list by it. The exchange would
# read the word as its own: at Hyperliquid ``type`` is the question itself.
_UNTYPED = frozenset({"backpack", "bullish", "cryptocom", "delta", "derive", "pacifica", "woo"})
UNTYPED_BALANCE = _UNTYPED | {"nado"}
UNTYPED_ORDERS = _UNTYPED | {"bitfinex", "whitebit"}
UNTYPED_POSITIONS = (
    _UNTYPED
    | {"aster", "bingx", "bitfinex", "bitget", "btse", "kucoin", "mexc", "nado", "phemex", "poloniex", "toobit"}
    | {"weex", "whitebit", "xt", "zebpay"}
)
# Exchanges whose list of open orders ccxt asks for one market at a time (its source: ``fetch_open_orders`` without a
# symbol raises, or takes a symbol of its own), with the kinds of markets.
EACH_KIND = frozenset({"spot", "contract"})
ORDERS_BY_SYMBOL: dict[str, frozenset[str]] = {
    **dict.fromkeys(("bigone", "bit2c", "bitbank", "bitbns", "bitflyer", "bitrue", "bitso", "bittrade"), EACH_KIND),
    **dict.fromkeys(("btcbox", "bydfi", "coinbaseinternational", "coinone", "deepcoin", "latoken"), EACH_KIND),
    **dict.fromkeys(("lbank", "lighter", "mercado", "nado", "p2b", "phemex", "tokocrypto", "zebpay"), EACH_KIND),
    "hashkey": frozenset({"contract"}),
    "mexc": frozenset({"spot"}),  # MEXC itself wants a symbol (its documentation of current open orders)
}
ONE_LIST = frozenset({"backpack", "dydx"})  # the list of open orders has the conditional orders


def known_calls(exchange: str) -> ReadCalls:
    """Return what we know of the exchange before ccxt is asked: options, ways to get rid of dust."""
    return _CODED.get(exchange, ReadCalls())


def is_known(exchange: str) -> bool:
    """Return whether we know how to read every list of the exchange completely."""
    return exchange in _CODED


def calls_of(exchange: str, has: Mapping[str, Any], features: Mapping[str, Any] | None = None) -> ReadCalls:
    """Return the calls of a known exchange, else the calls that ccxt's features suggest."""
    if exchange in _CODED:
        return _CODED[exchange]
    known = features or {}
    typed_orders, typed_balance = exchange not in UNTYPED_ORDERS, exchange not in UNTYPED_BALANCE
    contracts = has.get("fetchPositions") is True and (has.get("swap") is True or has.get("future") is True)
    spot = has.get("spot") is not False and not (contracts and has.get("spot") is None)
    both = spot and contracts
    orders: list[Params] = []
    for kind, there in (("spot", spot), ("swap", contracts)):
        if there:
            params: Params = {"type": kind} if both and typed_orders else {}
            listed_apart = _lists_triggers(known, kind) and exchange not in ONE_LIST
            orders += [params, {**params, "trigger": True}] if listed_apart else [params]
    return ReadCalls(
        guessed=True,
        balance=({"type": "spot"} if both and typed_balance else {}) if spot else None,
        positions=(({"type": "swap"} if both and exchange not in UNTYPED_POSITIONS else {}),) if contracts else (),
        orders=tuple(asked for n, asked in enumerate(orders) if asked not in orders[:n]),
        worth={"type": "swap"} if both and typed_balance else {},
    )


def conditional_of(exchange: str, features: Mapping[str, Any] | None, symbol: str) -> Params:
    """Return the parameters to cancel a conditional order at an unknown exchange.

    {} where ccxt has no separate list of conditional orders.
    """
    listed = _lists_triggers(features or {}, "swap" if ":" in symbol else "spot")
    return {"trigger": True} if listed and exchange not in _CODED else {}


def _lists_triggers(features: Mapping[str, Any], kind: str) -> bool:
    """Return whether ccxt says that this kind of market has a separate list of conditional orders."""
    part = features.get(kind)
    part = part.get("linear") if isinstance(part, dict) and kind == "swap" else part
    listed = part.get("fetchOpenOrders") if isinstance(part, dict) else None
    return isinstance(listed, dict) and listed.get("trigger") is True
